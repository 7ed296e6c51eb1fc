// Package compose runs what is made of several activations: sequences
// (openwhisk-rest-api.md section 11), compositions led by a conductor (12), and
// trigger fires with their rules (14.3). Everything else it passes on to package
// invoke.
//
// Each of them is accepted by an entry in the controller's journal and seen
// through by a goroutine of its own, whatever becomes of the client. The
// activations of its steps have ids that are derived from its own, and their
// records say how far it came: after a crash the next life repeats the entry from
// its beginning and finds what was done (durability.md section 3).
package compose

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Config holds the knobs of a Composer.
type Config struct {
	// Controller is this controller, whose journal is used.
	Controller entity.ControllerID
	// MaxActions is how many actions a sequence comes down to, and how many
	// components a composition runs.
	MaxActions int
	// MaxRunning bounds the entries under way at once; more are refused.
	MaxRunning int
	// Patience is how much longer than its time limit a component may take until
	// its result is there.
	Patience time.Duration
	// StoreTimeout bounds each attempt to write to the journal or the store.
	StoreTimeout time.Duration
	// MaxAge: an entry that is found again after this long ends with an error
	// instead of being gone on with.
	MaxAge time.Duration
}

// Records is the store of activation records.
type Records interface {
	Record(ctx context.Context, a *entity.Activation) (stored bool, err error)
	Activation(ctx context.Context, namespace entity.Path, id entity.ActivationID) (*entity.Activation, error)
}

// Identities finds out again who an entry acts for.
type Identities interface {
	// IdentityByUUID returns the identity, or store.ErrNotFound.
	IdentityByUUID(ctx context.Context, uuid string) (*entity.Identity, error)
}

// Kinds is what a composer asks of the runtimes manifest.
type Kinds interface {
	// CheckNotDeprecated returns the reason why actions of the kind may not be
	// invoked.
	CheckNotDeprecated(kind string) error
}

// Metrics counts what happens to entries. Safe for concurrent use.
type Metrics interface {
	// Began counts an entry that was accepted.
	Began(Kind)
	// Resumed counts one that an earlier life of the controller left.
	Resumed(Kind)
}

// Deps are what a Composer works with.
type Deps struct {
	Invoker    *invoke.Invoker
	Journal    bus.Journal
	Records    Records
	Identities Identities
	Catalog    *catalog.Catalog
	Rights     *entitle.Rights
	Throttle   *entitle.Throttle
	Kinds      Kinds
	// Explain turns an error of an invocation into the status and text that a
	// client would get.
	Explain func(error) (status int, text string)
	Metrics Metrics
	Log     *zap.Logger
	Now     func() time.Time
}

// Composer invokes actions of every kind and fires triggers. Safe for concurrent
// use.
type Composer struct {
	cfg  Config
	deps Deps

	// ctx ends when the composer is closed; what is under way is left to the next
	// life then.
	ctx  context.Context
	stop context.CancelFunc
	// own is this controller's journal.
	own     *ledger
	slots   chan struct{}
	running sync.WaitGroup
	count   atomic.Int64 // of what runs
	// disabled: new invocations are refused until the process ends.
	disabled atomic.Bool
	mu       sync.Mutex // guards closed, and running against a wait that has begun
	closed   bool
}

// New returns a composer. Close ends it.
func New(cfg Config, deps Deps) *Composer {
	c := &Composer{cfg: cfg, deps: deps, slots: make(chan struct{}, cfg.MaxRunning)}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.own = &ledger{controller: cfg.Controller, life: entity.NewActivationID(), ctx: c.ctx}
	return c
}

// Close stops everything under way between two of its steps and returns when
// nothing runs any more. What did not end is found by the next life's Recover.
func (c *Composer) Close() {
	c.mu.Lock()
	c.closed = true
	c.stop() // before anybody is refused for it, who must tell that from a refusal for good
	c.mu.Unlock()
	c.running.Wait()
}

// Disable makes the composer refuse what is new with invoke.ErrUnavailable, and
// reports whether it did not before. What was accepted is seen through.
func (c *Composer) Disable() bool { return !c.disabled.Swap(true) }

var errDisabled = fmt.Errorf("%w: the controller was disabled", invoke.ErrUnavailable)

// Running returns how many entries are under way.
func (c *Composer) Running() int { return int(c.count.Load()) }

// Invoke runs an action, sequence or composition as invoke.Invoker.Invoke does a
// single action. It can also fail with an *entitle.DeniedError for the components
// of a sequence, and with the reason why the kind may not be invoked.
func (c *Composer) Invoke(ctx context.Context, r *invoke.Request) (invoke.Result, error) {
	if c.disabled.Load() {
		return invoke.Result{}, errDisabled
	}
	return c.invoke(ctx, r, nil)
}

// invoke is Invoke also for what was accepted before the composer was disabled. What
// is invoked within an entry that is under way, outer, shares its place and its journal.
func (c *Composer) invoke(ctx context.Context, r *invoke.Request, outer *run) (invoke.Result, error) {
	exec := &r.Callable.Action.Exec
	if err := c.deps.Kinds.CheckNotDeprecated(exec.Kind); err != nil {
		return invoke.Result{}, err
	}
	if !exec.IsSequence() && !r.Callable.IsConductor {
		return c.deps.Invoker.Invoke(ctx, r)
	}
	if err := invoke.CheckFinal(r.Callable, r.Payload); err != nil {
		return invoke.Result{}, err
	}
	l := c.own
	if outer != nil {
		l = outer.task.ledger
	}
	t := c.newTask(l, Composition, r.Identity, r.Transid, r.ID)
	t.setAction(r.Callable)
	t.Payload = r.Payload
	if exec.IsSequence() {
		t.Kind = Sequence
		components := resolved(exec.Components, r.Identity.Namespace)
		if err := c.deps.Rights.CheckActions(ctx, r.Identity, entitle.Activate, components, c.cfg.MaxActions); err != nil {
			return invoke.Result{}, err
		}
		t.Components = components
	}
	done, err := c.accept(ctx, &run{composer: c, task: t, identity: r.Identity, callable: r.Callable, again: r.Republished, within: outer != nil})
	if err != nil {
		return invoke.Result{}, err
	}
	return invoke.Result{ActivationID: t.ID, Record: await(ctx, done, r.Wait)}, nil
}

func resolved(components []entity.FQN, namespace string) []entity.FQN {
	out := make([]entity.FQN, len(components))
	for i, c := range components {
		out[i] = c.Resolve(namespace)
	}
	return out
}

// await returns the record of an entry, or nil if it does not end within limit or
// before ctx does.
func await(ctx context.Context, done <-chan *entity.Activation, limit time.Duration) *entity.Activation {
	if limit <= 0 {
		return nil
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case record := <-done:
		return record
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// accept makes a task durable and starts its run. done gets its record once that is
// stored.
func (c *Composer) accept(ctx context.Context, r *run) (done <-chan *entity.Activation, err error) {
	if err := c.enter(r.within); err != nil {
		return nil, err
	}
	entry, err := r.task.entry()
	if err == nil {
		// A client that goes away must not leave it open whether this was accepted.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.cfg.StoreTimeout)
		defer cancel()
		entry.Republished = r.again
		err = c.deps.Journal.Begin(ctx, r.task.ledger.controller, entry)
	}
	if err != nil {
		c.leave(r.within)
		if errors.Is(err, bus.ErrTooLarge) || errors.Is(err, bus.ErrDuplicate) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", invoke.ErrUnavailable, err)
	}
	c.deps.Metrics.Began(r.task.Kind)
	return c.start(r), nil
}

// enter takes a place among the entries under way, unless another's is shared; leave
// gives it back.
func (c *Composer) enter(within bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("%w: the controller is stopping", invoke.ErrUnavailable)
	}
	if !within {
		select {
		case c.slots <- struct{}{}:
		default:
			return fmt.Errorf("%w: %d sequences, compositions and trigger fires are under way", invoke.ErrUnavailable, c.cfg.MaxRunning)
		}
	}
	c.running.Add(1)
	c.count.Add(1)
	return nil
}

func (c *Composer) leave(within bool) {
	if !within {
		<-c.slots
	}
	c.count.Add(-1)
	c.running.Done()
}

// start sees a run through that has a place.
func (c *Composer) start(r *run) <-chan *entity.Activation {
	done := make(chan *entity.Activation, 1)
	l := r.task.ledger
	l.running.Go(func() {
		defer c.leave(r.within)
		record, err := r.do(l.ctx)
		if err == nil {
			err = c.end(l.ctx, r.task, r.stored(record))
		}
		if err != nil {
			return // the composer was closed, or the journal is not ours; the entry stays
		}
		done <- record
	})
	return done
}

// end stores the record and forgets the entry, as patiently as persist.
func (c *Composer) end(ctx context.Context, t *task, record *entity.Activation) error {
	entry := bus.Entry{Namespace: t.namespace(), ID: t.ID}
	return c.persist(ctx, t, func(ctx context.Context) error {
		return c.deps.Journal.End(ctx, t.ledger.controller, entry, record)
	})
}

// Pauses between attempts to store a record while the store refuses it.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
)

// persist calls try, which stores a record, until it succeeds, however long that
// takes. Its error is that ctx ended or the composer was closed.
func (c *Composer) persist(ctx context.Context, t *task, try func(context.Context) error) error {
	return c.patiently(ctx, "a record could not be stored; trying again", t.fields(), func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.cfg.StoreTimeout)
		defer cancel()
		return try(ctx)
	})
}

// patiently calls try until it succeeds, and complains when it does not. Its error is
// that ctx ended or the composer was closed.
func (c *Composer) patiently(ctx context.Context, complaint string, fields []zap.Field, try func(context.Context) error) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := try(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case c.ctx.Err() != nil:
			return c.ctx.Err()
		}
		c.deps.Log.Error(complaint, append([]zap.Field{zap.Error(err)}, fields...)...)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		case <-c.ctx.Done():
			return c.ctx.Err()
		}
	}
}
