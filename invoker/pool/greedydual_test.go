package pool

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

func TestFrequency(t *testing.T) {
	var f frequency
	for range 8 {
		f.add(epoch, time.Minute)
	}
	require.InDelta(t, 8, f.value(epoch, time.Minute), 1e-9)
	require.InDelta(t, 4, f.value(epoch.Add(time.Minute), time.Minute), 1e-9)
	require.InDelta(t, 1, f.value(epoch.Add(3*time.Minute), time.Minute), 1e-9)
	f.add(epoch.Add(3*time.Minute), time.Minute)
	require.InDelta(t, 2, f.value(epoch.Add(3*time.Minute), time.Minute), 1e-9)
	require.InDelta(t, 2, f.value(epoch.Add(time.Hour), 0), 1e-9, "no half-life: nothing is forgotten")
}

// TestGreedyDualAgainstLRU simulates a skewed load on too little memory: few of the
// actions get most of the calls, some take long to initialise, and some are big.
// Greedy-dual must spare users waiting for cold starts, and make no more of them.
func TestGreedyDualAgainstLRU(t *testing.T) {
	for _, load := range []simulation{
		{name: "skewed", actions: 60, calls: 20_000, rate: 20, skew: 1.2, memory: 4096},
		{name: "very skewed", actions: 200, calls: 20_000, rate: 20, skew: 1.5, memory: 4096},
		{name: "little memory", actions: 60, calls: 20_000, rate: 10, skew: 1.2, memory: 2048},
	} {
		t.Run(load.name, func(t *testing.T) {
			lru, greedy := load.run(t, LeastRecentlyUsed), load.run(t, GreedyDual)
			t.Logf("least recently used %v", lru)
			t.Logf("greedy-dual         %v", greedy)
			require.Less(t, greedy.waited, lru.waited)
			require.Less(t, greedy.cold, lru.cold)
		})
	}
}

// simulation is a load: calls arrive at random, rate of them a second, for actions
// of which the n-th gets a share of about n to the power of -skew.
type simulation struct {
	name           string
	actions, calls int
	rate, skew     float64
	memory         entity.Megabytes
}

// figures are what came of a simulation.
type figures struct {
	calls, cold int
	waited      time.Duration // for containers to be ready, in all
}

func (f figures) String() string {
	return fmt.Sprintf("%.2f %% cold starts, %.1f ms of waiting per call",
		100*float64(f.cold)/float64(f.calls), float64(f.waited)/float64(f.calls)/1e6)
}

// due is an event of the simulation.
type due struct {
	at    time.Time
	order int
	event func() Event
}

type agenda []due

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at.Before(a[j].at) || a[i].at.Equal(a[j].at) && a[i].order < a[j].order
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(due)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// trial is a simulation under way.
type trial struct {
	pool     *Pool
	agenda   agenda
	order    int
	now      time.Time
	actions  []Job
	inits    map[string]time.Duration // by reuse key
	arrivals map[string]time.Time     // by activation
	ended    int
	figures  figures
}

// run has a pool with the given eviction serve the load.
func (s simulation) run(t *testing.T, eviction func(a, b Candidate) int) figures {
	t.Helper()
	cfg := DefaultConfig(s.memory)
	cfg.Eviction = eviction
	cfg.MaxParallelUserStarts = 0
	r := rand.New(rand.NewPCG(1, 2))
	x := &trial{pool: New(cfg), now: epoch, inits: map[string]time.Duration{}, arrivals: map[string]time.Time{}}
	for n := range s.actions {
		key := fmt.Sprintf("action%d", n)
		x.actions = append(x.actions, Job{
			ReuseKey: key, Namespace: fmt.Sprintf("ns%d", n%5), Action: key,
			Kind: []string{"nodejs:20", "java:17", "python:3.11"}[n%3], Memory: []entity.Megabytes{128, 256, 512}[n%7%3],
		})
		x.inits[key] = []time.Duration{20, 100, 2000}[n%11%3] * time.Millisecond
	}
	popular := rand.NewZipf(r, s.skew, 1, uint64(s.actions-1))
	at := epoch
	for n := range s.calls {
		at = at.Add(time.Duration(r.ExpFloat64() / s.rate * float64(time.Second)))
		// Popularity has nothing to do with the other properties.
		call := x.actions[popular.Uint64()*37%uint64(s.actions)]
		call.ActivationID = fmt.Sprint(n)
		x.arrivals[call.ActivationID] = at
		x.after(at.Sub(epoch), func() Event { return Submit{Job: &call} })
	}
	x.figures.calls = s.calls
	for x.ended < s.calls {
		x.next(t)
	}
	return x.figures
}

func (x *trial) after(d time.Duration, event func() Event) {
	x.order++
	heap.Push(&x.agenda, due{x.now.Add(d), x.order, event})
}

// next lets the next thing happen.
func (x *trial) next(t *testing.T) {
	t.Helper()
	event := func() Event { return Tick{} }
	at, isTick := x.pool.Deadline()
	if len(x.agenda) > 0 && (!isTick || !at.Before(x.agenda[0].at)) {
		d := heap.Pop(&x.agenda).(due)
		at, event = d.at, d.event
	} else {
		require.True(t, isTick, "nothing will ever happen again")
	}
	x.now = at
	for _, e := range x.pool.Step(x.now, event()) {
		x.perform(t, e)
	}
}

func (x *trial) perform(t *testing.T, e Effect) {
	t.Helper()
	const engine, duration = 20 * time.Millisecond, 50 * time.Millisecond
	id := e.Container
	switch e.Op {
	case Start:
		x.after(200*time.Millisecond, func() Event { return Started{Container: id} })
	case Run:
		job := e.Job
		wait := time.Duration(0)
		if e.Initialise {
			wait = x.inits[job.ReuseKey]
			x.figures.cold++
			x.after(wait, func() Event { return Initialised{Container: id} })
		}
		x.figures.waited += x.now.Add(wait).Sub(x.arrivals[job.ActivationID])
		x.after(wait+duration, func() Event {
			x.ended++
			return Finished{Container: id, ActivationID: job.ActivationID, Outcome: Keep}
		})
	case Pause:
		x.after(engine, func() Event { return PauseDone{Container: id} })
	case Resume:
		x.after(engine, func() Event { return ResumeDone{Container: id} })
	case Remove:
		x.after(5*engine, func() Event { return Removed{Container: id} })
	default:
		t.Fatalf("unexpected: %v", e)
	}
}
