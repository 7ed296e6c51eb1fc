package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

const (
	// maxBuffered and maxBufferedBytes bound what is read ahead of the claims.
	maxBuffered      = 4096
	maxBufferedBytes = 32 << 20
	// maxHeld bounds what is handed out and not settled: however it lies among what is
	// done, the window's text then fits beside the offset (maxMetadata).
	maxHeld = 640
	// lazyCommit is how long a change that nobody waits for may be uncommitted.
	lazyCommit = 200 * time.Millisecond
)

// item is a message as it lies in the topic.
type item struct {
	offset int64
	raw    []byte
}

// Queue is a topic of activations as its owner has it: an invoker's, or a controller's
// overflow. The window says what became of each message; it is committed before any
// message is handed out. Safe for concurrent use.
type Queue struct {
	bus   *Bus
	topic string
	// relays: its owner passes messages on to other queues and runs none. What it had
	// claimed when it died may be in another queue.
	relays bool
	log    *zap.Logger

	owner   *ownership
	commits chan commitRequest
	soon    chan struct{}   // has a token when a commit is due that nobody waits for
	ctx     context.Context // ends when the queue is closed
	stop    context.CancelFunc
	running sync.WaitGroup

	mu        sync.Mutex
	window    *window        // nil until the topic is owned for the first time
	next      int64          // the first offset that was not read yet
	recoverTo int64          // what an earlier owner may have claimed is before it
	waiting   []item         // open, by offset
	bytes     int            // of waiting
	held      map[int64]item // claimed and moving, by offset
	session   *session       // nil while the topic is not owned
	ahead     claimAhead     // which arrivals are claimed already
	sent      []committed    // what the group's offset may be by this owner's commits
	dirty     bool           // the window has changed since it was last committed
	failure   error          // why the queue is ours no more
	closed    bool
	changed   chan struct{} // closed at every change that somebody may wait for
}

type commitRequest struct{ done chan<- error }

// Queue opens the queue of an invoker, whose topic it creates. The error is
// bus.ErrOwned if another process holds it.
func (b *Bus) Queue(ctx context.Context, invoker entity.InvokerID) (*Queue, error) {
	return b.openQueue(ctx, invokerTopic(invoker), b.unique, false)
}

// OverflowQueue opens the overflow queue of a controller likewise.
func (b *Bus) OverflowQueue(ctx context.Context, controller entity.ControllerID) (*Queue, error) {
	return b.openQueue(ctx, overflowTopic(controller), b.unique, true)
}

func (b *Bus) openQueue(ctx context.Context, topic, instance string, relays bool) (*Queue, error) {
	if err := b.ensure(ctx, topic, work); err != nil {
		return nil, err
	}
	if err := b.reserve(topic); err != nil {
		return nil, err
	}
	q := &Queue{
		bus: b, topic: b.full(topic), relays: relays, log: b.log.With(zap.String("topic", b.full(topic))),
		commits: make(chan commitRequest), soon: make(chan struct{}, 1), held: make(map[int64]item), changed: make(chan struct{}),
	}
	q.ctx, q.stop = context.WithCancel(context.Background())
	var err error
	if q.owner, err = b.own(ctx, q.topic, instance, q); err != nil {
		q.stop()
		b.release(topic)
		return nil, err
	}
	q.running.Go(q.commitLoop)
	return q, nil
}

// reserve lets one queue of a topic be open in this process.
func (b *Bus) reserve(topic string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queues[topic] {
		return fmt.Errorf("%s is open in this process: %w", topic, bus.ErrOwned)
	}
	b.queues[topic] = true
	return nil
}

func (b *Bus) release(topic string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.queues, topic)
}

// notify wakes all who wait for a change. The lock is held.
func (q *Queue) notify() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// await returns when ready does not say false, with the lock held then, or with an
// error and without the lock. ready is called with the lock held.
func (q *Queue) await(ctx context.Context, ready func() bool) error {
	q.mu.Lock()
	for {
		switch {
		case q.closed:
			q.mu.Unlock()
			return bus.ErrClosed
		case q.failure != nil:
			q.mu.Unlock()
			return q.failure
		case ctx.Err() != nil:
			q.mu.Unlock()
			return ctx.Err()
		case ready():
			return nil
		}
		changed := q.changed
		q.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		q.mu.Lock()
	}
}

// hold implements holder.
func (q *Queue) hold(s *session, messages <-chan *sarama.ConsumerMessage) {
	defer q.endSession(s)
	for {
		select {
		case m, ok := <-messages:
			if !ok || !q.take(s, m) {
				return
			}
		case <-s.ctx.Done():
			return
		}
	}
}

func (q *Queue) endSession(s *session) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.session != nil && q.session.generation == s.generation && q.session.member == s.member {
		q.session = nil
		q.notify()
	}
}

// lost implements holder.
func (q *Queue) lost(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failure == nil {
		q.failure = err
	}
	q.session = nil
	q.notify()
}

// take puts a message that was read where it belongs, once there is room.
func (q *Queue) take(s *session, m *sarama.ConsumerMessage) bool {
	room := func() bool {
		return q.window != nil && (m.Offset < q.recoverTo || len(q.waiting) < maxBuffered && q.bytes < maxBufferedBytes || m.Offset < q.next)
	}
	if err := q.await(s.ctx, room); err != nil {
		return false
	}
	defer q.mu.Unlock()
	if m.Offset < q.next {
		return true // read in an earlier session
	}
	for ; q.next < m.Offset; q.next++ {
		q.window.set(q.next, done) // there is no such message
	}
	q.next++
	i := item{m.Offset, m.Value}
	switch q.window.state(m.Offset) {
	case done:
	case open:
		q.wait(i)
	default:
		q.held[m.Offset] = i
	}
	q.notify()
	return true
}

// wait puts an open message among those that wait. The lock is held.
func (q *Queue) wait(i item) {
	at, _ := slices.BinarySearchFunc(q.waiting, i.offset, func(x item, offset int64) int { return int(x.offset - offset) })
	q.waiting = slices.Insert(q.waiting, at, i)
	q.bytes += len(i.raw)
}

// Claim implements bus.Queue.
func (q *Queue) Claim(ctx context.Context, max int) ([]bus.Delivery, error) {
	for {
		items, err := q.hand(ctx, max, claimed)
		if err != nil {
			return nil, err
		}
		deliveries := make([]bus.Delivery, len(items))
		for n, i := range items {
			deliveries[n] = q.delivery(i)
		}
		if deliveries = q.withoutRecorded(ctx, deliveries); len(deliveries) > 0 {
			return deliveries, nil
		}
	}
}

// hand takes waiting messages, at least one and at most max, and returns them when
// their new state is committed, be it ahead of their arrival.
func (q *Queue) hand(ctx context.Context, max int, s state) ([]item, error) {
	if max < 1 {
		return nil, errors.New("claim of less than one message")
	}
	if err := q.await(ctx, func() bool { return q.session != nil && len(q.waiting) > 0 && len(q.held) < maxHeld }); err != nil {
		return nil, err
	}
	n := min(max, len(q.waiting), maxHeld-len(q.held))
	now := time.Now()
	early := 0 // how many were claimed ahead
	for s == claimed && early < n && q.ahead.has(now, q.waiting[early].offset) {
		early++
	}
	if early > 0 {
		n = early
	}
	items := slices.Clone(q.waiting[:n])
	rest := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
	for _, i := range items {
		q.bytes -= len(i.raw)
		q.window.set(i.offset, s)
		q.held[i.offset] = i
	}
	q.dirty = true
	renew := s == claimed && !q.relays && q.ahead.handed(now, n, q.next)
	q.mu.Unlock()
	if early > 0 {
		if renew {
			q.commitSoon()
		}
		return items, nil
	}
	if err := q.commitNow(ctx); err != nil {
		// Perhaps it was committed; nobody has the messages, and the next commit says so.
		q.putBack(items)
		return nil, err
	}
	return items, nil
}

// putBack makes messages open again that nobody got.
func (q *Queue) putBack(items []item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, i := range items {
		if _, ok := q.held[i.offset]; !ok {
			continue
		}
		delete(q.held, i.offset)
		q.window.set(i.offset, open)
		q.wait(i)
	}
	q.dirty = true
	q.notify()
}

func (q *Queue) delivery(i item) bus.Delivery {
	d := bus.Delivery{Offset: i.offset}
	if d.Message, d.Err = bus.ParseActivationMessage(i.raw); d.Err != nil {
		d.Message, d.Raw = nil, i.raw
	}
	q.mu.Lock()
	d.Attempts = q.window.attempts[i.offset]
	q.mu.Unlock()
	return d
}

// Release implements bus.Queue.
func (q *Queue) Release(ctx context.Context, list []bus.Delivery) error {
	var items []item
	q.mu.Lock()
	for _, d := range list {
		if i, ok := q.held[d.Offset]; ok {
			items = append(items, i)
		}
	}
	q.mu.Unlock()
	if len(items) == 0 {
		return nil
	}
	q.putBack(items)
	return q.commitNow(ctx)
}

// Backlog implements bus.Queue.
func (q *Queue) Backlog(ctx context.Context) (int, error) {
	n, err := q.bus.bounds(ctx, q.topic)
	if err != nil {
		return 0, err
	}
	if err := q.await(ctx, func() bool { return q.window != nil }); err != nil {
		return 0, err
	}
	defer q.mu.Unlock()
	return q.window.count(open) + int(max(0, n.newest-max(q.window.high(), n.oldest))), nil
}

// Close implements bus.Queue.
func (q *Queue) Close() error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed = true
	q.notify()
	q.mu.Unlock()
	q.stop()
	q.running.Wait() // with the last commit
	err := q.owner.close()
	q.bus.release(q.topic[len(q.bus.cfg.TopicPrefix):])
	return err
}
