package invoke

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

const flightShards = 64 // a power of two

// flight is one activation from its booking until its memory is free again.
type flight struct {
	id   entity.ActivationID
	uuid string // of the namespace's key, which the throttle counts by
	// placement and invoker are what is booked, unless the flight is waiting. They, what
	// follows up to waiting, and delivered are guarded by the shard's lock while it flies.
	placement Placement
	invoker   entity.InvokerID
	// deadline is when the activation counts as lost.
	deadline time.Time
	// waiting: it is in the overflow queue, and nothing is booked for it.
	waiting bool
	// patience is how long to wait for the completion once an invoker has it.
	patience time.Duration
	// result gets one value when there is a result; nil means that the record has
	// to be fetched. It is nil itself for activations nobody waits for.
	result    chan *entity.Activation
	delivered bool
	// concluded: its result is known, and it counts no more as a concurrent
	// invocation of its namespace. Guarded by the shard's lock while it flies.
	concluded bool
}

// flights are all activations of this controller that have not ended, by id. Who
// takes a flight out of it, and nobody else, frees what the flight booked; that is
// what makes freeing happen exactly once.
type flights struct {
	seed   maphash.Seed
	count  atomic.Int64
	shards [flightShards]flightShard
}

type flightShard struct {
	mu sync.Mutex
	m  map[entity.ActivationID]*flight // guarded by mu
	_  [40]byte                        // keeps neighbours' locks off this cache line
}

func newFlights() *flights {
	f := &flights{seed: maphash.MakeSeed()}
	for i := range f.shards {
		f.shards[i].m = make(map[entity.ActivationID]*flight)
	}
	return f
}

func (f *flights) shard(id entity.ActivationID) *flightShard {
	return &f.shards[maphash.String(f.seed, string(id))%flightShards]
}

// add returns the flight with the same id that it takes the place of, if there is one.
func (f *flights) add(fl *flight) (before *flight) {
	s := f.shard(fl.id)
	s.mu.Lock()
	before = s.m[fl.id]
	s.m[fl.id] = fl
	if before != nil {
		before.deliver(nil)
	}
	s.mu.Unlock()
	if before == nil {
		f.count.Add(1)
	}
	return before
}

// take removes the flight and returns it; nil if somebody else took it. Whoever
// still waits for a result is told to fetch the record.
func (f *flights) take(id entity.ActivationID) *flight {
	s := f.shard(id)
	s.mu.Lock()
	fl := s.m[id]
	if fl != nil {
		delete(s.m, id)
		fl.deliver(nil)
	}
	s.mu.Unlock()
	if fl != nil {
		f.count.Add(-1)
	}
	return fl
}

// deliver hands a result to whoever waits, once. The shard's lock is held.
func (fl *flight) deliver(record *entity.Activation) {
	if fl.delivered || fl.result == nil {
		return
	}
	fl.delivered = true
	fl.result <- record // has room for the one value
}

// complete gives a completion's result to whoever waits and, if the activation has
// ended, removes its flight and returns it. It returns nil for activations that
// are not ours, or have ended before. conclude is called, without blocking, at the
// first word of a result and before anybody hears it: a client that calls one
// after the other never has two invocations under way.
func (f *flights) complete(c *bus.Completion, conclude func(*flight)) *flight {
	s := f.shard(c.ActivationID)
	s.mu.Lock()
	defer s.mu.Unlock()
	fl := s.m[c.ActivationID]
	if fl == nil {
		return nil
	}
	if !fl.concluded {
		fl.concluded = true
		conclude(fl)
	}
	fl.deliver(c.Record)
	if c.Kind == bus.ResultReady {
		return nil
	}
	delete(s.m, c.ActivationID)
	f.count.Add(-1)
	return fl
}

// ids returns the ids of all flights.
func (f *flights) ids() []entity.ActivationID {
	ids := make([]entity.ActivationID, 0, f.count.Load())
	for i := range f.shards {
		s := &f.shards[i]
		s.mu.Lock()
		for id := range s.m {
			ids = append(ids, id)
		}
		s.mu.Unlock()
	}
	return ids
}

// overdue takes out all flights whose deadline has passed.
func (f *flights) overdue(now time.Time) []*flight {
	var late []*flight
	for i := range f.shards {
		s := &f.shards[i]
		s.mu.Lock()
		for id, fl := range s.m {
			if now.After(fl.deadline) {
				delete(s.m, id)
				fl.deliver(nil)
				late = append(late, fl)
			}
		}
		s.mu.Unlock()
	}
	f.count.Add(-int64(len(late)))
	return late
}
