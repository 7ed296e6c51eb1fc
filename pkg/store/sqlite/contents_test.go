package sqlite_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

// Bounds of waits for a state that nothing signals.
const (
	waitFor = time.Minute
	tick    = time.Millisecond
)

func write(t *testing.T, db *sqlite.DB, query string, args ...any) {
	t.Helper()
	require.NoError(t, db.Write(context.Background(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	}))
}

func number(t *testing.T, db *sqlite.DB, query string) (n int64) {
	t.Helper()
	require.NoError(t, db.Write(context.Background(), func(tx *sqlite.Tx) error {
		return tx.Query(query, func(r *sqlite.Row) error { n = r.Int64(0); return nil })
	}))
	return n
}

// TestListsAreIndexRanges: no list sorts or scans a table, and what is skipped
// is skipped in an index that has all that it takes.
func TestListsAreIndexRanges(t *testing.T) {
	db := open(t, sqlite.Options{InMemory: true})
	for name, query := range sqlite.Queries {
		t.Run(name, func(t *testing.T) {
			var plan []string
			require.NoError(t, db.Write(context.Background(), func(tx *sqlite.Tx) error {
				args := make([]any, strings.Count(query, "?"))
				for i := range args {
					args[i] = int64(1)
				}
				return tx.Query(`EXPLAIN QUERY PLAN `+query, func(r *sqlite.Row) error {
					plan = append(plan, r.String(3))
					return nil
				}, args...)
			}))
			text := strings.Join(plan, "\n")
			if strings.Contains(query, "OFFSET") || strings.Contains(query, "count(") {
				require.Contains(t, text, "USING COVERING INDEX", text)
			}
			for _, line := range plan {
				require.False(t, strings.HasPrefix(line, "SCAN") && line != "SCAN k", "a scan: %s", text)
			}
		})
	}
}

func TestEntitiesOfOneMillisecondAreListedNewestWriteFirst(t *testing.T) {
	ctx := context.Background()
	s := open(t, sqlite.Options{}).Entities()
	first := trigger("a", 1)
	for _, e := range []*entity.Trigger{first, trigger("b", 1), trigger("c", 1)} {
		require.NoError(t, s.Put(ctx, e))
	}
	list := func() (names string) {
		items, err := s.List(ctx, store.EntityQuery{Type: entity.TypeTrigger, Path: "guest"})
		require.NoError(t, err)
		for _, item := range items {
			_, rest, _ := strings.Cut(string(item), `"name":"`)
			names += rest[:1]
		}
		return names
	}
	require.Equal(t, "cba", list())
	require.NoError(t, s.Put(ctx, first))
	require.Equal(t, "acb", list())
}

func TestAttachmentsGoWithTheirCode(t *testing.T) {
	ctx := context.Background()
	db := open(t, sqlite.Options{})
	s := db.Entities()
	attachments := func() int64 { return number(t, db, `SELECT count(*) FROM attachments`) }
	long := strings.Repeat("x ", 1<<16)
	a := &entity.Action{Header: trigger("a", 1).Header, Exec: entity.Exec{Kind: "nodejs:20", Code: &long}}
	for range 3 {
		require.NoError(t, s.Put(ctx, a))
		require.EqualValues(t, 1, attachments())
	}
	short := "x"
	a.Exec.Code = &short
	require.NoError(t, s.Put(ctx, a))
	require.Zero(t, attachments(), "short text is inline")
	zip := "UEsDBA=="
	a.Exec.Code = &zip
	require.NoError(t, s.Put(ctx, a))
	require.EqualValues(t, 1, attachments())
	require.EqualValues(t, 4, number(t, db, `SELECT length(content) FROM attachments`), "base64 is stored decoded")
	require.NoError(t, s.Delete(ctx, a))
	require.Zero(t, attachments())
}

func TestCorruptDocumentIsUnreadable(t *testing.T) {
	db := open(t, sqlite.Options{})
	require.NoError(t, db.Entities().Put(context.Background(), trigger("t", 1)))
	for _, document := range []string{`{"broken`, `{"entityType":"cow"}`, `{}`, `[]`, `null`} {
		write(t, db, `UPDATE entities SET document = ?`, document)
		_, err := db.Entities().Entity(context.Background(), "guest/t")
		require.ErrorIs(t, err, entity.ErrUnreadable, document)
	}
}

func TestUnreadableLimitsAreIgnoredAsAWhole(t *testing.T) {
	ctx := context.Background()
	db := open(t, sqlite.Options{})
	key := entity.NewAuthKey()
	u := &entity.Subject{Name: "alice", Namespaces: []entity.SubjectNamespace{{Name: "alice", AuthKey: key}}}
	require.NoError(t, db.Subjects().PutSubject(ctx, u))
	for _, document := range []string{`{"invocationsPerMinute":1,`, `{"invocationsPerMinute":1,"firesPerMinute":"many"}`, `[]`, `{"invocationsPerMinute":1,"maxPayloadSize":"1 parsec"}`} {
		write(t, db, `INSERT OR REPLACE INTO limits VALUES ('alice', ?)`, document)
		id, err := db.Subjects().IdentityByUUID(ctx, key.UUID)
		require.NoError(t, err)
		require.Equal(t, entity.UserLimits{}, id.Limits, document)
		_, err = db.Subjects().Limits(ctx, "alice")
		require.ErrorIs(t, err, store.ErrNotFound)
	}
}

// A second DB on the file stands for another process: SQLite's locks know no
// difference.
func TestAnotherProcessWritesAtTheSameTime(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gowhisk.db")
	server, admin := open(t, sqlite.Options{Path: path}), open(t, sqlite.Options{Path: path})
	var g errgroup.Group
	for i, db := range []*sqlite.DB{server, admin} {
		for w := range 2 {
			g.Go(func() error {
				for n := range 25 {
					if err := db.Entities().Put(ctx, trigger(fmt.Sprintf("t-%d-%d-%d", i, w, n), 1)); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	require.NoError(t, g.Wait())
	for _, db := range []*sqlite.DB{server, admin} {
		n, err := db.Entities().Count(ctx, store.EntityQuery{Type: entity.TypeTrigger, Path: "guest"})
		require.NoError(t, err)
		require.Equal(t, 100, n)
	}
}

func TestWritesOfOtherProcessesAreSeenAtOnce(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "gowhisk.db")
	server, admin := open(t, sqlite.Options{Path: path}), open(t, sqlite.Options{Path: path})
	require.NoError(t, admin.Entities().Put(ctx, trigger("theirs", 1)))
	_, err := server.Entities().Entity(ctx, "guest/theirs")
	require.NoError(t, err)
}

func TestLongReadEndsWithItsContext(t *testing.T) {
	db := open(t, sqlite.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err := db.Scan(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT i FROM n`, func(r *sqlite.Row) error {
		if r.Int64(0) == 1000 {
			cancel()
		}
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, db.Entities().Put(context.Background(), trigger("t", 1)))
	_, err = db.Entities().Entity(context.Background(), "guest/t")
	require.NoError(t, err, "the connection is fine afterwards")
}
