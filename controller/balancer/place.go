package balancer

import (
	"time"

	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// actionKey names what shares containers: an action in one version, invoked by one
// namespace.
type actionKey struct {
	namespace string
	action    entity.FQN
	version   entity.Version
}

// invoker is one, as this controller uses it.
type invoker struct {
	id                entity.InvokerID
	unique, displayed string
	// expected is since when it is known that it has a queue, if that is all that is
	// known of it.
	expected   time.Time
	userMemory entity.Megabytes
	// busyMemory is what all controllers together used of it a moment ago.
	busyMemory entity.Megabytes
	health     health
	// capacity is this controller's share of the memory, booked what it uses of it.
	capacity, booked entity.Megabytes
	inFlight         int
}

func newInvoker(id entity.InvokerID) *invoker { return &invoker{id: id} }

// known reports whether anything was ever heard of it.
func (i *invoker) known() bool { return !i.health.lastPing.IsZero() }

// load is what one action has under way on an invoker: activations in containers, each
// of which takes a number of them, and others that wait for these.
type load struct {
	invoker    *invoker
	inFlight   int
	containers int
}

// room is how many more activations the containers take at once, less those that wait.
func (l *load) room(slots int) int { return l.containers*slots - l.inFlight }

// waitsSeen bounds the loads of an action whose waits are compared.
const waitsSeen = 16

// place chooses the invoker for an activation and books it there. The first of these
// has it:
//
//  1. a container that is taken for the action and has room,
//  2. containers of the action that are quicker to wait for than another is to start,
//  3. on a walk from the action's home, step by step, an invoker that has memory for
//     another container.
//
// Where there is none the activation had better wait elsewhere: nothing is forced on an
// invoker that is full.
func (b *Balancer) place(hash int, p *invoke.Placement, now time.Time) (*invoker, error) {
	r := &b.managed
	if p.Kind == entity.KindBlackbox && (b.cfg.IsManaged == nil || !b.cfg.IsManaged(p.Image)) {
		r = &b.blackbox
	}
	if r.size == 0 {
		return nil, invoke.ErrNoInvokers
	}
	stats, slots := b.actions.of(p), max(1, p.Concurrency)
	if l := b.join(stats, slots); l != nil {
		b.book(l, 0, stats, slots, now)
		return l.invoker, nil
	}
	at, step, healthy := hash%r.size, r.steps[hash%len(r.steps)], false
	for range r.size {
		free := b.free[r.first+at]
		if free >= int32(p.Memory) {
			i := b.invokers[r.first+at]
			l := stats.on(i)
			b.book(l, p.Memory, stats, slots, now)
			return i, nil
		}
		healthy = healthy || free != unusable
		if at += step; at >= r.size {
			at -= r.size
		}
	}
	if !healthy || p.Memory > b.largest {
		return nil, invoke.ErrNoInvokers // nor will there be room
	}
	return nil, invoke.ErrNoRoom
}

// join finds containers of the action that an activation may share or wait for.
func (b *Balancer) join(stats *durations, slots int) *load {
	if stats.vacant > 0 {
		for _, l := range stats.loads {
			if l.room(slots) > 0 && l.invoker.health.state == Healthy {
				return l
			}
		}
	}
	var best *load
	shortest := b.cfg.ColdStart
	for _, l := range stats.loads[:min(len(stats.loads), waitsSeen)] {
		if l.invoker.health.state != Healthy || l.containers == 0 {
			continue
		}
		if wait := stats.wait(1-l.room(slots), l.containers*slots); wait < shortest {
			best, shortest = l, wait
		}
	}
	return best
}

// book adds an activation to a load, and a container if memory is not 0.
func (b *Balancer) book(l *load, memory entity.Megabytes, stats *durations, slots int, now time.Time) {
	stats.advance(now)
	before := max(0, l.room(slots))
	served := min(l.inFlight, l.containers*slots)
	if memory > 0 {
		l.containers++
		l.invoker.booked += memory
		b.refresh(l.invoker)
	}
	l.inFlight++
	l.invoker.inFlight++
	stats.serving += min(l.inFlight, l.containers*slots) - served
	stats.vacant += max(0, l.room(slots)) - before
}

// unbook takes an activation from an action's load on an invoker, with the container
// that nothing needs then.
func (b *Balancer) unbook(i *invoker, p *invoke.Placement, o invoke.Outcome, stats *durations, now time.Time) {
	slots := max(1, p.Concurrency)
	l := stats.at(i)
	if l == nil || l.inFlight == 0 {
		return
	}
	stats.advance(now)
	if o == invoke.Completed || o == invoke.SystemError {
		stats.served++
	}
	before := max(0, l.room(slots))
	served := min(l.inFlight, l.containers*slots)
	l.inFlight--
	i.inFlight--
	for l.containers > 0 && l.inFlight <= (l.containers-1)*slots {
		l.containers--
		i.booked -= p.Memory
	}
	stats.serving += min(l.inFlight, l.containers*slots) - served
	stats.vacant += max(0, l.room(slots)) - before
	if l.inFlight == 0 {
		stats.remove(l)
	}
	b.refresh(i)
}

// unusable is the free memory of an invoker that gets nothing.
const unusable = -1

// refresh computes what a walk sees of an invoker. Where this controller's share is
// smaller than one container, because many controllers have one, a first container is
// allowed if the invoker said that it has as much.
func (b *Balancer) refresh(i *invoker) {
	free := max(0, i.capacity-i.booked)
	if i.booked == 0 {
		free = max(free, i.userMemory-i.busyMemory)
	}
	b.free[i.id] = int32(free)
	if i.health.state != Healthy {
		b.free[i.id] = unusable
	}
}
