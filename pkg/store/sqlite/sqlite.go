// Package sqlite keeps everything in one SQLite file: entities, activation
// records, subjects and limits, and the queues of pkg/bus/local, which shares
// the file so that ending a message and storing its record are one transaction
// (durability.md section 3).
//
// There is one writing connection. Writers that come together share a commit:
// the first of them carries out everybody's operations in one transaction while
// the others wait (see DB.Commit). Readers have their own connections and, with
// the write-ahead log, block nobody. Only the lengths of lists are
// remembered outside of SQLite, and forgotten when another process writes: what an
// admin command does is seen at once.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	driverpkg "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// Synchronous says what a commit waits for.
type Synchronous string

const (
	// Normal survives the death of the process at any point. A power failure may
	// lose the latest commits, never the file.
	Normal Synchronous = "NORMAL"
	// Full also survives power failures: every commit waits for the disk.
	Full Synchronous = "FULL"
)

// Options say which file to open, and how.
type Options struct {
	// Path of the file. It and its directory are made if they are missing,
	// readable by their owner only: the file holds keys.
	Path string
	// Synchronous is Normal if empty.
	Synchronous Synchronous
	// InMemory keeps everything in memory until Close; Path is ignored.
	InMemory bool
}

// ErrClosed: the database was closed.
var ErrClosed = errors.New("the database is closed")

var (
	errForeign = errors.New("the file is the database of another program")
	errNewer   = errors.New("the file was written by a later version of gowhisk")
)

// maxReaders bounds the reading connections; each costs memory for its cache.
const maxReaders = 8

// DB is an open database. All methods are safe for concurrent use.
type DB struct {
	writer  *writer
	readers *readers
	tally   *tally
}

// Open opens the database, makes it if it does not exist, and brings it to the
// present schema. Its errors say what to do about them.
func Open(_ context.Context, o Options) (*DB, error) {
	if o.Synchronous == "" {
		o.Synchronous = Normal
	}
	if o.Synchronous != Normal && o.Synchronous != Full {
		return nil, fmt.Errorf("synchronous %q is neither NORMAL nor FULL", o.Synchronous)
	}
	if o.InMemory {
		return openMemory()
	}
	path, err := prepareFile(o.Path)
	if err != nil {
		return nil, err
	}
	source := dataSource(path)
	c, err := connect(source, writerPragmas(o.Synchronous)...)
	if err != nil {
		return nil, explain(err, path)
	}
	if err := migrate(c); err != nil {
		c.close()
		return nil, explain(err, path)
	}
	t := newTally()
	return &DB{
		writer:  newWriter(c, t),
		readers: newReaders(maxReaders, func() (*conn, error) { return connect(source, readerPragmas()...) }),
		tally:   t,
	}, nil
}

// openMemory uses one connection for everything, for a second one would see
// another database. Readers and writers take turns.
func openMemory() (*DB, error) {
	c, err := connect(":memory:", "temp_store = MEMORY")
	if err != nil {
		return nil, fmt.Errorf("open a database in memory: %w", err)
	}
	if err := migrate(c); err != nil {
		c.close()
		return nil, fmt.Errorf("open a database in memory: %w", err)
	}
	r := newReaders(1, func() (*conn, error) { return nil, ErrClosed })
	r.open = 1
	r.idle <- c
	t := newTally()
	return &DB{writer: newSharedWriter(r, t), readers: r, tally: t}, nil
}

func writerPragmas(s Synchronous) []string {
	return []string{
		fmt.Sprintf("busy_timeout = %d", busyTimeout.Milliseconds()),
		"journal_mode = WAL",
		"synchronous = " + string(s),
		"wal_autocheckpoint = 4000",
		"cache_size = -8192", // commits go through the whole table of cached pages
		"temp_store = MEMORY",
	}
}

func readerPragmas() []string {
	return []string{
		fmt.Sprintf("busy_timeout = %d", busyTimeout.Milliseconds()),
		"cache_size = -8192",
		"temp_store = MEMORY",
		"query_only = 1",
	}
}

// Close waits for the operations under way and closes all connections. Later
// calls of anything return ErrClosed.
func (db *DB) Close() error {
	db.writer.close()
	db.readers.close()
	return nil
}

// prepareFile makes the directory and the file with narrow permissions, which
// SQLite gives to its log files too.
func prepareFile(path string) (string, error) {
	if path == "" {
		return "", errors.New("the database has no path; give one, or keep it in memory")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("make the directory of the database: %w; choose another path, or give this user the right to write there", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", fmt.Errorf("open the database: %w; choose another path, or give this user the right to write there", err)
	}
	return path, f.Close()
}

// dataSource is path as a URI, in which '?' and '%' have no meaning of their own.
func dataSource(path string) string {
	return "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(filepath.ToSlash(path))
}

// explain adds to an error of opening path what the operator can do.
func explain(err error, path string) error {
	var hint string
	var e *driverpkg.Error
	switch {
	case errors.Is(err, errForeign):
		hint = "choose another path"
	case errors.Is(err, errNewer):
		hint = "use that version, or choose another path"
	case errors.As(err, &e):
		switch e.Code() & 0xff {
		case lib.SQLITE_NOTADB:
			hint = "the file is not an SQLite database: choose another path, or move the file away"
		case lib.SQLITE_CORRUPT:
			hint = "the file is damaged: restore a backup, or save what the sqlite3 tool's .recover reads"
		case lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY, lib.SQLITE_PERM:
			hint = "give this user the right to write the file and its directory"
		case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
			hint = "another process holds the file locked: stop it"
		case lib.SQLITE_FULL:
			hint = "the disk is full"
		case lib.SQLITE_IOERR:
			hint = "SQLite needs a file system with locks and shared memory: choose a local one"
		}
	}
	if hint == "" {
		return fmt.Errorf("open the database %s: %w", path, err)
	}
	return fmt.Errorf("open the database %s: %w; %s", path, err, hint)
}
