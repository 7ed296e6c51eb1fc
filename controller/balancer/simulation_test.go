package balancer

import (
	"container/heap"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// fullVariable makes the simulation as large as a large cluster.
const fullVariable = "GOWHISK_SIMULATION"

// scale of a simulation.
type scale struct {
	invokers, controllers, actions, activations int
	// load is the part of the cluster's memory that the activations would keep busy.
	load float64
}

// chooser is a rule of placement under test.
type chooser interface {
	Choose(ctx context.Context, p invoke.Placement) (entity.InvokerID, error)
	Release(id entity.InvokerID, p invoke.Placement, o invoke.Outcome)
}

// forced is OpenWhisk's rule: slots of memory, and where there are none a healthy
// invoker at random.
type forced struct {
	free   []entity.Megabytes
	steps  []int
	random *rand.Rand
}

func (f *forced) Choose(_ context.Context, p invoke.Placement) (entity.InvokerID, error) {
	hash, size := home(p.Namespace, p.Action.String()), len(f.free)
	at, step := hash%size, f.steps[hash%len(f.steps)]
	for range size {
		if f.free[at] >= p.Memory {
			f.free[at] -= p.Memory
			return entity.InvokerID(at), nil
		}
		at = (at + step) % size
	}
	at = f.random.IntN(size)
	f.free[at] -= p.Memory
	return entity.InvokerID(at), nil
}

func (f *forced) Release(id entity.InvokerID, p invoke.Placement, _ invoke.Outcome) {
	f.free[id] += p.Memory
}

const (
	invokerMemory = 16384
	actionMemory  = 256
	coldStart     = 100 * time.Millisecond
)

// fakeInvoker has containers of actions, warm or busy, and a queue.
type fakeInvoker struct {
	idle    map[int]int // warm containers by action
	busy    map[int]int // and busy ones
	held    int         // containers in all
	waiting map[int][]flying
	queue   []flying // for memory
	ran     int
}

type flying struct {
	action, controller int
	at                 entity.InvokerID
	due                time.Duration
	begun              time.Duration // when it arrived
}

type events []flying

func (e events) Len() int           { return len(e) }
func (e events) Less(a, b int) bool { return e[a].due < e[b].due }
func (e events) Swap(a, b int)      { e[a], e[b] = e[b], e[a] }
func (e *events) Push(x any)        { *e = append(*e, x.(flying)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// report of a simulation.
type report struct {
	warm, refused, activations int
	decision                   time.Duration // each
	spread                     float64       // of the busiest invoker over the mean
	meanWait                   time.Duration
}

func (r report) String() string {
	return fmt.Sprintf("warm %5.1f %%, no room %5.2f %%, busiest/mean %.2f, mean time beyond the run %v, decision %v",
		100*float64(r.warm)/float64(r.activations), 100*float64(r.refused)/float64(r.activations), r.spread, r.meanWait.Round(10*time.Microsecond), r.decision)
}

// simulate sends Zipf-distributed activations to controllers at random.
func simulate(s scale, rule func(now func() time.Time) chooser) report {
	random := rand.New(rand.NewPCG(1, 2))
	epoch, clock := time.UnixMilli(0), time.Duration(0)
	now := func() time.Time { return epoch.Add(clock) }
	rules := make([]chooser, s.controllers)
	for n := range rules {
		rules[n] = rule(now)
	}
	duration := make([]time.Duration, s.actions)
	placements := make([]invoke.Placement, s.actions)
	for n := range duration {
		duration[n] = time.Duration(math.Exp(random.NormFloat64()*1.2+5) * float64(time.Millisecond)) // 150 ms in the middle
		placements[n] = of(fmt.Sprint("action", n), actionMemory)
	}
	popularity := rand.NewZipf(random, 1.1, 8, uint64(s.actions-1))
	var mean time.Duration
	for range 10_000 {
		mean += duration[popularity.Uint64()] / 10_000
	}
	slots := invokerMemory / actionMemory
	gap := time.Duration(float64(mean) / (float64(s.invokers*slots) * s.load))

	fleet := make([]fakeInvoker, s.invokers)
	for n := range fleet {
		fleet[n].idle, fleet[n].busy, fleet[n].waiting = map[int]int{}, map[int]int{}, map[int][]flying{}
	}
	var r report
	var running events
	var waited time.Duration
	start := func(f flying) {
		i := &fleet[f.at]
		cost := duration[f.action]
		switch {
		case i.idle[f.action] > 0:
			i.idle[f.action]--
			r.warm++
		case i.busy[f.action] > 0 && duration[f.action]*time.Duration(len(i.waiting[f.action])+1)/time.Duration(i.busy[f.action]) < coldStart:
			i.waiting[f.action] = append(i.waiting[f.action], f)
			return
		case i.held < slots:
			i.held++
			cost += coldStart
		default:
			evicted := false
			for a, n := range i.idle {
				if n > 0 {
					i.idle[a]--
					evicted = true
					break
				}
			}
			if !evicted {
				i.queue = append(i.queue, f)
				return
			}
			cost += coldStart
		}
		i.ran++
		i.busy[f.action]++
		waited += clock - f.begun + cost - duration[f.action]
		f.due = clock + cost
		heap.Push(&running, f)
	}
	end := func(f flying) {
		rules[f.controller].Release(f.at, placements[f.action], invoke.Completed)
		i := &fleet[f.at]
		i.idle[f.action]++
		i.busy[f.action]--
		if w := i.waiting[f.action]; len(w) > 0 {
			i.waiting[f.action] = w[1:]
			start(w[0])
		} else if len(i.queue) > 0 {
			next := i.queue[0]
			i.queue = i.queue[1:]
			start(next)
		}
	}
	var deciding time.Duration
	for range s.activations {
		clock += time.Duration(random.ExpFloat64() * float64(gap))
		for len(running) > 0 && running[0].due <= clock {
			f := heap.Pop(&running).(flying)
			at := clock
			clock = f.due
			end(f)
			clock = at
		}
		f := flying{action: int(popularity.Uint64()), controller: random.IntN(s.controllers), begun: clock}
		begun := time.Now()
		id, err := rules[f.controller].Choose(context.Background(), placements[f.action])
		deciding += time.Since(begun)
		r.activations++
		if err != nil {
			r.refused++
			continue
		}
		f.at = id
		start(f)
	}
	total := 0
	for n := range fleet {
		total += fleet[n].ran
		r.spread = max(r.spread, float64(fleet[n].ran))
	}
	r.spread /= float64(total) / float64(s.invokers)
	r.decision = deciding / time.Duration(r.activations)
	r.meanWait = waited / time.Duration(max(1, total))
	return r
}

// ours makes balancers that know a fleet.
func ours(s scale) func(func() time.Time) chooser {
	return func(now func() time.Time) chooser {
		cfg := DefaultConfig()
		cfg.Now, cfg.ManagedFraction, cfg.ColdStart = now, 1, coldStart
		b := New(cfg)
		b.resize(entity.InvokerID(s.invokers - 1))
		b.SetControllers(s.controllers)
		for id := range s.invokers {
			b.Pinged(ping(entity.InvokerID(id), invokerMemory))
			b.TestOutcome(entity.InvokerID(id), invoke.Completed)
		}
		return b
	}
}

func openWhisks(s scale) func(func() time.Time) chooser {
	walk := steps(s.invokers)
	return func(func() time.Time) chooser {
		f := &forced{steps: walk, random: rand.New(rand.NewPCG(3, 4))}
		for range s.invokers {
			f.free = append(f.free, max(invokerMemory/entity.Megabytes(s.controllers), 128))
		}
		return f
	}
}

// TestSimulation compares with OpenWhisk's rule. It is small unless GOWHISK_SIMULATION
// is set; then it has 1,000 invokers, 100 controllers and 100,000 actions.
func TestSimulation(t *testing.T) {
	s := scale{invokers: 60, controllers: 4, actions: 3000, activations: 60_000}
	if os.Getenv(fullVariable) != "" {
		s = scale{invokers: 1000, controllers: 100, actions: 100_000, activations: 2_000_000}
	}
	for _, load := range []float64{0.2, 0.5, 0.8} {
		s.load = load
		us, them := simulate(s, ours(s)), simulate(s, openWhisks(s))
		t.Logf("load %.2f, ours:       %v", load, us)
		t.Logf("load %.2f, OpenWhisk's: %v", load, them)
		require.Greater(t, us.warm+us.activations/50, them.warm, "actions find their containers")
		require.Less(t, us.refused, us.activations/5, "there is room below full load")
	}
}

// BenchmarkChoose decides in a cluster of 1,000 invokers and 100 controllers for 100,000
// actions.
func BenchmarkChoose(b *testing.B) {
	s := scale{invokers: 1000, controllers: 100, actions: 100_000}
	placements := make([]invoke.Placement, s.actions)
	for n := range placements {
		placements[n] = of(fmt.Sprint("action", n), actionMemory)
	}
	balancer := ours(s)(time.Now)
	n := 0
	for b.Loop() {
		p := placements[n%len(placements)]
		n += 7919
		if id, err := balancer.Choose(context.Background(), p); err == nil {
			balancer.Release(id, p, invoke.Completed)
		}
	}
}

// BenchmarkChooseWhenFull looks for room where there is none.
func BenchmarkChooseWhenFull(b *testing.B) {
	s := scale{invokers: 1000, controllers: 1}
	balancer := ours(s)(time.Now)
	for n := 0; ; n++ {
		if _, err := balancer.Choose(context.Background(), of(fmt.Sprint("filler", n), 512)); err != nil {
			break
		}
	}
	p := of("late", 512)
	for b.Loop() {
		if _, err := balancer.Choose(context.Background(), p); err == nil {
			b.Fatal("there was room")
		}
	}
}
