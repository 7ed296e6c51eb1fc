package local

import (
	"context"
	"slices"
	"sync"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// queue implements bus.Queue over the rows of one invoker.
//
// Its fields follow the rows: operations change them while they are applied,
// and take the change back if they fail. Lock order: the transaction under way,
// then mu; mu is never held across I/O.
type queue struct {
	bus     *Bus
	invoker entity.InvokerID

	mu sync.Mutex // guards the rest
	// waiters are Claims that found nothing, first come first served.
	waiters []*waiter
	// backlog counts the accepted rows. While unsure, before the first Claim
	// and after a failed commit, it is not known and nothing is handed over.
	backlog int
	unsure  bool
	// inFlight counts messages on their way to waiters, and Claims that look at
	// the rows; quiet is signalled when there are none.
	inFlight int
	quiet    sync.Cond
	// recent keeps some accepted messages by position, to spare decoding them.
	recent      map[int64]kept
	recentBytes int
	closed      bool
}

type kept struct {
	message *bus.ActivationMessage
	size    int
}

// Bounds of what a queue keeps decoded.
const (
	maxRecent      = 1024
	maxRecentBytes = 8 << 20
)

// waiter is a Claim that waits.
type waiter struct {
	max      int
	reserved int // messages on their way to this waiter
	ready    []bus.Delivery
	wake     chan struct{} // has room for one
}

func (w *waiter) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// admit decides, while p is applied, whether p goes to a waiter directly.
func (q *queue) admit(p *publication) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.backlog == 0 && !q.unsure && !q.closed {
		for _, w := range q.waiters {
			if w.reserved+len(w.ready) < w.max {
				w.reserved++
				q.inFlight++
				p.waiter = w
				return
			}
		}
	}
	p.counted = true
	q.backlog++
	if size := len(p.body); len(q.recent) < maxRecent && q.recentBytes+size <= maxRecentBytes {
		q.recent[p.position] = kept{p.message, size}
		q.recentBytes += size
	}
}

// admitted follows a successful commit of p.
func (q *queue) admitted(p *publication) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if p.waiter == nil {
		q.wakeOne()
		return
	}
	p.waiter.ready = append(p.waiter.ready, bus.Delivery{Offset: p.position, Message: p.message})
	q.arrived(p.waiter)
}

// withdraw takes back what admit did.
func (q *queue) withdraw(p *publication) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if p.counted {
		p.counted = false
		q.backlog--
		q.unsure = true // a claim may have counted since
		q.forget(p.position)
	}
	if p.waiter != nil {
		q.arrived(p.waiter)
		p.waiter = nil
	}
}

func (q *queue) forget(position int64) {
	q.recentBytes -= q.recent[position].size
	delete(q.recent, position)
}

// arrived ends one reservation. The operations of one transaction are settled
// together, so the last of them wakes the waiter with all its messages.
func (q *queue) arrived(w *waiter) {
	w.reserved--
	if w.reserved == 0 {
		q.waiters = remove(q.waiters, w)
		w.signal()
	}
	q.landed()
}

func (q *queue) landed() {
	q.inFlight--
	if q.inFlight == 0 {
		q.quiet.Broadcast()
	}
}

// wakeOne sends the first waiter to the rows if there may be some.
func (q *queue) wakeOne() {
	if q.backlog == 0 && !q.unsure {
		return
	}
	for i, w := range q.waiters {
		if w.reserved == 0 {
			q.waiters = slices.Delete(q.waiters, i, i+1)
			w.signal()
			return
		}
	}
}

func remove(list []*waiter, w *waiter) []*waiter {
	if i := slices.Index(list, w); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}

// Close implements bus.Queue. It waits for messages that are on their way to a
// Claim, which returns them, so that the next owner does not recover them.
func (q *queue) Close() error {
	q.mu.Lock()
	q.closed = true
	for _, w := range q.waiters {
		w.signal()
	}
	for q.inFlight > 0 {
		q.quiet.Wait()
	}
	q.mu.Unlock()

	q.bus.mu.Lock()
	defer q.bus.mu.Unlock()
	if q.bus.queues[q.invoker] == q {
		delete(q.bus.queues, q.invoker)
	}
	return nil
}

// Backlog implements bus.Queue.
func (q *queue) Backlog(ctx context.Context) (n int, err error) {
	if err := q.usable(); err != nil {
		return 0, err
	}
	return q.countAccepted(ctx)
}

func (q *queue) usable() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return bus.ErrClosed
	}
	return nil
}
