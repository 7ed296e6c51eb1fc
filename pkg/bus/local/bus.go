// Package local is the bus of a single process: a durable queue for each
// invoker in the SQLite file that also holds the records, and completions as
// plain calls.
//
// A message is a row with the states accepted and claimed; settling it stores
// its record and deletes the row in one transaction (durability.md section 3,
// "Standalone"). When a Claim is waiting and nothing older is accepted, Publish
// inserts the row as claimed and hands the very same message to the claimer
// after the commit: a warm call costs one commit before it runs, and is never
// decoded. Otherwise the row waits as accepted, in the file and not in memory.
package local

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

// DefaultMaxMessage is how many bytes of JSON a message may have: 1 MiB of
// payload and as much for the parameters that it is merged over, the 6068 bytes
// that OpenWhisk adds, and room for the caller's identity and limits.
const DefaultMaxMessage = 2<<20 + 6068 + 64<<10

// Options of a Bus; the zero value is ready to use.
type Options struct {
	// MaxMessage bounds a message in bytes of JSON; DefaultMaxMessage if 0.
	MaxMessage int
}

// Bus implements bus.Publisher and bus.Completer, and makes the queues. All
// methods are safe for concurrent use.
type Bus struct {
	db         *sqlite.DB
	maxMessage int

	// epoch is the number of this Bus in the file's life, 0 until begin. It is
	// the upper part of all positions, so they grow across restarts.
	epoch atomic.Int64
	count atomic.Int64 // the lower part of the latest position

	mu       sync.RWMutex // guards the rest
	queues   map[entity.InvokerID]*queue
	handlers map[entity.ControllerID]bus.CompletionHandler
}

var (
	_ bus.Publisher = (*Bus)(nil)
	_ bus.Completer = (*Bus)(nil)
)

// New returns a bus over db, which stays the caller's to close, after the
// queues are closed.
func New(db *sqlite.DB, o Options) *Bus {
	if o.MaxMessage == 0 {
		o.MaxMessage = DefaultMaxMessage
	}
	return &Bus{
		db:         db,
		maxMessage: o.MaxMessage,
		queues:     make(map[entity.InvokerID]*queue),
		handlers:   make(map[entity.ControllerID]bus.CompletionHandler),
	}
}

// countBits is the width of the lower part of positions: enough for 100,000
// messages a second through four months without a restart.
const countBits = 40

// begin draws the epoch before the first message.
func (b *Bus) begin(ctx context.Context) error {
	if b.epoch.Load() != 0 {
		return nil
	}
	var epoch int64
	err := b.db.Write(ctx, func(tx *sqlite.Tx) error {
		if _, err := tx.Exec(`UPDATE sequences SET value = value + 1 WHERE name = 'bus'`); err != nil {
			return err
		}
		return tx.Query(`SELECT value FROM sequences WHERE name = 'bus'`, func(r *sqlite.Row) error { epoch = r.Int64(0); return nil })
	})
	if err != nil {
		return fmt.Errorf("begin a new epoch of the queues: %w", err)
	}
	b.epoch.CompareAndSwap(0, epoch)
	return nil
}

// nextPosition is called by operations only, one at a time, so positions are in
// the order of the commits.
func (b *Bus) nextPosition() int64 { return b.epoch.Load()<<countBits + b.count.Add(1) }

func (b *Bus) queue(invoker entity.InvokerID) *queue {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.queues[invoker]
}

// Queue opens an invoker's queue. A queue has one owner: while it is open, a
// second Queue of the same invoker is an error.
func (b *Bus) Queue(invoker entity.InvokerID) (bus.Queue, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queues[invoker] != nil {
		return nil, fmt.Errorf("the queue of %s has an owner already; give each invoker of this process its own id", invoker)
	}
	q := &queue{bus: b, invoker: invoker, unsure: true, recent: make(map[int64]kept)}
	q.quiet.L = &q.mu
	b.queues[invoker] = q
	return q, nil
}

// HandleCompletions makes h take the completions for the controller until stop
// is called. A later handler of the same controller replaces an earlier one.
func (b *Bus) HandleCompletions(controller entity.ControllerID, h bus.CompletionHandler) (stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handlers[controller] = h
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.handlers, controller)
	}
}

// Complete calls the controller's handler. A completion for nobody is dropped,
// for completions concern only those who wait right now.
func (b *Bus) Complete(_ context.Context, controller entity.ControllerID, c *bus.Completion) error {
	b.mu.RLock()
	h := b.handlers[controller]
	b.mu.RUnlock()
	if h != nil {
		h(c)
	}
	return nil
}
