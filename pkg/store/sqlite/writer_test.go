package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

func insertLimit(tx *sqlite.Tx, namespace string) error {
	_, err := tx.Exec(`INSERT INTO limits (namespace, document) VALUES (?, '{}')`, namespace)
	return err
}

func limitNames(t *testing.T, db *sqlite.DB) (names []string) {
	t.Helper()
	require.NoError(t, db.Write(context.Background(), func(tx *sqlite.Tx) error {
		names = nil
		return tx.Query(`SELECT namespace FROM limits ORDER BY namespace`, func(r *sqlite.Row) error {
			names = append(names, r.String(0))
			return nil
		})
	}))
	return names
}

// held is an operation that keeps a transaction open until the test lets it go.
type held struct {
	begun, proceed chan struct{}
	once           sync.Once
}

func newHeld() *held { return &held{begun: make(chan struct{}), proceed: make(chan struct{})} }

func (h *held) Apply(*sqlite.Tx) error {
	h.once.Do(func() { close(h.begun) })
	<-h.proceed
	return nil
}

func (h *held) Settled(error) {}

// together commits all operations in one transaction, and returns their errors
// in order. It relies on operations joining the transaction under way in the
// order of their Commits.
func together(t *testing.T, db *sqlite.DB, operations ...func(*sqlite.Tx) error) []error {
	t.Helper()
	h := newHeld()
	errs := make([]error, len(operations))
	var wg sync.WaitGroup
	wg.Go(func() { require.NoError(t, db.Commit(context.Background(), h)) })
	<-h.begun
	for i, op := range operations {
		queued := db.Waiting()
		wg.Go(func() { errs[i] = db.Write(context.Background(), op) })
		require.Eventually(t, func() bool { return db.Waiting() > queued }, waitFor, tick)
	}
	close(h.proceed)
	wg.Wait()
	return errs
}

func TestOneFailureLeavesTheOthersOfItsTransaction(t *testing.T) {
	boom := errors.New("boom")
	for name, fail := range map[string]func(*sqlite.Tx) error{
		"BeforeAnyChange": func(*sqlite.Tx) error { return boom },
		"Halfway":         func(tx *sqlite.Tx) error { return errors.Join(insertLimit(tx, "halfway"), boom) },
		"InSQL":           func(tx *sqlite.Tx) error { return errors.Join(insertLimit(tx, "x"), insertLimit(tx, "x"), boom) },
		"AfterUndoing": func(tx *sqlite.Tx) error {
			_, err := tx.Exec(`DELETE FROM limits WHERE namespace = 'a'`)
			return errors.Join(err, boom)
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, sqlite.Options{})
			runs := 0
			errs := together(t, db,
				func(tx *sqlite.Tx) error { runs++; return insertLimit(tx, "a") },
				fail,
				func(tx *sqlite.Tx) error { return insertLimit(tx, "b") },
				fail,
				func(tx *sqlite.Tx) error { return insertLimit(tx, "c") })
			require.NoError(t, errs[0])
			require.ErrorIs(t, errs[1], boom)
			require.NoError(t, errs[2])
			require.ErrorIs(t, errs[3], boom)
			require.NoError(t, errs[4])
			require.Equal(t, []string{"a", "b", "c"}, limitNames(t, db))
			require.LessOrEqual(t, runs, 2)
		})
	}
}

func TestFullDiskFailsOnlyWhatDoesNotFit(t *testing.T) {
	db := open(t, sqlite.Options{})
	big := strings.Repeat("x", 1<<20)
	errs := together(t, db,
		func(tx *sqlite.Tx) error {
			return tx.Query(`PRAGMA max_page_count = 100`, func(*sqlite.Row) error { return nil })
		},
		func(tx *sqlite.Tx) error { return insertLimit(tx, "a") },
		func(tx *sqlite.Tx) error { return insertLimit(tx, big) },
		func(tx *sqlite.Tx) error { return insertLimit(tx, "b") })
	require.NoError(t, errs[1])
	require.ErrorContains(t, errs[2], "full")
	require.NoError(t, errs[3])
	require.Equal(t, []string{"a", "b"}, limitNames(t, db))
}

func TestPanicReachesItsCallerOnly(t *testing.T) {
	db := open(t, sqlite.Options{})
	panicked := make(chan any, 1)
	errs := together(t, db, func(tx *sqlite.Tx) error { return insertLimit(tx, "a") })
	require.NoError(t, errs[0])
	func() {
		defer func() { panicked <- recover() }()
		_ = db.Write(context.Background(), func(tx *sqlite.Tx) error {
			_ = insertLimit(tx, "lost")
			panic("boom")
		})
	}()
	require.Equal(t, "boom", <-panicked)
	require.NoError(t, db.Write(context.Background(), func(tx *sqlite.Tx) error { return insertLimit(tx, "b") }))
	require.Equal(t, []string{"a", "b"}, limitNames(t, db))
}

func TestWaitingOperationIsWithdrawnWithItsContext(t *testing.T) {
	db := open(t, sqlite.Options{})
	h := newHeld()
	var wg sync.WaitGroup
	wg.Go(func() { require.NoError(t, db.Commit(context.Background(), h)) })
	<-h.begun
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error, 1)
	go func() {
		failed <- db.Write(ctx, func(tx *sqlite.Tx) error { return insertLimit(tx, "never") })
	}()
	require.Eventually(t, func() bool { return db.Waiting() == 1 }, waitFor, tick)
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled, "while the transaction before it still runs")
	close(h.proceed)
	wg.Wait()
	require.Empty(t, limitNames(t, db))
}

func TestCloseWaitsForThoseWhoCameBefore(t *testing.T) {
	db := open(t, sqlite.Options{})
	h := newHeld()
	results := make(chan error, 2)
	go func() { results <- db.Commit(context.Background(), h) }()
	<-h.begun
	go func() {
		results <- db.Write(context.Background(), func(tx *sqlite.Tx) error { return insertLimit(tx, "a") })
	}()
	require.Eventually(t, func() bool { return db.Waiting() == 1 }, waitFor, tick)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = db.Close()
	}()
	close(h.proceed)
	require.NoError(t, <-results)
	require.NoError(t, <-results)
	<-closed
}

// settling records the order in which operations are told.
type settling struct {
	log  *[]string
	name string
}

func (s settling) Apply(tx *sqlite.Tx) error {
	*s.log = append(*s.log, "apply "+s.name) // one operation runs at a time
	return insertLimit(tx, s.name)
}

func (s settling) Settled(err error) {
	*s.log = append(*s.log, fmt.Sprint("settled ", s.name, " ", err))
}

func TestOperationsAreSettledBeforeTheNextTransaction(t *testing.T) {
	db := open(t, sqlite.Options{})
	var log []string
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { require.NoError(t, db.Commit(context.Background(), settling{&log, fmt.Sprintf("%02d", i)})) })
	}
	wg.Wait()
	require.Len(t, log, 40)
	settled, open := 0, 0
	for _, line := range log {
		if strings.HasPrefix(line, "apply") {
			require.True(t, settled == 0 || open == 0, "applied while a transaction was being settled: %q", log)
			settled = 0
			open++
		} else {
			open--
			settled++
		}
	}
	require.Zero(t, open)
}
