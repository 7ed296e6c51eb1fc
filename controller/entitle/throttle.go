package entitle

import (
	"fmt"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// RateError: more requests in this minute than allowed.
type RateError struct{ Count, Allowed int }

func (e *RateError) Error() string {
	return fmt.Sprintf("%d requests in this minute, %d allowed", e.Count, e.Allowed)
}

// ConcurrencyError: as many activations in flight as allowed.
type ConcurrencyError struct{ Count, Allowed int }

func (e *ConcurrencyError) Error() string {
	return fmt.Sprintf("%d activations in flight, %d allowed", e.Count, e.Allowed)
}

// Rates are the limits of namespaces that have none of their own.
type Rates struct {
	InvocationsPerMinute  int
	ConcurrentInvocations int
	FiresPerMinute        int
}

const throttleShards = 64 // a power of two

// Throttle counts invocations, fires and activations in flight per namespace
// (keyed by the uuid of the key, openwhisk-rest-api.md section 2). Counts are
// exact. Safe for concurrent use.
type Throttle struct {
	rates       Rates
	now         func() time.Time
	controllers atomic.Int64
	seed        maphash.Seed
	shards      [throttleShards]throttleShard
	report      *reporter // nil reports nothing
}

// throttleShard holds the counters of a part of the namespaces. Counters that say
// nothing any more are dropped when the minute changes.
type throttleShard struct {
	mu     sync.Mutex
	minute int64               // guarded by mu
	counts map[string]*counter // guarded by mu
	_      [32]byte            // keeps neighbours' locks off this cache line
}

// counter is guarded by its shard's lock.
type counter struct {
	minute             int64 // that invocations and fires belong to
	invocations, fires int
	inFlight           int
}

// NewThrottle returns a throttle with the rates of namespaces that have no limits
// of their own. Calendar minutes are those of now.
func NewThrottle(rates Rates, now func() time.Time) *Throttle {
	t := &Throttle{rates: rates, now: now, seed: maphash.MakeSeed()}
	t.controllers.Store(1)
	for i := range t.shards {
		t.shards[i].counts = make(map[string]*counter)
	}
	return t
}

// SetControllers says how many controllers share the work; each grants its part
// of a limit, with 20 % more because the shares are never even
// (openwhisk-rest-api.md section 19).
func (t *Throttle) SetControllers(n int) { t.controllers.Store(int64(max(n, 1))) }

// Rates returns the limits that apply to id in the whole cluster.
func (t *Throttle) Rates(id *entity.Identity) Rates {
	return Rates{
		InvocationsPerMinute:  own(id.Limits.InvocationsPerMinute, t.rates.InvocationsPerMinute),
		ConcurrentInvocations: own(id.Limits.ConcurrentInvocations, t.rates.ConcurrentInvocations),
		FiresPerMinute:        own(id.Limits.FiresPerMinute, t.rates.FiresPerMinute),
	}
}

func own(limit *int, system int) int {
	if limit != nil {
		return *limit
	}
	return system
}

// share is this controller's part of a limit; 0 stays 0.
func (t *Throttle) share(limit int) int {
	n := t.controllers.Load()
	if n == 1 || limit <= 0 {
		return limit
	}
	return max(int(math.Ceil(float64(limit)*1.2))/int(n), 1)
}

// Invocation counts a request to invoke, and returns a *RateError or
// *ConcurrencyError if it must be refused. It books nothing: Begin does.
func (t *Throttle) Invocation(id *entity.Identity) error {
	limits := t.Rates(id)
	rate, concurrency := t.share(limits.InvocationsPerMinute), t.share(limits.ConcurrentInvocations)
	shard, minute := t.lock(id.Key.UUID)
	c := shard.counter(id.Key.UUID, minute)
	c.invocations++
	count, inFlight := c.invocations, c.inFlight
	shard.mu.Unlock()
	if count > rate {
		t.report.metric(id, timedRateLimit, 1)
		return &RateError{count, rate}
	}
	if inFlight >= concurrency {
		t.report.metric(id, concurrentRateLimit, 1)
		return &ConcurrencyError{inFlight, concurrency}
	}
	t.report.metric(id, concurrentInvocations, inFlight+1)
	return nil
}

// Fire counts a request to fire a trigger, and returns a *RateError if it must be
// refused.
func (t *Throttle) Fire(id *entity.Identity) error {
	rate := t.share(t.Rates(id).FiresPerMinute)
	shard, minute := t.lock(id.Key.UUID)
	c := shard.counter(id.Key.UUID, minute)
	c.fires++
	count := c.fires
	shard.mu.Unlock()
	if count > rate {
		t.report.metric(id, timedRateLimit, 1)
		return &RateError{count, rate}
	}
	return nil
}

// Begin books one activation in flight, or returns a *ConcurrencyError. End gives
// it back.
func (t *Throttle) Begin(id *entity.Identity) error {
	allowed := t.share(t.Rates(id).ConcurrentInvocations)
	shard, minute := t.lock(id.Key.UUID)
	c := shard.counter(id.Key.UUID, minute)
	count := c.inFlight
	if count < allowed {
		c.inFlight++
	}
	shard.mu.Unlock()
	if count >= allowed {
		t.report.metric(id, concurrentRateLimit, 1)
		return &ConcurrencyError{count, allowed}
	}
	return nil
}

// BeginComponent books one activation in flight whatever the limit: components of
// sequences and compositions are exempt from it, yet count.
func (t *Throttle) BeginComponent(id *entity.Identity) {
	shard, minute := t.lock(id.Key.UUID)
	shard.counter(id.Key.UUID, minute).inFlight++
	shard.mu.Unlock()
}

// End ends an activation that Begin or BeginComponent booked for the namespace
// with this uuid.
func (t *Throttle) End(uuid string) {
	shard, _ := t.lock(uuid)
	if c := shard.counts[uuid]; c != nil && c.inFlight > 0 {
		c.inFlight--
	}
	shard.mu.Unlock()
}

// InFlight returns how many activations of the namespace are in flight.
func (t *Throttle) InFlight(uuid string) int {
	shard, _ := t.lock(uuid)
	defer shard.mu.Unlock()
	if c := shard.counts[uuid]; c != nil {
		return c.inFlight
	}
	return 0
}

// lock locks the shard of a namespace and returns it with the current minute.
func (t *Throttle) lock(uuid string) (*throttleShard, int64) {
	minute := t.now().Unix() / 60
	shard := &t.shards[maphash.String(t.seed, uuid)%throttleShards]
	shard.mu.Lock()
	if shard.minute != minute {
		shard.minute = minute
		for key, c := range shard.counts {
			if c.inFlight == 0 && c.minute != minute {
				delete(shard.counts, key)
			}
		}
	}
	return shard, minute
}

func (s *throttleShard) counter(uuid string, minute int64) *counter {
	c := s.counts[uuid]
	if c == nil {
		c = &counter{minute: minute}
		s.counts[uuid] = c
	}
	if c.minute != minute {
		c.minute, c.invocations, c.fires = minute, 0, 0
	}
	return c
}
