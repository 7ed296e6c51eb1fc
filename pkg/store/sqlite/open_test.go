package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

func trigger(name string, updated int64) *entity.Trigger {
	return &entity.Trigger{Header: entity.Header{Namespace: "guest", Name: entity.Name(name), Version: entity.FirstVersion, Updated: updated}}
}

func TestOpenMakesAPrivateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "directory", "gowhisk.db")
	db := open(t, sqlite.Options{Path: path})
	require.NoError(t, db.Entities().Put(context.Background(), trigger("t", 1)))
	for _, p := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(p)
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, "%s has mode %v; it holds keys", p, info.Mode())
	}
}

func TestOpenTakesAnyPath(t *testing.T) {
	for _, name := range []string{"a b.db", "what?mode=ro", "100%25.db", "#1.db", "ä€.db", "a&b=c.db"} {
		path := filepath.Join(t.TempDir(), name)
		open(t, sqlite.Options{Path: path})
		require.FileExists(t, path)
	}
}

func TestContentSurvivesReopening(t *testing.T) {
	for _, synchronous := range []sqlite.Synchronous{sqlite.Normal, sqlite.Full} {
		path := filepath.Join(t.TempDir(), "gowhisk.db")
		for i := range 3 {
			db, err := sqlite.Open(context.Background(), sqlite.Options{Path: path, Synchronous: synchronous})
			require.NoError(t, err)
			require.NoError(t, db.Entities().Put(context.Background(), trigger(fmt.Sprint("t", i), 1)))
			n, err := db.Entities().Count(context.Background(), store.EntityQuery{Type: entity.TypeTrigger, Path: "guest"})
			require.NoError(t, err)
			require.Equal(t, i+1, n)
			require.NoError(t, db.Close())
		}
	}
}

func TestMemoryIsPrivateToEachDB(t *testing.T) {
	one, two := open(t, sqlite.Options{InMemory: true}), open(t, sqlite.Options{InMemory: true})
	require.NoError(t, one.Entities().Put(context.Background(), trigger("t", 1)))
	_, err := two.Entities().Entity(context.Background(), "guest/t")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestOpenErrorsSayWhatToDo(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("no database at all, but long enough to have a header that SQLite would read and not like, not at all"), 0o600))

	newer := filepath.Join(dir, "newer.db")
	db, err := sqlite.Open(context.Background(), sqlite.Options{Path: newer})
	require.NoError(t, err)
	require.NoError(t, db.Write(context.Background(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec("PRAGMA user_version = 99")
		return err
	}))
	require.NoError(t, db.Close())

	foreign := filepath.Join(dir, "foreign.db")
	db, err = sqlite.Open(context.Background(), sqlite.Options{Path: foreign})
	require.NoError(t, err)
	require.NoError(t, db.Write(context.Background(), func(tx *sqlite.Tx) error {
		_, err := tx.Exec("PRAGMA application_id = 7")
		return err
	}))
	require.NoError(t, db.Close())

	for name, c := range map[string]struct {
		options sqlite.Options
		texts   []string
	}{
		"NoPath":         {sqlite.Options{}, []string{"no path", "in memory"}},
		"BadSynchronous": {sqlite.Options{Path: filepath.Join(dir, "x"), Synchronous: "SOMETIMES"}, []string{"NORMAL nor FULL"}},
		"FileAsFolder":   {sqlite.Options{Path: filepath.Join(file, "x.db")}, []string{"choose another path"}},
		"Folder":         {sqlite.Options{Path: dir}, []string{"choose another path"}},
		"NotADatabase":   {sqlite.Options{Path: file}, []string{file, "not an SQLite database", "move the file away"}},
		"NewerSchema":    {sqlite.Options{Path: newer}, []string{newer, "schema version 99", "use that version"}},
		"OtherProgram":   {sqlite.Options{Path: foreign}, []string{foreign, "another program", "choose another path"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sqlite.Open(context.Background(), c.options)
			require.Error(t, err)
			for _, text := range c.texts {
				require.ErrorContains(t, err, text)
			}
		})
	}
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(content), "no database at all", "what is not ours stays as it is")
}

func TestClosedRefusesEverything(t *testing.T) {
	ctx := context.Background()
	for _, o := range []sqlite.Options{{}, {InMemory: true}} {
		db := open(t, o)
		require.NoError(t, db.Close())
		_, err := db.Entities().Entity(ctx, "guest/t")
		require.ErrorIs(t, err, sqlite.ErrClosed)
		require.ErrorIs(t, db.Entities().Put(ctx, trigger("t", 1)), sqlite.ErrClosed)
		require.NoError(t, db.Close())
	}
}
