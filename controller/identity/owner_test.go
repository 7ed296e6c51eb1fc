package identity

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

func TestOwner(t *testing.T) {
	alice := &entity.Identity{Subject: "alice", Namespace: "ns", Key: entity.AuthKey{UUID: "u", Key: secret}}
	s := &subjects{known: map[string]*entity.Identity{"u": alice}}
	a := authenticator(t, s)
	for range 3 {
		id, err := a.Owner(t.Context(), "ns")
		require.NoError(t, err)
		require.Same(t, alice, id)
	}
	require.Equal(t, 1, s.reads, "owners are remembered")

	delete(s.known, "u")
	a.Forget()
	_, err := a.Owner(t.Context(), "ns")
	require.ErrorIs(t, err, store.ErrNotFound)
	s.known["v"] = alice
	_, err = a.Owner(t.Context(), "ns")
	require.NoError(t, err, "unknown namespaces are not remembered")

	s.err = errors.New("disk on fire")
	_, err = a.Owner(t.Context(), "other")
	require.ErrorIs(t, err, s.err)
}
