package storetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

func runLists(t *testing.T, open func(t *testing.T) store.EntityStore) {
	ctx := context.Background()
	list := func(t *testing.T, s store.EntityStore, q store.EntityQuery) []string {
		t.Helper()
		items, err := s.List(ctx, q)
		require.NoError(t, err)
		return names(t, items)
	}
	count := func(t *testing.T, s store.EntityStore, q store.EntityQuery) int {
		t.Helper()
		n, err := s.Count(ctx, q)
		require.NoError(t, err)
		return n
	}

	t.Run("EmptyIsAnEmptyList", func(t *testing.T) {
		s := open(t)
		items, err := s.List(ctx, store.EntityQuery{Type: entity.TypeAction, Path: "guest"})
		require.NoError(t, err)
		require.Empty(t, items)
		require.Zero(t, count(t, s, store.EntityQuery{Type: entity.TypeAction, Path: "guest"}))
	})

	t.Run("ItemsAreSummaries", func(t *testing.T) {
		s := open(t)
		for name, e := range specimens() {
			put(t, s, e)
			found := false
			items, err := s.List(ctx, store.EntityQuery{Type: e.Type(), Path: entity.Path(e.Head().Namespace.Namespace())})
			require.NoError(t, err)
			for _, item := range items {
				found = found || string(item) == string(e.AppendSummary(nil))
			}
			require.True(t, found, "the summary of %s is among %s", name, items)
		}
	})

	t.Run("DescendingByUpdated", func(t *testing.T) {
		s := open(t)
		put(t, s, trigger("guest", "b", 2), trigger("guest", "c", 3), trigger("guest", "a", 1))
		require.Equal(t, []string{"guest/c", "guest/b", "guest/a"}, list(t, s, store.EntityQuery{Type: entity.TypeTrigger, Path: "guest"}))
	})

	t.Run("UpdateMovesToTheFront", func(t *testing.T) {
		s := open(t)
		a := trigger("guest", "a", 1)
		put(t, s, a, trigger("guest", "b", 2))
		a.Updated = 3
		put(t, s, a)
		require.Equal(t, []string{"guest/a", "guest/b"}, list(t, s, store.EntityQuery{Type: entity.TypeTrigger, Path: "guest"}))
	})

	t.Run("DeletedIsGone", func(t *testing.T) {
		s := open(t)
		a := action("guest", "a", 1)
		put(t, s, a, action("guest", "b", 2))
		require.NoError(t, s.Delete(ctx, a))
		require.Equal(t, []string{"guest/b"}, list(t, s, store.EntityQuery{Type: entity.TypeAction, Path: "guest"}))
	})

	t.Run("OnlyTheTypeAndTheNamespace", func(t *testing.T) {
		s := open(t)
		put(t, s, action("guest", "a", 1), trigger("guest", "t", 2), rule("guest", "r", 3), pkg("guest", "p", 4),
			action("guest2", "a", 5), action("gues", "t", 6), trigger("Guest", "t", 7))
		for typ, want := range map[entity.Type]string{entity.TypeAction: "guest/a", entity.TypeTrigger: "guest/t", entity.TypeRule: "guest/r", entity.TypePackage: "guest/p"} {
			q := store.EntityQuery{Type: typ, Path: "guest"}
			require.Equal(t, []string{want}, list(t, s, q))
			require.Equal(t, 1, count(t, s, q))
		}
	})

	t.Run("ActionsOfANamespaceIncludePackaged", func(t *testing.T) {
		s := open(t)
		put(t, s, action("guest", "a", 1), action("guest/p", "b", 2), action("guest/q", "c", 3), action("guest", "d", 4))
		all := store.EntityQuery{Type: entity.TypeAction, Path: "guest"}
		require.Equal(t, []string{"guest/d", "guest/q/c", "guest/p/b", "guest/a"}, list(t, s, all))
		require.Equal(t, 4, count(t, s, all))
		packaged := store.EntityQuery{Type: entity.TypeAction, Path: "guest/p"}
		require.Equal(t, []string{"guest/p/b"}, list(t, s, packaged))
		require.Equal(t, 1, count(t, s, packaged))
	})

	t.Run("PublicPackagesAreRealAndPublished", func(t *testing.T) {
		s := open(t)
		public, bound := pkg("guest", "public", 1), pkg("guest", "bound", 2)
		public.Publish, bound.Publish = true, true
		bound.Binding = &entity.PackageRef{Namespace: "other", Name: "p"}
		put(t, s, public, bound, pkg("guest", "private", 3))
		q := store.EntityQuery{Type: entity.TypePackage, Path: "guest", PublicOnly: true}
		require.Equal(t, []string{"guest/public"}, list(t, s, q))
		require.Equal(t, 1, count(t, s, q))
		public.Publish = false
		put(t, s, public)
		require.Empty(t, list(t, s, q))
		require.Len(t, list(t, s, store.EntityQuery{Type: entity.TypePackage, Path: "guest"}), 3)
	})

	t.Run("SkipAndLimitCutTheOrderedList", func(t *testing.T) {
		s := open(t)
		for i := range 12 {
			put(t, s, action("guest/p", numbered("a", i), int64(1+i/3))) // some in the same millisecond
		}
		for _, path := range []entity.Path{"guest", "guest/p"} {
			all := list(t, s, store.EntityQuery{Type: entity.TypeAction, Path: path})
			require.Len(t, all, 12)
			for skip := 0; skip < 14; skip++ {
				for limit := 1; limit < 14; limit += 4 {
					q := store.EntityQuery{Type: entity.TypeAction, Path: path, Skip: skip, Limit: limit}
					from, to := min(skip, 12), min(skip+limit, 12)
					require.Equal(t, append([]string{}, all[from:to]...), list(t, s, q), "skip %d limit %d", skip, limit)
					require.Equal(t, 12, count(t, s, q), "skip and limit do not count")
				}
			}
			require.Equal(t, all[5:], list(t, s, store.EntityQuery{Type: entity.TypeAction, Path: path, Skip: 5}), "limit 0 is no bound")
		}
	})
}
