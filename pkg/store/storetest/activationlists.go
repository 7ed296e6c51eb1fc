package storetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

func runActivationLists(t *testing.T, open func(t *testing.T) store.ActivationStore) {
	ctx := context.Background()
	list := func(t *testing.T, s store.ActivationStore, q store.ActivationQuery) []entity.ActivationID {
		t.Helper()
		found, err := s.List(ctx, q)
		require.NoError(t, err)
		n, err := s.Count(ctx, q)
		require.NoError(t, err)
		if q.Skip == 0 && q.Limit == 0 {
			require.Equal(t, n, len(found), "Count agrees with List")
		}
		return ids(found)
	}

	t.Run("EmptyIsAnEmptyList", func(t *testing.T) {
		require.Empty(t, list(t, open(t), store.ActivationQuery{Namespace: "guest"}))
	})

	t.Run("DescendingByStart", func(t *testing.T) {
		s := open(t)
		a, b, c := activation("guest", "x", 10), activation("guest", "y", 30), activation("guest", "z", 20)
		record(t, s, a, b, c, activation("other", "x", 15))
		require.Equal(t, ids([]*entity.Activation{b, c, a}), list(t, s, store.ActivationQuery{Namespace: "guest"}))
	})

	t.Run("SummariesLackTheLargeFields", func(t *testing.T) {
		for name, a := range records() {
			t.Run(name, func(t *testing.T) {
				s := open(t)
				record(t, s, a)
				found, err := s.List(ctx, store.ActivationQuery{Namespace: a.Namespace})
				require.NoError(t, err)
				require.Len(t, found, 1)
				require.Equal(t, string(a.AppendSummary(nil)), string(found[0].AppendSummary(nil)))
				require.Empty(t, found[0].Subject)
				require.Nil(t, found[0].Response.Result)
				require.Nil(t, found[0].Response.Size)
				require.Nil(t, found[0].Logs)
			})
		}
	})

	t.Run("SinceAndUptoAreInclusive", func(t *testing.T) {
		s := open(t)
		all := make([]*entity.Activation, 5)
		for i := range all {
			all[i] = activation("guest", "a", int64(10*(5-i))) // 50, 40, 30, 20, 10
			record(t, s, all[i])
		}
		at := func(n int64) *int64 { return &n }
		for _, c := range []struct {
			since, upto *int64
			from, to    int
		}{
			{nil, nil, 0, 5}, {at(20), nil, 0, 4}, {at(21), nil, 0, 3}, {nil, at(40), 1, 5}, {nil, at(39), 2, 5},
			{at(20), at(40), 1, 4}, {at(30), at(30), 2, 3}, {at(31), at(39), 0, 0}, {at(40), at(20), 0, 0}, {at(0), at(1 << 60), 0, 5},
		} {
			want := ids(all[c.from:c.to])
			require.Equal(t, want, list(t, s, store.ActivationQuery{Namespace: "guest", Since: c.since, Upto: c.upto}))
			require.Equal(t, want, list(t, s, store.ActivationQuery{Namespace: "guest", Name: "a", Since: c.since, Upto: c.upto}))
		}
	})

	t.Run("NameFilter", func(t *testing.T) {
		s := open(t)
		plain := activation("guest", "a", 1)
		packaged := annotated(activation("guest", "a", 2), "path", "guest/pkg/a")
		foreign := annotated(activation("guest", "a", 3), "path", "whisk.system/pkg/a")
		bound := annotated(annotated(activation("guest", "a", 4), "path", "other/tools/a"), "binding", "guest/mytools")
		fired := activation("guest", "t", 5)
		fired.Annotations, fired.End, fired.Duration = entity.Parameters{}, 0, nil
		record(t, s, plain, packaged, foreign, bound, fired)
		for name, want := range map[string][]*entity.Activation{
			"a": {plain}, "pkg/a": {foreign, packaged}, "mytools/a": {bound}, "tools/a": {}, "t": {fired}, "pkg": {}, "A": {}, "": {fired, bound, foreign, packaged, plain},
		} {
			require.Equal(t, ids(want), list(t, s, store.ActivationQuery{Namespace: "guest", Name: name}), "name %q", name)
		}
		require.Empty(t, list(t, s, store.ActivationQuery{Namespace: "other", Name: "tools/a"}))
	})

	t.Run("SkipAndLimitCutTheOrderedList", func(t *testing.T) {
		s := open(t)
		for i := range int64(12) {
			record(t, s, activation("guest", "a", 1+i/3)) // some in the same millisecond
		}
		for _, name := range []string{"", "a"} {
			all := list(t, s, store.ActivationQuery{Namespace: "guest", Name: name})
			require.Len(t, all, 12)
			for skip := 0; skip < 14; skip++ {
				for limit := 1; limit < 14; limit += 4 {
					q := store.ActivationQuery{Namespace: "guest", Name: name, Skip: skip, Limit: limit, Docs: skip%2 == 0}
					require.Equal(t, append([]entity.ActivationID{}, all[min(skip, 12):min(skip+limit, 12)]...), list(t, s, q))
					n, err := s.Count(ctx, q)
					require.NoError(t, err)
					require.Equal(t, 12, n, "skip and limit do not count")
				}
			}
		}
	})

	t.Run("NewestIsListedAtOnce", func(t *testing.T) {
		s := open(t)
		for i := range int64(20) {
			a := activation("guest", "a", 100+i)
			record(t, s, a)
			require.Equal(t, []entity.ActivationID{a.ActivationID}, list(t, s, store.ActivationQuery{Namespace: "guest", Limit: 1}))
		}
	})
}

func ids(list []*entity.Activation) []entity.ActivationID {
	out := make([]entity.ActivationID, 0, len(list))
	for _, a := range list {
		out = append(out, a.ActivationID)
	}
	return out
}
