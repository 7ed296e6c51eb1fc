package sqlite_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

// listed is a small record; every fifth is of another action.
func listed(namespace entity.Path, i int, start int64) *entity.Activation {
	a := kilobyte(start)
	a.Namespace, a.Response.Result, a.Logs = namespace, nil, nil
	if i%5 == 0 {
		a.Name = "rare"
		a.Annotations = entity.Parameters{{Key: "path", Value: json.RawMessage(`"guest/rare"`)}}
	}
	return a
}

// sameLists compares pages, and counts, with those of a database that was just
// opened and remembers nothing, whose small pages follow each other.
func sameLists(t *testing.T, db *sqlite.DB, path string) {
	t.Helper()
	fresh := open(t, sqlite.Options{Path: path})
	middle, late := int64(2_500), int64(5_500)
	for _, q := range []store.ActivationQuery{
		{}, {Name: "hello"}, {Since: &middle}, {Upto: &middle}, {Upto: &late, Since: &middle}, {Name: "hello", Upto: &late},
		{Since: &late, Upto: &middle},
	} {
		q.Namespace = "guest"
		all, err := fresh.Activations().List(t.Context(), q)
		require.NoError(t, err)
		n, err := db.Activations().Count(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, len(all), n, "count of %+v", q)
		for _, skip := range []int{2047, 2048, 3333, len(all) - 1, len(all), 1 << 40} {
			if q.Skip, q.Limit = skip, 7; skip < 0 {
				continue
			}
			page, err := db.Activations().List(t.Context(), q)
			require.NoError(t, err)
			want := all[min(skip, len(all)):min(skip+7, len(all))]
			require.Len(t, page, len(want), "%+v", q)
			for i := range page {
				require.Equal(t, want[i], page[i], "%+v", q)
			}
		}
	}
}

func record(t *testing.T, db *sqlite.DB, from, to int, start func(i int) int64) {
	t.Helper()
	var g errgroup.Group
	for w := range 16 {
		g.Go(func() error {
			for i := from + w; i < to; i += 16 {
				for _, namespace := range []entity.Path{"guest", "other"} {
					if _, err := db.Activations().Record(context.Background(), listed(namespace, i, start(i))); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
}

// TestFarPages: a page far down and a count are exact after whatever happened to the
// list since it was counted.
func TestFarPages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gowhisk.db")
	db := open(t, sqlite.Options{Path: path})
	sameLists(t, db, path) // nothing yet, and counted
	record(t, db, 0, 4_000, func(i int) int64 { return int64(i) })
	sameLists(t, db, path)

	record(t, db, 4_000, 6_000, func(i int) int64 { return int64(i) })
	sameLists(t, db, path) // newer ones
	record(t, db, 6_000, 6_500, func(i int) int64 { return int64(i % 5_500) })
	sameLists(t, db, path) // older ones
	record(t, db, 6_500, 8_000, func(int) int64 { return 6_200 })
	sameLists(t, db, path) // many of one millisecond

	n, err := db.Activations().Expire(t.Context(), time.UnixMilli(1_500), 1<<20)
	require.NoError(t, err)
	require.Positive(t, n)
	sameLists(t, db, path)

	// Another process writes.
	other := open(t, sqlite.Options{Path: path})
	record(t, other, 8_000, 9_000, func(i int) int64 { return int64(i - 5_000) })
	sameLists(t, db, path)

	_, err = db.Activations().Expire(t.Context(), time.UnixMilli(1<<40), 1<<20)
	require.NoError(t, err)
	sameLists(t, db, path)
	record(t, db, 0, 3_000, func(i int) int64 { return int64(i) })
	sameLists(t, db, path)
}

// TestFarPagesCountedWhileRecordsCome: what comes and goes during the first scan is
// counted once.
func TestFarPagesCountedWhileRecordsCome(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gowhisk.db")
	db := open(t, sqlite.Options{Path: path})
	record(t, db, 0, 6_000, func(i int) int64 { return int64(i) })
	ctx, stop := context.WithCancel(t.Context())
	var g errgroup.Group
	for w := range 4 {
		g.Go(func() error {
			for i := 6_000 + w; ctx.Err() == nil; i += 4 {
				if _, err := db.Activations().Record(context.Background(), listed("guest", i, int64(i))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for round := range 20 {
		q := store.ActivationQuery{Namespace: "guest", Skip: 3_000, Limit: 1}
		if round%2 == 1 {
			q.Name = "hello"
		}
		_, err := db.Activations().List(t.Context(), q)
		require.NoError(t, err)
		if round%7 == 3 { // start over
			require.NoError(t, open(t, sqlite.Options{Path: path}).Subjects().PutLimits(t.Context(), "x", &entity.UserLimits{}))
			_, err = db.Activations().Expire(t.Context(), time.UnixMilli(int64(round*10)), 100)
			require.NoError(t, err)
		}
	}
	stop()
	require.NoError(t, g.Wait())
	sameLists(t, db, path)
}

// TestFirstCountBetweenACommitAndItsTelling: what the scan has seen is not told to it
// once more.
func TestFirstCountBetweenACommitAndItsTelling(t *testing.T) {
	db := open(t, sqlite.Options{Path: filepath.Join(t.TempDir(), "gowhisk.db")})
	guest := store.ActivationQuery{Namespace: "guest"}
	_, err := db.Activations().Count(t.Context(), guest) // the file is known
	require.NoError(t, err)
	require.NoError(t, db.CountDuringCommit(t.Context(), "guest"))
	_, err = db.Activations().Record(t.Context(), listed("guest", 1, 1))
	require.NoError(t, err)
	n, err := db.Activations().Count(t.Context(), guest)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

// TestFarPagesOfEntities: entities are updated and deleted, too.
func TestFarPagesOfEntities(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gowhisk.db")
	db := open(t, sqlite.Options{Path: path})
	entities := db.Entities()
	put := func(e entity.Entity) {
		require.NoError(t, entities.Put(t.Context(), e))
	}
	head := func(path entity.Path, i int) entity.Header {
		return entity.Header{Namespace: path, Name: entity.Name(fmt.Sprintf("e%d", i)), Version: entity.FirstVersion, Updated: int64(i), Annotations: entity.Parameters{}}
	}
	same := func() {
		t.Helper()
		fresh := open(t, sqlite.Options{Path: path}).Entities()
		for _, q := range []store.EntityQuery{
			{Type: entity.TypeAction, Path: "ns"}, {Type: entity.TypeAction, Path: "ns/pkg"}, {Type: entity.TypePackage, Path: "ns"},
			{Type: entity.TypePackage, Path: "ns", PublicOnly: true}, {Type: entity.TypeRule, Path: "ns"},
		} {
			all, err := fresh.List(t.Context(), q)
			require.NoError(t, err)
			n, err := entities.Count(t.Context(), q)
			require.NoError(t, err)
			require.Equal(t, len(all), n, "count of %+v", q)
			for _, q.Skip = range []int{0, 2048, 3500, 5000, len(all)} {
				q.Limit = 5
				page, err := entities.List(t.Context(), q)
				require.NoError(t, err)
				require.Equal(t, len(all[min(q.Skip, len(all)):min(q.Skip+5, len(all))]), len(page), "%+v", q)
				for i := range page {
					require.Equal(t, string(all[q.Skip+i]), string(page[i]), "%+v", q)
				}
			}
		}
	}
	const n = 2_500
	all := make([]entity.Entity, 0, 3*n)
	for i := range n {
		all = append(all,
			&entity.Action{Header: head("ns/pkg", i), Exec: entity.Exec{Kind: "nodejs:20"}, Limits: entity.DefaultLimitRanges().Std()},
			&entity.Action{Header: head("ns", i), Exec: entity.Exec{Kind: "nodejs:20"}, Limits: entity.DefaultLimitRanges().Std()},
			&entity.Package{Header: entity.Header{Namespace: "ns", Name: entity.Name(fmt.Sprintf("p%d", i)), Version: entity.FirstVersion, Updated: int64(i), Publish: i%2 == 0}})
	}
	for _, e := range all {
		put(e)
	}
	same()
	for i, e := range all {
		switch i % 7 {
		case 0:
			e.Head().Updated += 10_000
			e.Head().Publish = !e.Head().Publish
			put(e)
		case 3:
			require.NoError(t, entities.Delete(t.Context(), e))
		}
	}
	same()
	// What fails changes nothing.
	stale := *all[1].(*entity.Action)
	stale.Revision = "1"
	require.ErrorIs(t, entities.Put(t.Context(), &stale), store.ErrConflict)
	require.ErrorIs(t, entities.Delete(t.Context(), &stale), store.ErrConflict)
	// A package takes the place of an action.
	put(&entity.Package{Header: entity.Header{Namespace: "ns", Name: "e1", Version: entity.FirstVersion, Updated: 20_000, Revision: all[4].Head().Revision}})
	same()
}
