package sqlite

import (
	"context"
	"math"
	"sort"
	"sync"
)

// A tally knows how many rows of a list lie in which part of it, so that a page far
// down, or the number of all, costs a few thousand steps in an index and not one for
// each row that is passed. SQLite has no such count, and keeping one in tables would
// make every record dearer.
//
// It is made by one scan when a list is first asked for something far down, and then
// told of every change that this process commits. A write of another process drops
// all tallies (checkForeign). Readers and the tally are not one snapshot: a page that
// is read while records come in may be off by those.
type tally struct {
	mu      sync.Mutex // guards the rest
	lists   map[series]*blocks
	version int64 // data_version of the writing connection, 0 before the first check
}

const (
	// blockRows is how many rows a block begins with, and the most rows that a reader
	// passes one by one, but for rows that share one number.
	blockRows = 1024
	// maxBlockRows is when rows have come into one block so much that a new scan pays.
	maxBlockRows = 16 * blockRows
	// maxTallies bounds how many lists are remembered; more start over.
	maxTallies = 4096
	// farDown is from which offset on the tally is asked.
	farDown = 2 * blockRows
)

// series names a list: rows of one table in the order of a number.
type series struct {
	kind seriesKind
	// scope and filter are the arguments of the kind's selection.
	scope, filter string
}

type seriesKind int

const (
	activationsOfNamespace seriesKind = iota
	activationsByName
	entitiesOfNamespace
	entitiesOfPackage
	entitiesPublic
)

// seriesQueries are scan and count of each kind; the index of each list yields both.
var seriesQueries = [...]struct{ scan, count string }{
	activationsOfNamespace: {
		`SELECT start, seq FROM activations WHERE namespace = ? ORDER BY start`,
		`SELECT count(*) FROM activations WHERE namespace = ? AND start >= ? AND start <= ?`,
	},
	activationsByName: {
		`SELECT start, seq FROM activations WHERE namespace = ? AND filter_path = ? ORDER BY start`,
		`SELECT count(*) FROM activations WHERE namespace = ? AND filter_path = ? AND start >= ? AND start <= ?`,
	},
	entitiesOfNamespace: {
		`SELECT updated, seq ` + ofNamespace + ` ORDER BY updated`,
		`SELECT count(*) ` + ofNamespace + ` AND updated >= ? AND updated <= ?`,
	},
	entitiesOfPackage: {
		`SELECT updated, seq ` + ofPackage + ` ORDER BY updated`,
		`SELECT count(*) ` + ofPackage + ` AND updated >= ? AND updated <= ?`,
	},
	entitiesPublic: {
		`SELECT updated, seq ` + ofPublic + ` ORDER BY updated`,
		`SELECT count(*) ` + ofPublic + ` AND updated >= ? AND updated <= ?`,
	},
}

func (s series) args() []any {
	if s.kind == activationsOfNamespace {
		return []any{s.scope}
	}
	return []any{s.scope, s.filter}
}

// change is a row that a transaction put into a list, or took out.
type change struct {
	list    series
	at, seq int64
	removed bool
}

// blocks are the rows of one list. Block i has those from its first number up to the
// next block's; the first has everything before, too.
type blocks struct {
	list []block
	last int64 // the greatest number of any row so far
	// While the scan runs, changes are kept; void says that it is of no use.
	isScanning, isVoid bool
	missed             []change
}

type block struct {
	from int64
	rows int
}

func newTally() *tally { return &tally{lists: make(map[series]*blocks)} }

// commit commits a transaction and takes its changes, in order. It holds the lock
// from before the one to after the other: otherwise a scan could begin and end in
// between, and what it has seen would be counted again.
func (t *tally) commit(changes []change, c *conn) error {
	if len(changes) > 0 {
		t.mu.Lock()
		defer t.mu.Unlock()
	}
	if _, err := c.exec("COMMIT"); err != nil {
		return err
	}
	t.committed(changes)
	return nil
}

// committed applies changes. The lock is held.
func (t *tally) committed(changes []change) {
	if len(changes) == 0 || len(t.lists) == 0 {
		return
	}
	for _, c := range changes {
		b := t.lists[c.list]
		switch {
		case b == nil:
		case b.isScanning && c.removed:
			b.isVoid = true // whether the scan has seen it cannot be told
		case b.isScanning:
			b.missed = append(b.missed, c)
		case !b.apply(c):
			delete(t.lists, c.list)
		}
	}
}

// apply counts a change. It returns false if the list needs a new scan.
func (b *blocks) apply(c change) bool {
	if c.removed {
		i := b.find(c.at)
		if b.list[i].rows--; b.list[i].rows < 0 {
			return false
		}
		for len(b.list) > 1 && b.list[0].rows == 0 {
			b.list = b.list[1:]
		}
		return true
	}
	newest := &b.list[len(b.list)-1]
	if c.at > b.last {
		b.last = c.at
		if newest.rows >= blockRows {
			b.list = append(b.list, block{from: c.at, rows: 1})
			return true
		}
	}
	i := b.find(c.at)
	b.list[i].rows++
	return b.list[i].rows <= maxBlockRows
}

// find returns the block that a number belongs to.
func (b *blocks) find(at int64) int {
	return max(sort.Search(len(b.list), func(i int) bool { return b.list[i].from > at })-1, 0)
}

// tallyOf returns a copy of the blocks of a list, which it scans if need be; nil if
// somebody else is at it.
func (db *DB) tallyOf(ctx context.Context, s series) ([]block, error) {
	if err := db.checkForeign(ctx); err != nil {
		return nil, err
	}
	t := db.tally
	t.mu.Lock()
	b := t.lists[s]
	switch {
	case b == nil:
		if len(t.lists) >= maxTallies {
			clear(t.lists)
		}
		b = &blocks{list: []block{{from: math.MinInt64}}, last: math.MinInt64, isScanning: true}
		t.lists[s] = b
		t.mu.Unlock()
		return db.scanList(ctx, s, b)
	case b.isScanning:
		t.mu.Unlock()
		return nil, nil
	}
	defer t.mu.Unlock()
	return append([]block(nil), b.list...), nil
}

// checkForeign drops all tallies if another process wrote. The number that SQLite
// keeps for the writing connection changes with the commits of others alone.
func (db *DB) checkForeign(ctx context.Context) error {
	var version int64
	err := db.Write(ctx, func(tx *Tx) error {
		return tx.Query("PRAGMA data_version", func(r *Row) error { version = r.Int64(0); return nil })
	})
	if err != nil {
		return err
	}
	db.tally.mu.Lock()
	defer db.tally.mu.Unlock()
	if version != db.tally.version {
		clear(db.tally.lists)
		db.tally.version = version
	}
	return nil
}

// scanList fills the blocks from one snapshot. Rows get a seq above all that there
// are, so those with a seq above the snapshot's greatest are what it missed.
func (db *DB) scanList(ctx context.Context, s series, b *blocks) ([]block, error) {
	found := blocks{list: []block{{from: math.MinInt64}}, last: math.MinInt64}
	var newest int64
	err := db.scan(ctx, seriesQueries[s.kind].scan, func(r *Row) error {
		found.apply(change{at: r.Int64(0)})
		newest = max(newest, r.Int64(1))
		return nil
	}, s.args()...)
	t := db.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	isCurrent := t.lists[s] == b // else it was dropped meanwhile
	for _, c := range b.missed {
		if c.seq > newest {
			found.apply(c)
		}
	}
	if err != nil || b.isVoid || !isCurrent {
		if isCurrent {
			delete(t.lists, s)
		}
		return append([]block(nil), found.list...), err
	}
	*b = found
	return append([]block(nil), b.list...), nil
}

// narrow turns an offset in the rows up to a number, newest first, into a smaller
// offset below a smaller number.
func (db *DB) narrow(ctx context.Context, s series, upto int64, skip int) (int64, int, error) {
	if skip < farDown {
		return upto, skip, nil
	}
	list, err := db.tallyOf(ctx, s)
	if err != nil || list == nil {
		return upto, skip, err
	}
	i := (&blocks{list: list}).find(upto)
	here, err := db.countIn(ctx, s, list, i, upto)
	if err != nil {
		return 0, 0, err
	}
	for skip >= here {
		skip -= here
		if i == 0 {
			return math.MinInt64, 0, nil // behind the oldest
		}
		upto = list[i].from - 1
		i--
		here = list[i].rows
	}
	return upto, skip, nil
}

// countIn returns how many rows of a block there are up to a number.
func (db *DB) countIn(ctx context.Context, s series, list []block, i int, upto int64) (n int, err error) {
	if upto == math.MaxInt64 {
		return list[i].rows, nil
	}
	from := list[i].from
	if i == 0 {
		from = math.MinInt64
	}
	err = db.scan(ctx, seriesQueries[s.kind].count, func(r *Row) error { n = int(r.Int64(0)); return nil }, append(s.args(), from, upto)...)
	return n, err
}

// count returns how many rows there are between two numbers, inclusively.
func (db *DB) count(ctx context.Context, s series, since, upto int64) (n int, err error) {
	list, err := db.tallyOf(ctx, s)
	if err != nil {
		return 0, err
	}
	if list == nil {
		err = db.scan(ctx, seriesQueries[s.kind].count, func(r *Row) error { n = int(r.Int64(0)); return nil }, append(s.args(), since, upto)...)
		return n, err
	}
	n, err = db.countUpto(ctx, s, list, upto)
	if err != nil || since == math.MinInt64 {
		return n, err
	}
	before, err := db.countUpto(ctx, s, list, since-1)
	return max(n-before, 0), err
}

func (db *DB) countUpto(ctx context.Context, s series, list []block, upto int64) (int, error) {
	i := (&blocks{list: list}).find(upto)
	n, err := db.countIn(ctx, s, list, i, upto)
	for _, b := range list[:i] {
		n += b.rows
	}
	return n, err
}
