package local

import (
	"context"
	"fmt"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

const (
	deleteMessage    = `DELETE FROM messages WHERE key = ? AND position = ?`
	deleteUnreadable = `DELETE FROM messages WHERE queue = ? AND position = ?`
	unclaim          = `UPDATE messages SET claimed = 0 WHERE key = ? AND position = ? AND claimed > 0`
	unclaimBroken    = `UPDATE messages SET claimed = 0 WHERE queue = ? AND position = ? AND claimed > 0`
	stillClaimed     = `SELECT position, body, claimed FROM messages WHERE queue = ? AND claimed > 0 ORDER BY position`
	claimAgain       = `UPDATE messages SET claimed = claimed + 1 WHERE queue = ? AND claimed > 0`
)

// Settle implements bus.Queue: the records and the ends of the messages are one
// transaction. It works on a closed queue too, for work that outlives it.
func (q *queue) Settle(ctx context.Context, ended ...bus.Settlement) error {
	s := settlements{queue: q, list: make([]settlement, len(ended))}
	for i, e := range ended {
		s.list[i].delivery = e.Delivery
		if e.Record != nil {
			s.list[i].record = sqlite.EncodeActivation(e.Record)
			s.list[i].records = true
		}
	}
	if err := q.bus.db.Commit(ctx, &s); err != nil {
		return fmt.Errorf("settle %d messages of %s: %w", len(ended), q.invoker, err)
	}
	return nil
}

// settlements is a Settle on its way through a transaction.
type settlements struct {
	queue *queue
	list  []settlement
}

type settlement struct {
	delivery bus.Delivery
	record   sqlite.EncodedActivation
	records  bool
}

// Apply implements sqlite.Operation.
func (s *settlements) Apply(tx *sqlite.Tx) error {
	for i := range s.list {
		e := &s.list[i]
		if e.records {
			if _, err := tx.RecordActivation(&e.record); err != nil {
				return err
			}
		}
		if _, err := s.queue.change(tx, e.delivery, deleteMessage, deleteUnreadable); err != nil {
			return err
		}
	}
	return nil
}

// Settled implements sqlite.Operation.
func (s *settlements) Settled(error) {}

// change runs a statement on the row of d. What could not be read has no id and
// is looked for by its position.
func (q *queue) change(tx *sqlite.Tx, d bus.Delivery, byKey, byPosition string) (int64, error) {
	if d.Message == nil {
		return tx.Exec(byPosition, int64(q.invoker), d.Offset)
	}
	return tx.Exec(byKey, messageKey(q.invoker, d.Message.ActivationID), d.Offset)
}

// Release implements bus.Queue.
func (q *queue) Release(ctx context.Context, deliveries []bus.Delivery) error {
	r := &release{queue: q, deliveries: deliveries}
	if err := q.bus.db.Commit(ctx, r); err != nil {
		return fmt.Errorf("release %d messages of %s: %w", len(deliveries), q.invoker, err)
	}
	return nil
}

// release is a Release on its way through a transaction.
type release struct {
	queue      *queue
	deliveries []bus.Delivery
	released   int
}

// Apply implements sqlite.Operation.
func (r *release) Apply(tx *sqlite.Tx) error {
	r.undo()
	for _, d := range r.deliveries {
		n, err := r.queue.change(tx, d, unclaim, unclaimBroken)
		if err != nil {
			return err
		}
		r.released += int(n)
		r.queue.adjust(int(n))
	}
	return nil
}

// Settled implements sqlite.Operation.
func (r *release) Settled(err error) {
	if err != nil {
		r.undo()
		return
	}
	r.queue.mu.Lock()
	defer r.queue.mu.Unlock()
	r.queue.wakeOne()
}

func (r *release) undo() {
	r.queue.adjust(-r.released)
	r.released = 0
}

// Recover implements bus.Queue.
func (q *queue) Recover(ctx context.Context) ([]bus.Delivery, error) {
	if err := q.usable(); err != nil {
		return nil, err
	}
	var found []bus.Delivery
	err := q.bus.db.Write(ctx, func(tx *sqlite.Tx) error {
		found = nil
		err := tx.Query(stillClaimed, func(r *sqlite.Row) error {
			d := bus.Delivery{Offset: r.Int64(0), Attempts: int(r.Int64(2))}
			decode(&d, r.Bytes(1))
			found = append(found, d)
			return nil
		}, int64(q.invoker))
		if err != nil {
			return err
		}
		// Handing them out again is a claim too, and counts if it ends badly.
		_, err = tx.Exec(claimAgain, int64(q.invoker))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("recover the messages of %s: %w", q.invoker, err)
	}
	return found, nil
}
