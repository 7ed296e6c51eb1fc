package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	driverpkg "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// maxBatch bounds how many operations share a transaction.
const maxBatch = 512

// Operation is one caller's part of a transaction that it shares with others.
type Operation interface {
	// Apply does the work. It runs again, in a new transaction, if another
	// operation of the batch failed halfway; each run starts from the state
	// without the earlier one. An error undoes what this Apply did, and nothing
	// else. It must not wait for anything but tx.
	Apply(tx *Tx) error
	// Settled is called once, after the commit with nil, else with the error:
	// before any operation of a later transaction is applied, and before Commit
	// returns. It must not block.
	Settled(err error)
}

// Tx is the transaction that an operation takes part in.
type Tx struct {
	conn *conn
	// changes are for the tally, once the transaction is committed.
	changes []change
	// changed counts rows, to tell whether a failed operation left traces.
	changed int64
}

// Exec runs an INSERT, UPDATE or DELETE, a constant text, and returns how many
// rows it changed. Arguments are int64, int, *int64, string, []byte or nil.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	n, err := tx.conn.exec(query, args...)
	tx.changed += n
	return n, err
}

// Query runs a SELECT and calls each for every row.
func (tx *Tx) Query(query string, each func(*Row) error, args ...any) error {
	return tx.conn.query(context.Background(), query, each, args...)
}

// Commit applies op in a transaction and returns when it is durable, or with
// the error of Apply or of the commit. If ctx ends before op was begun, op is
// withdrawn and the context's error returned.
//
// Operations that arrive while a transaction is under way wait and then go
// together into the next one, carried out by the goroutine of the first of
// them. So a lone writer changes no goroutine, and many share the cost of the
// commit.
func (db *DB) Commit(ctx context.Context, op Operation) error {
	return db.writer.commit(ctx, op)
}

// Write is Commit for a function, under the rules of Operation.Apply.
func (db *DB) Write(ctx context.Context, apply func(*Tx) error) error {
	return db.writer.commit(ctx, operationFunc(apply))
}

type operationFunc func(*Tx) error

func (f operationFunc) Apply(tx *Tx) error { return f(tx) }
func (f operationFunc) Settled(error)      {}

// writer owns the writing connection.
type writer struct {
	take  func() (*conn, error)
	give  func(*conn)
	tally *tally
	// changes is memory of the one who leads.
	changes []change

	mu      sync.Mutex // guards the rest
	queue   []*pending // waiting for the transaction under way to end
	leading bool       // somebody carries out a transaction
	closed  bool
	idle    sync.Cond // signalled when leading becomes false
	dispose func()
}

func newWriter(c *conn, t *tally) *writer {
	return makeWriter(t, func() (*conn, error) { return c, nil }, func(*conn) {}, c.close)
}

// newSharedWriter writes with a connection of r, taking turns with the readers.
func newSharedWriter(r *readers, t *tally) *writer {
	return makeWriter(t, func() (*conn, error) { return r.take(context.Background()) }, r.give, func() {})
}

func makeWriter(t *tally, take func() (*conn, error), give func(*conn), dispose func()) *writer {
	w := &writer{tally: t, take: take, give: give, dispose: dispose}
	w.idle.L = &w.mu
	return w
}

// pending is an operation on its way.
type pending struct {
	op       Operation
	err      error
	panicked any
	// turn receives true when the operation's goroutine is to lead, false when
	// the operation has been carried out.
	turn chan bool
	// batch is used while leading.
	batch []*pending
}

var pendings = sync.Pool{New: func() any { return &pending{turn: make(chan bool, 1)} }}

func (w *writer) commit(ctx context.Context, op Operation) error {
	if err := ctx.Err(); err != nil {
		op.Settled(err)
		return err
	}
	p := pendings.Get().(*pending)
	p.op, p.err, p.panicked = op, nil, nil
	w.enter(ctx, p)
	err, panicked := p.err, p.panicked
	p.op, p.panicked = nil, nil
	pendings.Put(p)
	if panicked != nil {
		panic(panicked)
	}
	return err
}

// enter sees p through: as the leader, as part of somebody's batch, or withdrawn.
func (w *writer) enter(ctx context.Context, p *pending) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		p.settle(ErrClosed)
		return
	}
	if !w.leading {
		w.leading = true
		w.mu.Unlock()
		w.lead(p)
		return
	}
	w.queue = append(w.queue, p)
	w.mu.Unlock()
	select {
	case lead := <-p.turn:
		if lead {
			// Those whom the last transaction woke may have more to write: let them
			// come along.
			runtime.Gosched()
			w.lead(p)
		}
	case <-ctx.Done():
		if w.withdraw(p) {
			p.settle(ctx.Err())
		} else if lead := <-p.turn; lead {
			w.lead(p)
		}
	}
}

func (w *writer) withdraw(p *pending) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, q := range w.queue {
		if q == p {
			w.queue = append(w.queue[:i], w.queue[i+1:]...)
			return true
		}
	}
	return false
}

// lead carries out one transaction for p and those who wait, then lets the next
// one lead.
func (w *writer) lead(p *pending) {
	batch := append(p.batch[:0], p)
	batch = w.transact(batch)
	for _, q := range batch {
		q.settle(q.err)
	}
	w.mu.Lock()
	if len(w.queue) > 0 {
		next := w.queue[0]
		w.queue = append(w.queue[:0], w.queue[1:]...)
		next.turn <- true
	} else {
		w.leading = false
		w.idle.Broadcast()
	}
	w.mu.Unlock()
	for _, q := range batch[1:] {
		q.turn <- false
	}
	clear(batch)
	p.batch = batch
}

func (p *pending) settle(err error) {
	p.err = err
	p.op.Settled(err)
}

// join moves waiting operations into the batch.
func (w *writer) join(batch []*pending) []*pending {
	w.mu.Lock()
	n := min(len(w.queue), maxBatch-len(batch))
	batch = append(batch, w.queue[:n]...)
	w.queue = append(w.queue[:0], w.queue[n:]...)
	w.mu.Unlock()
	return batch
}

// transact applies the batch, and whoever arrives meanwhile, in one
// transaction, and sets the errors of all in the batch that it returns.
func (w *writer) transact(batch []*pending) []*pending {
	c, err := w.take()
	if err != nil {
		return failAll(batch, err)
	}
	defer w.give(c)
	tx := &Tx{conn: c, changes: w.changes[:0]}
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return failAll(batch, fmt.Errorf("begin a transaction: %w", err))
	}
	for i := 0; ; i++ {
		if i == len(batch) {
			if batch = w.join(batch); i == len(batch) {
				break
			}
		}
		before, noted := tx.changed, len(tx.changes)
		batch[i].apply(tx)
		if batch[i].err != nil {
			tx.changes = tx.changes[:noted]
		}
		if batch[i].err != nil && (tx.changed != before || isFatal(batch[i].err)) {
			_, _ = c.exec("ROLLBACK") // fails if SQLite has rolled back already
			return w.again(c, batch)
		}
	}
	return w.commitAll(tx, batch)
}

// again applies what has not failed of a batch that was rolled back, each
// operation in a savepoint of its own: slower, and needed only here.
func (w *writer) again(c *conn, batch []*pending) []*pending {
	if len(batch) == 1 {
		return batch
	}
	tx := &Tx{conn: c, changes: w.changes[:0]}
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return failAll(batch, fmt.Errorf("begin a transaction: %w", err))
	}
	for _, p := range batch {
		if p.err != nil {
			continue
		}
		if err := p.applyAlone(tx); err != nil {
			_, _ = c.exec("ROLLBACK")
			return failAll(batch, err)
		}
	}
	return w.commitAll(tx, batch)
}

// commitAll ends a transaction in which the batch was applied.
func (w *writer) commitAll(tx *Tx, batch []*pending) []*pending {
	err := w.tally.commit(tx.changes, tx.conn)
	if err != nil {
		_, _ = tx.conn.exec("ROLLBACK")
		return failAll(batch, fmt.Errorf("commit: %w", err))
	}
	w.changes = tx.changes // its memory, for the next one
	return batch
}

// applyAlone applies p within a savepoint. Its error means that the whole
// transaction is lost.
func (p *pending) applyAlone(tx *Tx) error {
	if _, err := tx.conn.exec("SAVEPOINT operation"); err != nil {
		return err
	}
	before := len(tx.changes)
	p.apply(tx)
	if p.err != nil {
		tx.changes = tx.changes[:before]
		if _, err := tx.conn.exec("ROLLBACK TO operation"); err != nil {
			return errors.Join(p.err, err)
		}
	}
	_, err := tx.conn.exec("RELEASE operation")
	return err
}

// apply keeps a panic for the goroutine whose operation it is, so that the
// others of the batch are carried out.
func (p *pending) apply(tx *Tx) {
	defer func() {
		if r := recover(); r != nil {
			p.panicked = r
			p.err = fmt.Errorf("panic in a database operation: %v", r)
			tx.changed++ // unknown how far it came: roll back
		}
	}()
	p.err = p.op.Apply(tx)
}

func failAll(batch []*pending, err error) []*pending {
	for _, p := range batch {
		if p.err == nil {
			p.err = err
		}
	}
	return batch
}

// close waits for the transaction under way, and for those who wait already.
func (w *writer) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.closed = true
	for w.leading {
		w.idle.Wait()
	}
	w.dispose()
}

// isFatal reports whether SQLite may have rolled the whole transaction back
// (https://www.sqlite.org/lang_transaction.html, "Response To Errors").
func isFatal(err error) bool {
	var e *driverpkg.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_NOMEM, lib.SQLITE_BUSY, lib.SQLITE_INTERRUPT, lib.SQLITE_CORRUPT:
		return true
	}
	return false
}
