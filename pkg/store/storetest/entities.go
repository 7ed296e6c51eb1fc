package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

func runEntities(t *testing.T, open func(t *testing.T) store.EntityStore) {
	ctx := context.Background()

	t.Run("MissingIsNotFound", func(t *testing.T) {
		_, err := open(t).Entity(ctx, "guest/nothing")
		require.ErrorIs(t, err, store.ErrNotFound)
	})

	t.Run("RoundTrip", func(t *testing.T) {
		for name, e := range specimens() {
			t.Run(name, func(t *testing.T) {
				s := open(t)
				put(t, s, e)
				require.NotEmpty(t, e.Head().Revision, "Put sets the revision")
				got := get(t, s, e.Head().ID())
				require.Equal(t, e.Type(), got.Type())
				require.Equal(t, e.Head().Revision, got.Head().Revision)
				require.Equal(t, string(entity.AppendDocument(nil, e)), string(entity.AppendDocument(nil, got)))
			})
		}
	})

	t.Run("CreateConflictsWithExisting", func(t *testing.T) {
		s := open(t)
		put(t, s, action("guest", "x", 1))
		require.ErrorIs(t, s.Put(ctx, action("guest", "x", 2)), store.ErrConflict)
	})

	t.Run("AllTypesShareOneKeySpace", func(t *testing.T) {
		s := open(t)
		put(t, s, trigger("guest", "x", 1))
		for _, e := range []entity.Entity{action("guest", "x", 2), pkg("guest", "x", 2), rule("guest", "x", 2)} {
			require.ErrorIs(t, s.Put(ctx, e), store.ErrConflict)
		}
		require.Equal(t, entity.TypeTrigger, get(t, s, "guest/x").Type())
		put(t, s, action("guest/x", "x", 1)) // packaged names do not collide
		require.Equal(t, entity.TypeTrigger, get(t, s, "guest/x").Type())
	})

	t.Run("UpdateReplacesItsRevisionOnly", func(t *testing.T) {
		s := open(t)
		first := trigger("guest", "t", 1)
		put(t, s, first)
		stale := get(t, s, "guest/t").(*entity.Trigger)
		first.Version = first.Version.Next()
		put(t, s, first)
		require.NotEqual(t, stale.Revision, first.Revision, "each write has a revision of its own")
		stale.Updated = 99
		require.ErrorIs(t, s.Put(ctx, stale), store.ErrConflict)
		require.Equal(t, entity.Version{Patch: 2}, get(t, s, "guest/t").Head().Version)
	})

	t.Run("FailedPutChangesNothing", func(t *testing.T) {
		s := open(t)
		a := withCode(action("guest", "a", 1), "first")
		put(t, s, a)
		other := withCode(action("guest", "a", 2), strings.Repeat("second ", 20_000))
		require.ErrorIs(t, s.Put(ctx, other), store.ErrConflict)
		require.Empty(t, other.Revision, "a failed Put leaves the revision alone")
		code, err := s.Code(ctx, a)
		require.NoError(t, err)
		require.Equal(t, "first", code)
	})

	t.Run("UpdateOfDeletedConflicts", func(t *testing.T) {
		s := open(t)
		e := pkg("guest", "p", 1)
		put(t, s, e)
		require.NoError(t, s.Delete(ctx, e))
		require.ErrorIs(t, s.Put(ctx, e), store.ErrConflict)
	})

	t.Run("DeleteRemovesItsRevisionOnly", func(t *testing.T) {
		s := open(t)
		e := rule("guest", "r", 1)
		put(t, s, e)
		stale := get(t, s, "guest/r")
		e.Updated = 2
		put(t, s, e)
		require.ErrorIs(t, s.Delete(ctx, stale), store.ErrConflict)
		require.NoError(t, s.Delete(ctx, e))
		require.ErrorIs(t, s.Delete(ctx, e), store.ErrNotFound)
		_, err := s.Entity(ctx, "guest/r")
		require.ErrorIs(t, err, store.ErrNotFound)
	})

	t.Run("RecreatedIsNotTheOldOne", func(t *testing.T) {
		s := open(t)
		old := trigger("guest", "t", 1)
		put(t, s, old)
		require.NoError(t, s.Delete(ctx, old))
		put(t, s, trigger("guest", "t", 2))
		require.ErrorIs(t, s.Put(ctx, old), store.ErrConflict)
		require.ErrorIs(t, s.Delete(ctx, old), store.ErrConflict)
		require.EqualValues(t, 2, get(t, s, "guest/t").Head().Updated)
	})

	t.Run("BigDocument", func(t *testing.T) {
		s := open(t)
		a := action("guest", "big", 1)
		value := append(append([]byte{'"'}, bytes.Repeat([]byte("p"), 1<<20-10)...), '"')
		a.Parameters = entity.Parameters{{Key: "big", Value: value}}
		put(t, s, a)
		require.True(t, bytes.Equal(value, get(t, s, "guest/big").(*entity.Action).Parameters[0].Value))
	})

	t.Run("ReadIsACopy", func(t *testing.T) {
		s := open(t)
		put(t, s, trigger("guest", "t", 1))
		get(t, s, "guest/t").Head().Publish = true
		require.False(t, get(t, s, "guest/t").Head().Publish)
	})
}

// specimens has an entity of each shape, with values that are easily damaged.
func specimens() map[string]entity.Entity {
	odd := entity.Parameters{
		{Key: "numbers", Value: json.RawMessage(exactNumbers)},
		{Key: "strings", Value: json.RawMessage(oddStrings)},
		{Key: "null", Value: json.RawMessage(`null`)},
		{Key: "secret", Value: json.RawMessage(`"c2VjcmV0"`), Init: true, Encryption: "aes-256"},
		{Key: "a b\"\\é", Value: json.RawMessage(`{"b":1,"a":2}`)},
	}
	full := action("guest/pkg", "full", 1700000000000)
	full.Publish, full.Version, full.Parameters, full.Annotations = true, entity.Version{Major: 3, Minor: 2, Patch: 1}, odd, odd
	instances := 5
	full.Limits = entity.ActionLimits{Timeout: 100, Memory: 128, Logs: 0, Concurrency: 7, Instances: &instances}

	sequence := action("guest", "sequence", 1)
	sequence.Exec = entity.Exec{Kind: entity.KindSequence, Components: []entity.FQN{{Path: "guest/pkg", Name: "full"}, {Path: "whisk.system", Name: "b c"}}}
	blackbox := action("guest", "blackbox", 1)
	blackbox.Exec = entity.Exec{Kind: entity.KindBlackbox, Image: "user/image:tag"}

	binding := pkg("guest", "binding", 1)
	binding.Binding = &entity.PackageRef{Namespace: "other", Name: "tools"}
	real := pkg("guest", "real@x.y & z", 1)
	real.Parameters, real.Publish = odd, true

	fired := trigger("guest", "fired", 1)
	fired.Parameters = odd
	fired.Rules = []entity.TriggerRule{
		{Rule: entity.FQN{Path: "guest", Name: "z"}, Action: entity.FQN{Path: "guest/pkg", Name: "full"}, Status: entity.RuleActive},
		{Rule: entity.FQN{Path: "guest", Name: "a"}, Action: entity.FQN{Path: "guest", Name: "sequence"}, Status: entity.RuleInactive},
	}
	emptied := trigger("guest", "emptied", 1)
	emptied.Rules = []entity.TriggerRule{}

	return map[string]entity.Entity{
		"Action": full, "Sequence": sequence, "Blackbox": blackbox,
		"Package": real, "Binding": binding,
		"Trigger": fired, "TriggerWithoutRules": trigger("guest", "plain", 1), "TriggerThatLostItsRules": emptied,
		"Rule": rule("guest", "rule", 1),
	}
}
