package feed

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/encryption"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// oneAction is a source with one action.
type oneAction struct{ action *entity.Action }

func (o oneAction) Entity(context.Context, entity.DocID) (entity.Entity, error) { return o.action, nil }

// TestEncryptionDoesNotChangeWhichContainerServes: warm containers outlive a
// reencryption, and not a change of the value.
func TestEncryptionDoesNotChangeWhichContainerServes(t *testing.T) {
	line, err := encryption.NewKeyLine(encryption.AES256)
	require.NoError(t, err)
	keys, err := encryption.Parse([]byte(line))
	require.NoError(t, err)
	identity := func(value, revision string, locked bool) string {
		a := &entity.Action{
			Header:     entity.Header{Namespace: "ns", Name: "a", Version: entity.FirstVersion, Revision: revision},
			Exec:       entity.Exec{Kind: "nodejs:20", Digest: "d"},
			Parameters: entity.Parameters{{Key: "k", Value: json.RawMessage(value), Init: true}},
		}
		if locked {
			a.Parameters = keys.Lock(a.Parameters)
		}
		actions := NewActions(oneAction{a}, keys)
		defer actions.Close()
		r, err := actions.Fetch(t.Context(), &bus.ActivationMessage{Action: a.FQN()})
		require.NoError(t, err)
		require.Equal(t, a, r.Action, "the document is left alone")
		return r.reuseKey("ns")
	}
	plain := identity(`"v"`, "1", false)
	require.Equal(t, plain, identity(`"v"`, "2", true))
	require.Equal(t, plain, identity(`"v"`, "3", true))
	require.NotEqual(t, plain, identity(`"w"`, "4", true))
}
