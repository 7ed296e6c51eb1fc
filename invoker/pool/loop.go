package pool

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/invoker/container"
)

// Runner runs jobs in the containers that the pool chose for them. Its methods
// are called concurrently.
type Runner interface {
	// Run runs job in c and says what becomes of c. With initialise, /init has to
	// be sent first; Run calls initialised as soon as c is warm for the action, so
	// that other jobs may share it. When ctx ends, Run returns soon.
	Run(ctx context.Context, c container.Container, job Job, initialise bool, start StartKind, initialised func()) Outcome

	// Abandon ends a job that could not get a container; err is why: a
	// *container.StartError for the owner's own mistakes, ErrHandedBack when the
	// job can run elsewhere, or a fault of the platform.
	Abandon(ctx context.Context, job Job, err error)
}

// Loop drives a Pool: it turns what happens to containers into events, and
// performs the effects. All methods are safe for concurrent use.
//
// Every container has a goroutine of its own, which performs one effect after the
// other; actions with a concurrency limit above 1 get more as runs overlap. A
// step of the pool is taken by whoever has the event, under a mutex and without
// blocking: a warm job is handed over once, from Submit to the container's
// goroutine, and the goroutine that ends a run takes the next job itself.
type Loop struct {
	cfg     Config
	factory container.Factory
	runner  Runner
	clock   Clock
	log     *zap.Logger

	// ctx ends when Close loses its patience.
	ctx    context.Context
	cancel context.CancelFunc
	// running counts all goroutines of the loop.
	running sync.WaitGroup
	// stop ends the timer's goroutine.
	stop     chan struct{}
	stopOnce sync.Once
	// drained is closed when the pool is drained.
	drained chan struct{}
	// capacity holds a token when Wants may have risen.
	capacity chan struct{}
	// abandoning bounds the Abandons under way.
	abandoning chan struct{}

	// mu guards all below. It is never held across I/O or anything that blocks.
	mu        sync.Mutex
	pool      *Pool
	hosts     map[ContainerID]*host
	timer     Timer
	armed     time.Time // zero: the timer has fired or was never set
	isDrained bool
}

const (
	// maxAbandons bounds how many jobs are ended side by side.
	maxAbandons = 16
	// abandonTimeout bounds each of them.
	abandonTimeout = time.Minute
)

// NewLoop starts a pool, and the first stem cells. Close must be called.
func NewLoop(cfg Config, factory container.Factory, runner Runner, clock Clock, log *zap.Logger) *Loop {
	l := &Loop{
		cfg: cfg, factory: factory, runner: runner, clock: clock, log: log,
		stop: make(chan struct{}), drained: make(chan struct{}),
		capacity: make(chan struct{}, 1), abandoning: make(chan struct{}, maxAbandons),
		pool: New(cfg), hosts: make(map[ContainerID]*host), timer: clock.NewTimer(time.Hour),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.running.Go(l.keepTime)
	l.step(Tick{})
	return l
}

// Submit brings a job. It returns ErrDuplicate or ErrClosed if the pool does not
// take it; otherwise exactly one of Runner.Run's final outcomes or
// Runner.Abandon ends the job.
func (l *Loop) Submit(job Job) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	effects := l.pool.Step(l.clock.Now(), Submit{Job: &job})
	var err error
	if len(effects) > 0 && effects[0].Op == Refuse {
		err = effects[0].Err
	}
	l.perform(effects, nil)
	return err
}

// Wants is how many more jobs a feed should claim now (see Pool.Wants). A feed
// claims at most that many at a time, and waits on Capacity when it is 0:
//
//	for {
//		n := loop.Wants()
//		if n == 0 {
//			<-loop.Capacity() // or the end of the feed
//			continue
//		}
//		claim and Submit up to n jobs
//	}
func (l *Loop) Wants() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pool.Wants()
}

// Capacity has a token when Wants may have risen since the last one was taken. It
// serves one feed.
func (l *Loop) Capacity() <-chan struct{} { return l.capacity }

// Snapshot returns the present counts.
func (l *Loop) Snapshot() Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pool.Snapshot()
}

// Drain makes Submit return ErrClosed from now on. Jobs that run finish, and so
// do those that wait, unless handBack ends these with ErrHandedBack. Containers
// are removed as they fall idle.
func (l *Loop) Drain(handBack bool) { l.step(Drain{HandBack: handBack}) }

// Close drains the pool, unless Drain has begun that already, and returns when no
// job, container or goroutine of the loop is left. When ctx ends before, waiting
// jobs are handed back, the context of running ones is cancelled, and Close
// returns ctx's error after they have ended. The factory remains the caller's.
func (l *Loop) Close(ctx context.Context) error {
	l.Drain(false)
	var err error
	select {
	case <-l.drained:
	case <-ctx.Done():
		err = ctx.Err()
		l.Drain(true)
		l.cancel()
		<-l.drained
	}
	l.stopOnce.Do(func() { close(l.stop) })
	l.running.Wait()
	l.cancel()
	return err
}

// keepTime turns the timer into Ticks.
func (l *Loop) keepTime() {
	defer l.timer.Stop()
	for {
		select {
		case <-l.timer.C():
			l.mu.Lock()
			l.armed = time.Time{}
			l.perform(l.pool.Step(l.clock.Now(), Tick{}), nil)
			l.mu.Unlock()
		case <-l.stop:
			return
		}
	}
}

func (l *Loop) step(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.perform(l.pool.Step(l.clock.Now(), e), nil)
}

// perform sets effects going, without waiting for any. The first one for the
// container own is left to the caller, who is one of its goroutines. mu is held.
func (l *Loop) perform(effects []Effect, own *host) (mine Effect, isMine bool) {
	for i := range effects {
		e := &effects[i]
		switch e.Op {
		case Start:
			started := *e
			l.running.Go(func() { l.start(started) })
		case Abandon:
			job, err := *e.Job, e.Err
			l.running.Go(func() { l.abandon(job, err) })
		case Refuse:
		default:
			h := l.hosts[e.Container]
			if h == own && !isMine {
				mine, isMine = *e, true
				h.busy++
				continue
			}
			l.give(h, *e)
		}
	}
	l.arm()
	if l.pool.draining {
		if !l.isDrained && l.pool.IsDrained() {
			l.isDrained = true
			close(l.drained)
		}
		return mine, isMine
	}
	if l.pool.Wants() > 0 {
		select {
		case l.capacity <- struct{}{}:
		default:
		}
	}
	return mine, isMine
}

// arm brings the timer forward if the pool's deadline is earlier. A timer that
// fires too early does no harm, so it is never put back.
func (l *Loop) arm() {
	at, ok := l.pool.Deadline()
	if !ok || !l.armed.IsZero() && !at.Before(l.armed) {
		return
	}
	l.armed = at
	l.timer.Reset(at.Sub(l.pool.now))
}

func (l *Loop) abandon(job Job, err error) {
	l.abandoning <- struct{}{}
	defer func() { <-l.abandoning }()
	// The end of a job must be told even while Close is impatient.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), abandonTimeout)
	defer cancel()
	l.runner.Abandon(ctx, job, err)
}
