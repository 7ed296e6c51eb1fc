package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
	"github.com/gowhisk/gowhisk/pkg/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, o sqlite.Options) *sqlite.DB {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "gowhisk.db")
	}
	db, err := sqlite.Open(context.Background(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func TestConformance(t *testing.T) {
	for name, o := range map[string]sqlite.Options{"File": {}, "Memory": {InMemory: true}} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Stores {
				db := open(t, o)
				return storetest.Stores{Entities: db.Entities(), Activations: db.Activations(), Subjects: db.Subjects(), Deliveries: db.Deliveries()}
			})
		})
	}
}
