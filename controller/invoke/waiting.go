package invoke

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// queue names what waits in one line: new activations of an action go behind those of
// the same namespace that wait already.
type queue struct {
	namespace string
	action    entity.FQN
}

func (p *Placement) queue() queue { return queue{p.Namespace, p.Action} }

// lines count the activations that wait in the overflow queue, by their line.
type lines struct {
	// total is read without the lock: while nothing waits, which is nearly always, an
	// invocation pays for one load.
	total atomic.Int64
	mu    sync.Mutex
	m     map[queue]int // guarded by mu
}

func (l *lines) enter(q queue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m == nil {
		l.m = make(map[queue]int)
	}
	l.m[q]++
	l.total.Add(1)
}

func (l *lines) leave(q queue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m[q]--; l.m[q] <= 0 {
		delete(l.m, q)
	}
	l.total.Add(-1)
}

func (l *lines) has(q queue) bool {
	if l.total.Load() == 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.m[q] > 0
}

// overflow is the place of what no invoker has room for.
const overflow entity.InvokerID = -1

func placement(namespace string, action *entity.Action) Placement {
	return Placement{
		Namespace: namespace, Action: action.FQN(), Version: action.Version,
		Memory: action.Limits.Memory, Concurrency: action.Limits.Concurrency,
		Kind: action.Exec.Kind, Image: action.Exec.Image,
	}
}

// choose books room on an invoker, or says that the activation is to wait: because all
// are busy, or because others of its action wait already, which it must not overtake.
func (v *Invoker) choose(ctx context.Context, r *Request, p *Placement) (entity.InvokerID, error) {
	err := ErrNoRoom
	if !v.lines.has(p.queue()) {
		var invoker entity.InvokerID
		if invoker, err = v.deps.Balancer.Choose(ctx, *p); err == nil {
			return invoker, nil
		}
	}
	if !errors.Is(err, ErrNoRoom) || v.deps.Overflow == nil {
		return 0, fmt.Errorf("choose an invoker: %w", err)
	}
	// What belongs to something that was accepted is not refused for it.
	if waiting := v.Waiting(); waiting >= v.cfg.MaxWaiting && r.Cause == "" && !r.Republished {
		return 0, fmt.Errorf("%w, and %d activations wait for them", ErrNoRoom, waiting)
	}
	return overflow, nil
}

// Waiting returns how many activations wait in the overflow queue.
func (v *Invoker) Waiting() int { return int(v.lines.total.Load()) }

// Waiter is an activation of the overflow queue on its way to an invoker.
type Waiter struct {
	Message *bus.ActivationMessage
	// Placement is what Choose and Release are called with.
	Placement Placement
	// patience is how long to wait for its completion.
	patience time.Duration
}

// Await says that the message, which a queue handed out, waits for an invoker. If its
// flight is known the waiter is that flight's; what it had booked, on an invoker that
// gave it back, is free then. Otherwise Await returns nil and changes nothing: see
// Adopt.
func (v *Invoker) Await(m *bus.ActivationMessage) *Waiter {
	s := v.flights.shard(m.ActivationID)
	s.mu.Lock()
	fl := s.m[m.ActivationID]
	if fl == nil {
		s.mu.Unlock()
		return nil
	}
	w := &Waiter{Message: m, Placement: fl.placement, patience: fl.patience}
	before, moved := v.park(fl)
	s.mu.Unlock()
	if moved {
		v.deps.Balancer.Release(before, w.Placement, NotSent)
	}
	return w
}

// park makes a flight wait, and returns the invoker that it was booked on. Its shard's
// lock is held; the booking is the caller's to release.
func (v *Invoker) park(fl *flight) (before entity.InvokerID, booked bool) {
	if fl.waiting {
		return 0, false
	}
	fl.waiting = true
	fl.deadline = v.deps.Now().Add(v.cfg.MaxWaitingTime + fl.patience)
	v.lines.enter(fl.placement.queue())
	return fl.invoker, true
}

// Adopt is Await for a message that another life of this controller, or another
// controller, has accepted: it begins a flight that nobody waits for. action is nil if
// there is none any more; the activation goes to any invoker then, which records that.
func (v *Invoker) Adopt(m *bus.ActivationMessage, action *entity.Action) *Waiter {
	if action == nil {
		action = &entity.Action{
			Header: entity.Header{Namespace: m.Action.Path, Name: m.Action.Name, Version: m.Version},
			Limits: entity.DefaultLimitRanges().Std(),
		}
	}
	w := &Waiter{Message: m, Placement: placement(m.User.Namespace, action), patience: v.patience(action)}
	v.deps.InFlight.BeginComponent(&m.User)
	fl := &flight{id: m.ActivationID, uuid: m.User.Key.UUID, placement: w.Placement, patience: w.patience}
	v.park(fl) // nobody else knows it yet
	v.add(fl)
	return w
}

// Assign points the waiter's flight to the invoker, on which the caller has booked room
// for it: from now on whatever ends the flight gives that room back. A flight that has
// ended meanwhile begins again, for the message may reach the invoker all the same.
func (v *Invoker) Assign(w *Waiter, invoker entity.InvokerID) {
	deadline := v.deps.Now().Add(w.patience)
	id := w.Message.ActivationID
	s := v.flights.shard(id)
	s.mu.Lock()
	fl := s.m[id]
	if fl == nil {
		s.mu.Unlock()
		v.deps.InFlight.BeginComponent(&w.Message.User)
		v.add(&flight{
			id: id, uuid: w.Message.User.Key.UUID, placement: w.Placement, patience: w.patience, invoker: invoker, deadline: deadline,
		})
		return
	}
	before, old, waited := fl.invoker, fl.placement, fl.waiting
	fl.invoker, fl.placement, fl.deadline, fl.waiting = invoker, w.Placement, deadline, false
	s.mu.Unlock()
	if waited {
		v.lines.leave(old.queue())
	} else {
		v.deps.Balancer.Release(before, old, NotSent)
	}
}

// Unassign undoes Assign, because the message did not reach the invoker's queue: the
// waiter waits again, and the room is free. It does nothing if the flight has ended, or
// is another invoker's by now.
func (v *Invoker) Unassign(w *Waiter, invoker entity.InvokerID) {
	s := v.flights.shard(w.Message.ActivationID)
	s.mu.Lock()
	fl := s.m[w.Message.ActivationID]
	if fl == nil || fl.waiting || fl.invoker != invoker {
		s.mu.Unlock()
		return
	}
	booked := fl.placement
	v.park(fl)
	s.mu.Unlock()
	v.deps.Balancer.Release(invoker, booked, NotSent)
}

// add makes a flight known. One with its id that flies already, begun by another life's
// message, gives way to it.
func (v *Invoker) add(fl *flight) {
	if before := v.flights.add(fl); before != nil {
		v.free(before, NotSent)
	}
}
