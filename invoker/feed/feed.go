// Package feed takes activations from the invoker's queue, no more than the pool
// can soon run, finds their actions, and submits them to the container pool. What
// cannot run ends here, with a record.
//
// After a crash it ends what the earlier owner had claimed: those activations may
// have run, so they get a record that says so, or run again where the action's
// annotation "retry" allows it (durability.md section 3).
package feed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/gjson"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/invoker/activation"
	"github.com/gowhisk/gowhisk/invoker/pool"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Pool takes jobs and says how many more it would take; pool.Loop is one.
type Pool interface {
	Submit(job pool.Job) error
	// Wants is how many more jobs may be claimed now.
	Wants() int
	// Capacity has a token when Wants may have risen.
	Capacity() <-chan struct{}
}

// Settler ends activations; activation.Settler is one.
type Settler interface {
	Settle(d bus.Delivery, record *entity.Activation, kind bus.CompletionKind)
	Release(d bus.Delivery)
}

// Config of a feed.
type Config struct {
	// MaxAge: what waited longer than this, counted from its request, ends with
	// an error instead of being run.
	MaxAge time.Duration
	// Limits are the system's ranges that actions are checked against again.
	Limits entity.LimitRanges
	// Kinds tells what the manifest says about kinds.
	Kinds Kinds
	// Blocked namespaces run nothing, whatever waits for them; nil knows of none but
	// those that messages say to be.
	Blocked Blocked
}

// Kinds is what a feed asks of the runtimes manifest.
type Kinds interface {
	// HasSentinels reports whether runtimes of the kind, or of the image for
	// blackbox actions, mark the end of each activation's logs.
	HasSentinels(exec *entity.Exec) bool
	// Image is the container image for the action.
	Image(exec *entity.Exec) string
}

// Feed moves activations from one queue to one pool.
type Feed struct {
	cfg     Config
	queue   bus.Queue
	actions *Actions
	settler Settler
	pool    Pool
	log     *zap.Logger
	blocked blacklist

	// fetching counts claimed activations whose actions are being read; fetched
	// has a token when it has fallen.
	fetching atomic.Int64
	fetched  chan struct{}
	fetches  sync.WaitGroup
}

// New returns a feed.
func New(cfg Config, queue bus.Queue, actions *Actions, settler Settler, p Pool, log *zap.Logger) *Feed {
	return &Feed{cfg: cfg, blocked: blacklist{source: cfg.Blocked, log: log}, queue: queue, actions: actions, settler: settler, pool: p, log: log, fetched: make(chan struct{}, 1)}
}

// Run recovers what an earlier owner left, calls feeding, and then feeds the pool
// until ctx ends.
// It returns nil then, when nothing of it is under way any more, and bus.ErrOwned when
// another process has taken the queue over.
func (f *Feed) Run(ctx context.Context, feeding func()) error {
	defer f.fetches.Wait()
	if err := f.recover(ctx); err != nil {
		if ctx.Err() != nil { // stopped before it began: the next start recovers
			return nil
		}
		return fmt.Errorf("recovering unfinished activations: %w", err)
	}
	feeding()
	for {
		room, ok := f.room(ctx)
		if !ok {
			return nil
		}
		deliveries, err := f.queue.Claim(ctx, room)
		if ctx.Err() != nil || errors.Is(err, bus.ErrClosed) {
			f.handBack(deliveries)
			return nil
		}
		if errors.Is(err, bus.ErrOwned) {
			return err
		}
		if err != nil {
			f.log.Error("taking activations from the queue failed; trying again", zap.Error(err))
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			continue
		}
		f.blocked.refresh(ctx, time.Now(), &f.fetches)
		for _, d := range deliveries {
			f.accept(ctx, d)
		}
	}
}

// room waits until the pool wants more than is on its way to it, and returns how
// many.
func (f *Feed) room(ctx context.Context) (n int, ok bool) {
	for {
		if n := f.pool.Wants() - int(f.fetching.Load()); n > 0 {
			return n, ctx.Err() == nil
		}
		select {
		case <-f.pool.Capacity():
		case <-f.fetched:
		case <-ctx.Done():
			return 0, false
		}
	}
}

// handBack returns claimed messages that a stop kept from being submitted.
func (f *Feed) handBack(deliveries []bus.Delivery) {
	for _, d := range deliveries {
		f.settler.Release(d)
	}
}

// accept submits a claimed activation, or ends it. It does no I/O unless the
// action has to be read, which happens beside the feed.
func (f *Feed) accept(ctx context.Context, d bus.Delivery) {
	if d.Message == nil {
		f.poisoned(ctx, d)
		return
	}
	if r, refused := f.refuse(d.Message, time.Now()); refused {
		f.end(d, nil, r)
		return
	}
	if a, ok := f.actions.Cached(d.Message); ok {
		f.submit(d, a)
		return
	}
	f.fetching.Add(1)
	f.fetches.Go(func() {
		defer f.arrived()
		a, err := f.actions.Fetch(ctx, d.Message)
		switch {
		case ctx.Err() != nil:
			f.settler.Release(d)
		case err != nil:
			f.log.Warn("reading an action failed", zap.String("transid", d.Message.Transid.ID),
				zap.String("action", d.Message.Action.String()), zap.Error(err))
			f.end(d, nil, activation.FetchFailure(err))
		default:
			f.submit(d, a)
		}
	})
}

// arrived ends one fetch.
func (f *Feed) arrived() {
	f.fetching.Add(-1)
	select {
	case f.fetched <- struct{}{}:
	default:
	}
}

// refuse ends what must not run whatever its action is.
func (f *Feed) refuse(m *bus.ActivationMessage, now time.Time) (entity.Response, bool) {
	if m.User.Limits.IsBlacklisted() || f.blocked.has(m.User.Namespace) {
		return entity.ErrorResponse(entity.StatusApplicationError, "The action was not invoked due to a blacklisted namespace."), true
	}
	if age := now.Sub(m.Transid.Start); !m.Transid.Start.IsZero() && age > f.cfg.MaxAge {
		return entity.ErrorResponse(entity.StatusWhiskError,
			fmt.Sprintf("The activation waited longer than %s to be run and was given up.", f.cfg.MaxAge)), true
	}
	return entity.Response{}, false
}

func (f *Feed) submit(d bus.Delivery, a *Runnable) {
	m := d.Message
	if err := m.User.Limits.Ranges(f.cfg.Limits).Check(entity.PatchOf(a.Limits)); err != nil {
		f.end(d, a.Action, entity.ErrorResponse(entity.StatusApplicationError, err.Error()))
		return
	}
	task := &activation.Task{Delivery: d, Action: a.Action, SentinelledLogs: f.cfg.Kinds.HasSentinels(&a.Exec), Attempt: d.Attempts}
	err := f.pool.Submit(pool.Job{
		ActivationID: string(m.ActivationID),
		ReuseKey:     a.reuseKey(m.User.Namespace),
		Namespace:    m.User.Namespace,
		Owner:        a.Action.Namespace.Namespace(),
		Action:       string(a.ID()),
		Kind:         a.Exec.Kind,
		Image:        f.cfg.Kinds.Image(&a.Exec),
		Memory:       a.Limits.Memory,
		Concurrency:  a.Limits.Concurrency,
		StemCells:    a.Exec.Kind != entity.KindBlackbox,
		Payload:      task,
	})
	switch {
	case errors.Is(err, pool.ErrDuplicate): // it runs already and is settled by that run
		f.log.Error("an activation was handed out twice", zap.String("activationId", string(m.ActivationID)))
	case err != nil: // the pool is closing
		f.settler.Release(d)
	}
}

// end settles an activation that does not run.
func (f *Feed) end(d bus.Delivery, a *entity.Action, r entity.Response) {
	f.settler.Settle(d, d.Message.UnrunRecord(a, r, time.Now()), bus.Combined)
}

// poisoned ends a message that could not be read: with a record where it names
// an activation and a namespace, else in the log alone.
func (f *Feed) poisoned(ctx context.Context, d bus.Delivery) {
	fields := gjson.GetManyBytes(d.Raw, "activationId", "user.namespace.name", "user.subject", "action.name", "action.path", "rootControllerIndex.asString")
	id, err := entity.ParseActivationID(fields[0].String())
	// The message itself stays out of the log: it has the caller's key and arguments.
	f.log.Error("a message in the queue could not be read", zap.Int64("offset", d.Offset), zap.Error(d.Err),
		zap.String("activationId", fields[0].String()), zap.String("namespace", fields[1].String()), zap.Int("bytes", len(d.Raw)))
	namespace, nameErr := entity.ParseNamespace(fields[1].String())
	if err != nil || nameErr != nil {
		if err := f.queue.Settle(ctx, bus.Settlement{Delivery: d}); err != nil && ctx.Err() == nil {
			f.log.Error("dropping an unreadable message failed; it is dropped at the next start", zap.Error(err))
		}
		return
	}
	d.Message = &bus.ActivationMessage{
		Action: entity.FQN{Path: entity.Path(fields[4].String()), Name: entity.Name(fields[3].String())}, Version: entity.FirstVersion,
		User:         entity.Identity{Subject: fields[2].String(), Namespace: string(namespace)},
		ActivationID: id, Controller: entity.ControllerID(fields[5].String()),
	}
	r := entity.ErrorResponse(entity.StatusWhiskError, "The activation's message could not be read.")
	f.settler.Settle(d, d.Message.UnrunRecord(nil, r, time.Now()), bus.Combined)
}
