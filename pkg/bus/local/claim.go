package local

import (
	"context"
	"fmt"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

// Claim implements bus.Queue. If ctx ends while a message is on its way, the
// message is returned and not the context's error.
func (q *queue) Claim(ctx context.Context, max int) ([]bus.Delivery, error) {
	if max < 1 {
		return nil, fmt.Errorf("claim from %s: max is %d, must be positive", q.invoker, max)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		w, err := q.wait(max)
		if err != nil {
			return nil, err
		}
		var claimed []bus.Delivery
		if w == nil {
			claimed, err = q.claimStored(ctx, max)
		} else {
			claimed = q.await(ctx, w)
		}
		if len(claimed) > 0 || err != nil {
			return claimed, err
		}
	}
}

// wait registers a waiter, or returns nil if there are rows to look at.
func (q *queue) wait(max int) (*waiter, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, bus.ErrClosed
	}
	if q.backlog > 0 || q.unsure {
		q.inFlight++ // until claimStored returns
		return nil, nil
	}
	w := &waiter{max: max, wake: make(chan struct{}, 1)}
	q.waiters = append(q.waiters, w)
	return w, nil
}

// await waits for messages, or for a reason to look for some again.
func (q *queue) await(ctx context.Context, w *waiter) []bus.Delivery {
	select {
	case <-w.wake:
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiters = remove(q.waiters, w)
	for w.reserved > 0 { // they are being committed as claimed: somebody must take them
		q.mu.Unlock()
		<-w.wake
		q.mu.Lock()
	}
	if len(w.ready) == 0 {
		// Woken for rows that the caller may not look at any more.
		q.wakeOne()
	}
	return w.ready
}

// claimStored claims accepted rows.
func (q *queue) claimStored(ctx context.Context, max int) ([]bus.Delivery, error) {
	defer func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.landed()
	}()
	c := &claim{queue: q, max: max}
	if err := q.bus.db.Commit(ctx, c); err != nil {
		return nil, fmt.Errorf("claim from %s: %w", q.invoker, err)
	}
	deliveries := make([]bus.Delivery, len(c.rows))
	for i, r := range c.rows {
		deliveries[i] = bus.Delivery{Offset: r.position, Message: r.message}
		if r.message == nil {
			decode(&deliveries[i], r.body)
		}
	}
	return deliveries, nil
}

func decode(d *bus.Delivery, body []byte) {
	m, err := bus.ParseActivationMessage(body)
	if err != nil {
		d.Raw, d.Err = body, err
		return
	}
	d.Message = m
}

// claim is a claimStored on its way through a transaction.
type claim struct {
	queue *queue
	max   int
	rows  []claimedRow
	// What Apply did to the queue's backlog.
	delta   int
	applied bool
}

type claimedRow struct {
	key, position int64
	message       *bus.ActivationMessage // if it was kept
	body          []byte                 // if it was not
}

const (
	oldestAccepted = `SELECT key, position FROM messages INDEXED BY messages_accepted
		WHERE queue = ? AND claimed = 0 ORDER BY position LIMIT ?`
	markClaimed   = `UPDATE messages SET claimed = 1 WHERE queue = ? AND claimed = 0 AND position <= ?`
	bodyByKey     = `SELECT body FROM messages WHERE key = ?`
	countAccepted = `SELECT count(*) FROM messages INDEXED BY messages_accepted WHERE queue = ? AND claimed = 0`
)

// Apply implements sqlite.Operation.
func (c *claim) Apply(tx *sqlite.Tx) error {
	c.undo()
	c.applied = true
	if err := c.queue.recount(tx); err != nil {
		return err
	}
	c.rows = c.rows[:0]
	err := tx.Query(oldestAccepted, func(r *sqlite.Row) error {
		c.rows = append(c.rows, claimedRow{key: r.Int64(0), position: r.Int64(1)})
		return nil
	}, int64(c.queue.invoker), c.max)
	if err != nil {
		return err
	}
	if len(c.rows) == 0 {
		c.queue.empty()
		return nil
	}
	if err := c.readBodies(tx); err != nil {
		return err
	}
	last := c.rows[len(c.rows)-1].position
	if _, err := tx.Exec(markClaimed, int64(c.queue.invoker), last); err != nil {
		return err
	}
	c.delta = -len(c.rows)
	c.queue.adjust(c.delta)
	return nil
}

func (c *claim) readBodies(tx *sqlite.Tx) error {
	c.queue.mu.Lock()
	for i := range c.rows {
		c.rows[i].message = c.queue.recent[c.rows[i].position].message
	}
	c.queue.mu.Unlock()
	for i := range c.rows {
		row := &c.rows[i]
		if row.message != nil {
			continue
		}
		err := tx.Query(bodyByKey, func(r *sqlite.Row) error { row.body = r.Bytes(0); return nil }, row.key)
		if err != nil {
			return err
		}
	}
	return nil
}

// Settled implements sqlite.Operation.
func (c *claim) Settled(err error) {
	if err != nil {
		c.undo()
		return
	}
	c.queue.claimed(c.rows)
}

func (c *claim) undo() {
	if c.applied {
		c.applied = false
		c.queue.adjust(-c.delta)
		c.queue.doubt()
		c.delta = 0
	}
}

// claimed forgets messages that were kept until now, and sends the next waiter
// to what is left.
func (q *queue) claimed(rows []claimedRow) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range rows {
		q.forget(r.position)
	}
	q.wakeOne()
}

// empty follows a look at the rows that found none.
func (q *queue) empty() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.backlog = 0
}

func (q *queue) adjust(delta int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.backlog += delta
}

// doubt makes the next claim count the rows.
func (q *queue) doubt() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unsure = true
}

// recount counts the accepted rows if their number is in doubt.
func (q *queue) recount(tx *sqlite.Tx) error {
	q.mu.Lock()
	unsure := q.unsure
	q.mu.Unlock()
	if !unsure {
		return nil
	}
	n, err := countRows(tx, q)
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.backlog, q.unsure = n, false
	return nil
}

func countRows(tx *sqlite.Tx, q *queue) (n int, err error) {
	err = tx.Query(countAccepted, func(r *sqlite.Row) error { n = int(r.Int64(0)); return nil }, int64(q.invoker))
	return n, err
}

func (q *queue) countAccepted(ctx context.Context) (n int, err error) {
	err = q.bus.db.Write(ctx, func(tx *sqlite.Tx) (err error) {
		n, err = countRows(tx, q)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("count the backlog of %s: %w", q.invoker, err)
	}
	return n, nil
}
