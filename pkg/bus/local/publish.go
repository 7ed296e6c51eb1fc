package local

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

// Publish implements bus.Publisher. m must not change afterwards, for the
// claimer may get the same pointer.
func (b *Bus) Publish(ctx context.Context, invoker entity.InvokerID, m *bus.ActivationMessage) error {
	if err := b.begin(ctx); err != nil {
		return err
	}
	p := publications.Get().(*publication)
	p.bus, p.invoker, p.message = b, invoker, m
	p.body = m.AppendJSON(p.body[:0])
	if len(p.body) > b.maxMessage {
		err := fmt.Errorf("%w: activation %s has %d bytes, allowed are %d", bus.ErrTooLarge, m.ActivationID, len(p.body), b.maxMessage)
		p.recycle()
		return err
	}
	err := b.db.Commit(ctx, p)
	p.recycle()
	if err != nil {
		return fmt.Errorf("publish activation %s to %s: %w", m.ActivationID, invoker, err)
	}
	return nil
}

// publication is a Publish on its way through a transaction.
type publication struct {
	bus      *Bus
	invoker  entity.InvokerID
	message  *bus.ActivationMessage
	body     []byte
	position int64
	// What Apply did to the queue, nil if it has no owner: given to a waiter,
	// or counted as backlog.
	queue   *queue
	waiter  *waiter
	counted bool
}

// publications keeps the buffers of the encoded messages.
var publications = sync.Pool{New: func() any { return &publication{body: make([]byte, 0, 2048)} }}

func (p *publication) recycle() {
	body := p.body
	if cap(body) > 64<<10 {
		body = make([]byte, 0, 2048) // one large payload must not stay for ever
	}
	*p = publication{body: body}
	publications.Put(p)
}

const (
	insertMessage = `INSERT INTO messages (key, queue, position, claimed, id, body) VALUES (?,?,?,?,?,?) ON CONFLICT (key) DO NOTHING`
	messageByKey  = `SELECT queue, id FROM messages WHERE key = ?`
)

// Apply implements sqlite.Operation.
func (p *publication) Apply(tx *sqlite.Tx) error {
	p.undo()
	if p.message.Republished {
		if ended, err := hasRecord(tx, entity.Path(p.message.User.Namespace), p.message.ActivationID); err != nil || ended {
			return duplicateIf(ended, err)
		}
	}
	p.position = p.bus.nextPosition()
	if p.queue = p.bus.queue(p.invoker); p.queue != nil {
		p.queue.admit(p)
	}
	var claimed int64
	if p.waiter != nil {
		claimed = 1
	}
	key, id := messageKey(p.invoker, p.message.ActivationID), string(p.message.ActivationID)
	n, err := tx.Exec(insertMessage, key, int64(p.invoker), p.position, claimed, id, p.body)
	if err != nil || n > 0 {
		return err
	}
	err = errKeyTaken
	found := func(r *sqlite.Row) error {
		if r.Int64(0) == int64(p.invoker) && r.String(1) == id {
			err = bus.ErrDuplicate
		}
		return nil
	}
	return errors.Join(tx.Query(messageByKey, found, key), err)
}

// errKeyTaken: two ids have the same key, which is one case in 10^15 with a
// thousand messages queued.
var errKeyTaken = errors.New("the id is too similar to that of another activation; try again with a new one")

// Settled implements sqlite.Operation.
func (p *publication) Settled(err error) {
	if err != nil {
		p.undo()
		return
	}
	if p.queue != nil {
		p.queue.admitted(p)
	}
}

// undo takes back what an earlier Apply did to the queue.
func (p *publication) undo() {
	if p.queue != nil {
		p.queue.withdraw(p)
		p.queue = nil
	}
}

// messageKey is a stable hash (FNV-1a) of queue and id: the row of a message.
func messageKey(invoker entity.InvokerID, id entity.ActivationID) int64 {
	h := uint64(14695981039346656037) ^ uint64(invoker)*0x9e3779b97f4a7c15
	for i := 0; i < len(id); i++ {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return int64(h >> 1)
}
