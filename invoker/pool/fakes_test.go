package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// pass waits for d, or for the end of ctx.
func pass(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fakeFactory starts containers that only watch whether they are treated well.
type fakeFactory struct {
	// startTakes and engineTakes are how long starts, and pauses, resumes and
	// removals take; fail, if set, is asked for the error of each start.
	startTakes, engineTakes time.Duration
	fail                    func(container.Spec) error
	// failDestroys is how many removals fail.
	failDestroys atomic.Int64

	mu      sync.Mutex
	started []container.Spec
	live    map[*fakeContainer]bool
	memory  entity.Megabytes // of live containers and those that start
	peak    entity.Megabytes
	faults  []string
	calls   []string
}

func (f *fakeFactory) fault(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, fmt.Sprintf(format, args...))
}

func (f *fakeFactory) Start(ctx context.Context, spec container.Spec) (container.Container, error) {
	f.mu.Lock()
	if f.live == nil {
		f.live = map[*fakeContainer]bool{}
	}
	f.started = append(f.started, spec)
	f.memory += spec.Memory
	f.peak = max(f.peak, f.memory)
	f.mu.Unlock()
	err := pass(ctx, f.startTakes)
	if err == nil && f.fail != nil {
		err = f.fail(spec)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.memory -= spec.Memory
		return nil, err
	}
	c := &fakeContainer{factory: f, spec: spec}
	f.live[c] = true
	return c, nil
}

func (f *fakeFactory) Sweep(context.Context) error { return nil }
func (f *fakeFactory) Close() error                { return nil }

// counts returns how many containers were started and how many are left.
func (f *fakeFactory) counts() (started, live int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.started), len(f.live)
}

func (f *fakeFactory) log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

type fakeContainer struct {
	factory *fakeFactory
	spec    container.Spec
	// engine counts pauses, resumes and removals under way, runs the runs.
	engine, runs atomic.Int64
	isPaused     atomic.Bool
	warmFor      atomic.Value // string
}

func (c *fakeContainer) ID() string { return c.spec.Name }

func (c *fakeContainer) Call(context.Context, string, []byte, int64) (container.Response, error) {
	return container.Response{}, errors.New("the fake runner does not call")
}

func (c *fakeContainer) Logs(context.Context, container.LogQuery) container.Logs {
	return container.Logs{}
}

// operate is one life cycle operation; it must be alone.
func (c *fakeContainer) operate(ctx context.Context, what string) error {
	if c.engine.Add(1) != 1 || c.runs.Load() != 0 {
		c.factory.fault("%s of %s while something else is under way", what, c.ID())
	}
	defer c.engine.Add(-1)
	c.factory.mu.Lock()
	c.factory.calls = append(c.factory.calls, what)
	c.factory.mu.Unlock()
	return pass(ctx, c.factory.engineTakes)
}

func (c *fakeContainer) Pause(ctx context.Context) error {
	defer c.isPaused.Store(true)
	return c.operate(ctx, "pause")
}

func (c *fakeContainer) Resume(ctx context.Context) error {
	defer c.isPaused.Store(false)
	return c.operate(ctx, "resume")
}

func (c *fakeContainer) Destroy(ctx context.Context) error {
	if c.isPaused.Load() {
		c.factory.fault("%s is destroyed while it is paused", c.ID())
	}
	if err := c.operate(ctx, "destroy"); err != nil {
		return err
	}
	if c.factory.failDestroys.Add(-1) >= 0 {
		return errors.New("the engine does not answer")
	}
	c.factory.mu.Lock()
	defer c.factory.mu.Unlock()
	delete(c.factory.live, c)
	c.factory.memory -= c.spec.Memory
	return nil
}

// fakeRunner performs jobs whose Payload is a func(context.Context) Outcome, or
// nil for one that ends at once.
type fakeRunner struct {
	initTakes time.Duration

	mu    sync.Mutex
	runs  []ran
	ended map[string]int
	// abandoned maps activation ids to why.
	abandoned map[string]error
	// end gets a token for each job that ended.
	end chan string
}

type ran struct {
	activation, container string
	initialise            bool
	start                 StartKind
}

func newFakeRunner() *fakeRunner {
	return &fakeRunner{ended: map[string]int{}, abandoned: map[string]error{}, end: make(chan string, 10_000)}
}

func (r *fakeRunner) Run(ctx context.Context, c container.Container, job Job, initialise bool, start StartKind, initialised func()) Outcome {
	fake := c.(*fakeContainer)
	if running := fake.runs.Add(1); int(running) > max(1, job.Concurrency) {
		fake.factory.fault("%s runs %d jobs at once", c.ID(), running)
	}
	defer fake.runs.Add(-1)
	if fake.isPaused.Load() || fake.engine.Load() != 0 {
		fake.factory.fault("%s runs %s while it is not ready", c.ID(), job.ActivationID)
	}
	r.mu.Lock()
	r.runs = append(r.runs, ran{job.ActivationID, c.ID(), initialise, start})
	r.mu.Unlock()
	if initialise {
		_ = pass(ctx, r.initTakes)
		if !fake.warmFor.CompareAndSwap(nil, job.ReuseKey) {
			fake.factory.fault("%s is initialised twice", c.ID())
		}
		initialised()
	} else if fake.warmFor.Load() != job.ReuseKey {
		fake.factory.fault("%s runs %s, for which it is not warm", c.ID(), job.ActivationID)
	}
	outcome := Keep
	if perform, _ := job.Payload.(func(context.Context) Outcome); perform != nil {
		outcome = perform(ctx)
	}
	if outcome != Reschedule {
		r.ends(job.ActivationID, nil)
	}
	return outcome
}

func (r *fakeRunner) Abandon(_ context.Context, job Job, err error) { r.ends(job.ActivationID, err) }

func (r *fakeRunner) ends(id string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended[id]++
	if err != nil {
		r.abandoned[id] = err
	}
	r.end <- id
}

// wait waits for n more jobs to end.
func (r *fakeRunner) wait(n int) {
	for range n {
		<-r.end
	}
}
