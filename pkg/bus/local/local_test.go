package local_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gowhisk/gowhisk/pkg/bus/bustest"
	"github.com/gowhisk/gowhisk/pkg/bus/local"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

func TestConformance(t *testing.T) {
	bustest.Run(t, func(t *testing.T) bustest.Bus { return open(t, filepath.Join(t.TempDir(), "gowhisk.db")) })
}

// open opens the file once more at each Reopen, with the earlier ones left
// behind, as a killed process leaves the file.
func open(t *testing.T, path string) bustest.Bus {
	t.Helper()
	db, err := sqlite.Open(context.Background(), sqlite.Options{Path: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	b := local.New(db, local.Options{})
	return bustest.Bus{
		Publisher: b, Completer: b, Queue: b.Queue, HandleCompletions: b.HandleCompletions,
		Activations: db.Activations(), Reopen: func() bustest.Bus { return open(t, path) },
		MaxMessage: local.DefaultMaxMessage, RefusesDuplicates: true,
	}
}

var _ = goleak.VerifyNone
