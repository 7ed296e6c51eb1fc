package storetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

func runSubjects(t *testing.T, open func(t *testing.T) store.SubjectStore) {
	ctx := context.Background()
	subject := func(name string, namespaces ...string) *entity.Subject {
		s := &entity.Subject{Name: name}
		for _, n := range namespaces {
			s.Namespaces = append(s.Namespaces, entity.SubjectNamespace{Name: n, AuthKey: entity.NewAuthKey()})
		}
		return s
	}
	putSubject := func(t *testing.T, s store.SubjectStore, u *entity.Subject) {
		t.Helper()
		require.NoError(t, s.PutSubject(ctx, u))
	}

	t.Run("RoundTrip", func(t *testing.T) {
		s := open(t)
		_, err := s.Subject(ctx, "alice")
		require.ErrorIs(t, err, store.ErrNotFound)
		for _, u := range []*entity.Subject{subject("alice", "z", "alice", "m"), subject("nobody@example.com"), {Name: "blocked", Blocked: true}} {
			putSubject(t, s, u)
			require.NotEmpty(t, u.Revision)
			got, err := s.Subject(ctx, u.Name)
			require.NoError(t, err)
			require.Equal(t, u, got)
		}
	})

	t.Run("RevisionsProtectFromLostUpdates", func(t *testing.T) {
		s := open(t)
		u := subject("alice", "alice")
		putSubject(t, s, u)
		require.ErrorIs(t, s.PutSubject(ctx, subject("alice", "x")), store.ErrConflict)
		stale := *u
		u.Namespaces = append(u.Namespaces, subject("", "team").Namespaces...)
		putSubject(t, s, u)
		require.ErrorIs(t, s.PutSubject(ctx, &stale), store.ErrConflict)
		require.ErrorIs(t, s.DeleteSubject(ctx, &stale), store.ErrConflict)
		got, err := s.Subject(ctx, "alice")
		require.NoError(t, err)
		require.Equal(t, u, got)
		require.NoError(t, s.DeleteSubject(ctx, u))
		require.ErrorIs(t, s.DeleteSubject(ctx, u), store.ErrNotFound)
		_, err = s.Subject(ctx, "alice")
		require.ErrorIs(t, err, store.ErrNotFound)
	})

	t.Run("IdentityByUUID", func(t *testing.T) {
		s := open(t)
		u := subject("alice", "alice", "team")
		putSubject(t, s, u)
		putSubject(t, s, subject("bobby", "bobby"))
		for _, n := range u.Namespaces {
			id, err := s.IdentityByUUID(ctx, n.UUID)
			require.NoError(t, err)
			require.Equal(t, &entity.Identity{Subject: "alice", Namespace: n.Name, Key: n.AuthKey}, id)
		}
		_, err := s.IdentityByUUID(ctx, entity.NewAuthKey().UUID)
		require.ErrorIs(t, err, store.ErrNotFound)
	})

	t.Run("ChangesAreSeenAtOnce", func(t *testing.T) {
		s := open(t)
		u := subject("alice", "alice")
		putSubject(t, s, u)
		old := u.Namespaces[0].UUID
		u.Namespaces[0].AuthKey = entity.NewAuthKey()
		putSubject(t, s, u)
		_, err := s.IdentityByUUID(ctx, old)
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = s.IdentityByUUID(ctx, u.Namespaces[0].UUID)
		require.NoError(t, err)
		require.NoError(t, s.DeleteSubject(ctx, u))
		_, err = s.IdentityByUUID(ctx, u.Namespaces[0].UUID)
		require.ErrorIs(t, err, store.ErrNotFound)
	})

	t.Run("BlockedHasNoIdentity", func(t *testing.T) {
		s := open(t)
		u := subject("alice", "alice")
		putSubject(t, s, u)
		u.Blocked = true
		putSubject(t, s, u)
		_, err := s.IdentityByUUID(ctx, u.Namespaces[0].UUID)
		require.ErrorIs(t, err, store.ErrNotFound)
		list, err := s.Identities(ctx, "alice", 0)
		require.NoError(t, err)
		require.Empty(t, list)
		got, err := s.Subject(ctx, "alice")
		require.NoError(t, err)
		require.True(t, got.Blocked)
	})

	t.Run("IdentitiesOfANamespace", func(t *testing.T) {
		s := open(t)
		putSubject(t, s, subject("alice", "team", "alice"))
		putSubject(t, s, subject("bobby", "bobby", "team"))
		list, err := s.Identities(ctx, "team", 0)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"alice", "bobby"}, []string{list[0].Subject, list[1].Subject})
		require.Len(t, list, 2)
		list, err = s.Identities(ctx, "team", 1)
		require.NoError(t, err)
		require.Len(t, list, 1)
		list, err = s.Identities(ctx, "nobody's", 0)
		require.NoError(t, err)
		require.Empty(t, list)
	})

	t.Run("Limits", func(t *testing.T) {
		s := open(t)
		u := subject("alice", "alice")
		putSubject(t, s, u)
		_, err := s.Limits(ctx, "alice")
		require.ErrorIs(t, err, store.ErrNotFound)
		require.ErrorIs(t, s.DeleteLimits(ctx, "alice"), store.ErrNotFound)

		zero, size, store1 := 0, entity.ByteSize(2<<20), false
		memory := entity.Megabytes(1024)
		l := &entity.UserLimits{InvocationsPerMinute: &zero, AllowedKinds: []string{"nodejs:20"}, StoreActivations: &store1, MaxActionMemory: &memory, MaxPayloadSize: &size}
		require.NoError(t, s.PutLimits(ctx, "alice", l))
		got, err := s.Limits(ctx, "alice")
		require.NoError(t, err)
		require.Equal(t, l, got)
		id, err := s.IdentityByUUID(ctx, u.Namespaces[0].UUID)
		require.NoError(t, err)
		require.Equal(t, *l, id.Limits, "identities carry the limits of their namespace")
		list, err := s.Identities(ctx, "alice", 1)
		require.NoError(t, err)
		require.Equal(t, *l, list[0].Limits)

		require.NoError(t, s.PutLimits(ctx, "alice", &entity.UserLimits{}))
		got, err = s.Limits(ctx, "alice")
		require.NoError(t, err)
		require.Equal(t, &entity.UserLimits{}, got, "PutLimits replaces")
		require.NoError(t, s.DeleteLimits(ctx, "alice"))
		_, err = s.Limits(ctx, "alice")
		require.ErrorIs(t, err, store.ErrNotFound)
	})
}
