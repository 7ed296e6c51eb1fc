package balancer

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Config of a balancer.
type Config struct {
	// ManagedFraction of the invokers, the first of them, run actions whose images are
	// the platform's; BlackboxFraction, the last, run those of users. They may overlap.
	ManagedFraction, BlackboxFraction float64
	// IsManaged reports whether an image that a user names is the platform's.
	IsManaged func(image string) bool
	// MinMemory is the least that an action may have, and so the least share of an
	// invoker.
	MinMemory entity.Megabytes
	// ColdStart is what it costs to start a container. An activation waits at the
	// invoker that has its containers as long as that is quicker than to start one
	// elsewhere.
	ColdStart time.Duration
	// Now is the clock; nil takes time.Now.
	Now func() time.Time
}

// DefaultConfig has OpenWhisk's shares (openwhisk-invoker.md 5.3).
func DefaultConfig() Config {
	return Config{ManagedFraction: 0.9, BlackboxFraction: 0.1, MinMemory: 128, ColdStart: 100 * time.Millisecond}
}

// Balancer shares the activations of one controller out to the invokers of a cluster.
// Safe for concurrent use: a lock is held for the microsecond of a decision.
type Balancer struct {
	cfg   Config
	freed chan struct{}

	mu          sync.Mutex
	controllers int              // that share the invokers; guarded by mu, as all below
	invokers    []*invoker       // by id; where there is none, one that is offline
	free        []int32          // of each, what a walk sees of it
	largest     entity.Megabytes // memory that an invoker ever had
	managed     ring
	blackbox    ring
	actions     actions
}

var _ invoke.Balancer = (*Balancer)(nil)

// New returns a balancer that knows no invoker yet.
func New(cfg Config) *Balancer {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Balancer{cfg: cfg, controllers: 1, freed: make(chan struct{}, 1), actions: newActions()}
}

// ring is a part of the invokers, in which actions have their homes: size of them from
// the first on.
type ring struct {
	first, size int
	steps       []int
}

func newRing(first, size int) ring { return ring{first, size, steps(size)} }

// resize makes room for the invoker and shares all anew.
func (b *Balancer) resize(id entity.InvokerID) {
	for int(id) >= len(b.invokers) {
		b.invokers = append(b.invokers, newInvoker(entity.InvokerID(len(b.invokers))))
		b.free = append(b.free, unusable)
	}
	n := len(b.invokers)
	managedFraction := min(1, max(0, b.cfg.ManagedFraction))
	blackboxFraction := max(1-managedFraction, min(1, b.cfg.BlackboxFraction))
	managed := max(1, int(math.Ceil(float64(n)*managedFraction)))
	blackbox := max(1, int(math.Floor(float64(n)*blackboxFraction)))
	b.managed, b.blackbox = newRing(0, managed), newRing(n-blackbox, blackbox)
}

// Pinged takes an invoker's sign of life.
func (b *Balancer) Pinged(p *bus.Ping) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int(p.Invoker) >= len(b.invokers) {
		b.resize(p.Invoker)
	}
	i := b.invokers[p.Invoker]
	i.unique, i.displayed = p.UniqueName, p.DisplayedName
	b.largest = max(b.largest, p.UserMemory)
	if i.userMemory != p.UserMemory {
		i.userMemory = p.UserMemory
		b.share(i)
	}
	was, busy := i.health.state, i.busyMemory
	i.busyMemory = p.BusyMemory
	i.health.pinged(b.cfg.Now(), p.Enabled)
	b.refresh(i)
	if was != i.health.state || i.busyMemory < busy {
		b.signal()
	}
}

// Expect names invokers that have queues, whether they live or not: one that is never
// heard of counts as offline from now on, so that somebody looks after what waits there.
func (b *Balancer) Expect(ids []entity.InvokerID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		if int(id) >= len(b.invokers) {
			b.resize(id)
		}
		b.invokers[id].expected = b.cfg.Now()
	}
}

// share computes how much of an invoker is this controller's. What is booked stays
// booked.
func (b *Balancer) share(i *invoker) {
	i.capacity = max(i.userMemory/entity.Megabytes(b.controllers), b.cfg.MinMemory)
	b.refresh(i)
}

// SetControllers says how many controllers share the invokers.
func (b *Balancer) SetControllers(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.controllers = max(1, n)
	for _, i := range b.invokers {
		b.share(i)
	}
	b.signal()
}

// Freed has a token when there may be room where there was none.
func (b *Balancer) Freed() <-chan struct{} { return b.freed }

func (b *Balancer) signal() {
	select {
	case b.freed <- struct{}{}:
	default:
	}
}

// Choose implements invoke.Balancer.
func (b *Balancer) Choose(_ context.Context, p invoke.Placement) (entity.InvokerID, error) {
	hash := home(p.Namespace, p.Action.String())
	b.mu.Lock()
	defer b.mu.Unlock()
	i, err := b.place(hash, &p, b.cfg.Now())
	if err != nil {
		return 0, err
	}
	return i.id, nil
}

// Release implements invoke.Balancer.
func (b *Balancer) Release(id entity.InvokerID, p invoke.Placement, o invoke.Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int(id) >= len(b.invokers) {
		return // it was chosen by another
	}
	now := b.cfg.Now()
	i := b.invokers[id]
	i.health.ended(o, now)
	b.unbook(i, &p, o, b.actions.of(&p), now)
	b.signal()
}

// TestOutcome takes how a test action ended.
func (b *Balancer) TestOutcome(id entity.InvokerID, o invoke.Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int(id) < len(b.invokers) {
		b.invokers[id].health.ended(o, b.cfg.Now())
		b.refresh(b.invokers[id])
		b.signal()
	}
}

// Tick looks for invokers that have fallen silent, and returns those that are to be
// sent a test action now. It is called about once a second.
func (b *Balancer) Tick(now time.Time) (tests []entity.InvokerID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range b.invokers {
		i.health.ticked(now)
		b.refresh(i)
		if i.health.wantsTest(now) {
			tests = append(tests, i.id)
		}
	}
	return tests
}

// Offline returns the invokers that have been offline for longer than after.
func (b *Balancer) Offline(now time.Time, after time.Duration) []entity.InvokerID {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []entity.InvokerID
	for _, i := range b.invokers {
		since := i.health.since
		if !i.known() {
			since = i.expected
		}
		if !since.IsZero() && i.health.state == Offline && now.Sub(since) > after {
			ids = append(ids, i.id)
		}
	}
	return ids
}

// Healthy returns how many invokers are up, and how many have been heard of.
func (b *Balancer) Healthy() (up, known int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range b.invokers {
		if i.known() {
			known++
		}
		if i.health.state == Healthy {
			up++
		}
	}
	return up, known
}

// Invokers returns the state of each known invoker by its name,
// "invoker0/unique/displayed".
func (b *Balancer) Invokers() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	states := make(map[string]string, len(b.invokers))
	for _, i := range b.invokers {
		if !i.known() {
			continue
		}
		name := i.id.String() + "/" + strconv.Itoa(int(i.id))
		if i.unique != "" {
			name = fmt.Sprintf("%s/%s/%s", i.id, i.unique, i.displayed)
		}
		states[name] = i.health.state.String()
	}
	return states
}

// Totals count what a balancer has, for metrics (openwhisk-invoker.md 7.1).
type Totals struct {
	// Invokers are by State.
	Invokers [4]int
	// InFlight activations, and the memory that they have booked.
	InFlight int
	Booked   entity.Megabytes
	// Capacity is this controller's share of the healthy invokers.
	Capacity entity.Megabytes
}

// Totals returns the present counts.
func (b *Balancer) Totals() (t Totals) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range b.invokers {
		if i.known() {
			t.Invokers[i.health.state]++
		}
		if i.health.state == Healthy {
			t.Capacity += i.capacity
		}
		t.InFlight += i.inFlight
		t.Booked += i.booked
	}
	return t
}
