// Package overflow gives activations an invoker that found none when they came. They
// wait durably in the controller's overflow queue; the dispatcher takes a bounded number
// of them out, and when the balancer has room sends them to an invoker, fairly between
// namespaces and their actions (durability.md section 3, "Overflow").
package overflow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Config holds the knobs of a Dispatcher.
type Config struct {
	// Controller is this controller, whose overflow queue is served.
	Controller entity.ControllerID
	// MaxHeld bounds the messages taken out of the queue that have not been moved.
	// Turns are taken among these.
	MaxHeld int
	// MaxSending bounds those on their way to an invoker.
	MaxSending int
	// MaxAge: what waited longer, counted from its request, gets a record that says so.
	MaxAge time.Duration
	// Patience: what waited longer is asked before its turn.
	Patience time.Duration
	// SendTimeout bounds how long the bus may take to append one.
	SendTimeout time.Duration
	// StopTimeout bounds how long a stop waits for what is being sent and let go of.
	StopTimeout time.Duration
}

// Balancer books room on invokers.
type Balancer interface {
	invoke.Balancer
	// Freed has a token when there may be more room than before.
	Freed() <-chan struct{}
}

// Flights are the activations that this controller waits for; invoke.Invoker has them.
type Flights interface {
	Await(m *bus.ActivationMessage) *invoke.Waiter
	Adopt(m *bus.ActivationMessage, action *entity.Action) *invoke.Waiter
	Assign(w *invoke.Waiter, invoker entity.InvokerID)
	Unassign(w *invoke.Waiter, invoker entity.InvokerID)
	Completed(*bus.Completion)
}

// Actions are read for the memory that they need; catalog.Catalog has them.
type Actions interface {
	// Entity returns the entity, or store.ErrNotFound.
	Entity(ctx context.Context, id entity.DocID) (entity.Entity, error)
}

// Metrics counts what the dispatcher does. Safe for concurrent use.
type Metrics interface {
	// Dispatched counts an activation that was sent, and how long after its request.
	Dispatched(waited time.Duration)
	// DispatchFailed counts a try that failed; it is repeated.
	DispatchFailed()
	// Expired counts an activation that was given up because it waited too long.
	Expired()
}

// Deps are what a Dispatcher works with.
type Deps struct {
	Queue    bus.Queue
	Overflow bus.Overflow
	Balancer Balancer
	Flights  Flights
	Actions  Actions
	Metrics  Metrics
	Log      *zap.Logger
	Now      func() time.Time
}

// Dispatcher serves one overflow queue.
type Dispatcher struct {
	cfg  Config
	deps Deps

	// queue, sending and paused belong to the loop.
	queue   *Queue[*item]
	sending int
	// paused is until when nothing is sent, because the bus failed.
	paused time.Time
	pause  time.Duration

	arrived  chan []*item
	finished chan sent
	settled  chan ending

	// held counts what was claimed and is not settled; room has a token when it fell.
	held atomic.Int64
	room chan struct{}
}

// item is a claimed message.
type item struct {
	delivery bus.Delivery
	waiter   *invoke.Waiter
}

func (i *item) message() *bus.ActivationMessage { return i.delivery.Message }

func (i *item) fields(more ...zap.Field) []zap.Field {
	m := i.message()
	return append(more, zap.String("transid", m.Transid.ID), zap.String("namespace", m.User.Namespace),
		zap.String("activationId", string(m.ActivationID)))
}

// sent is what became of an item that was handed to the bus.
type sent struct {
	item *item
	err  error // it did not arrive
}

// New returns a dispatcher, for one Run.
func New(cfg Config, deps Deps) *Dispatcher {
	return &Dispatcher{
		cfg: cfg, deps: deps, queue: NewQueue[*item](cfg.Patience),
		arrived: make(chan []*item), finished: make(chan sent, cfg.MaxSending), settled: make(chan ending, cfg.MaxHeld),
		room: make(chan struct{}, 1),
	}
}

// Held returns how many messages are taken out of the queue.
func (d *Dispatcher) Held() int { return int(d.held.Load()) }

const (
	// reviewInterval is how often all that is held is looked at, whatever happens.
	reviewInterval = time.Second
	// firstPause and lastPause are between tries of what fails.
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// Run begins with what an earlier life had taken out of the queue and not moved, and
// serves the queue until ctx ends; then what it holds goes back. It returns
// bus.ErrOwned if another process has taken the queue.
func (d *Dispatcher) Run(ctx context.Context) error {
	// What is under way when ctx ends has a while more.
	grace, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(ctx, func() {
		time.AfterFunc(d.cfg.StopTimeout, giveUp)
	})()
	running, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	group.Go(func() error {
		defer stop() // also if the queue is lost
		return d.claim(running, grace)
	})
	var settling sync.WaitGroup
	settling.Go(func() { d.settleAll(grace) })
	d.loop(running, grace)
	err := group.Wait() // its claims are with the loop, or have gone back
	d.drain(grace)
	close(d.settled)
	settling.Wait()
	return err
}

// claim takes messages out of the queue while few are held.
func (d *Dispatcher) claim(ctx, grace context.Context) error {
	left, err := d.recover(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	pause := firstPause
	for d.admit(ctx, grace, left) {
		n := d.cfg.MaxHeld - d.Held()
		if n <= 0 {
			select {
			case <-d.room:
			case <-ctx.Done():
			}
			left = nil
			continue
		}
		left, err = d.deps.Queue.Claim(ctx, n)
		switch {
		case ctx.Err() != nil, err == nil:
			pause = firstPause
		case errors.Is(err, bus.ErrOwned), errors.Is(err, bus.ErrClosed):
			return fmt.Errorf("the overflow queue of controller %s: %w", d.cfg.Controller, err)
		default:
			d.deps.Log.Error("taking activations from the overflow queue failed; trying again", zap.Error(err))
			wait(ctx, pause)
			pause = min(2*pause, lastPause)
		}
	}
	return nil
}

// recover asks the queue for what an earlier life left, until it knows.
func (d *Dispatcher) recover(ctx context.Context) ([]bus.Delivery, error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		left, err := d.deps.Queue.Recover(ctx)
		if err == nil || ctx.Err() != nil {
			return left, nil
		}
		if errors.Is(err, bus.ErrOwned) || errors.Is(err, bus.ErrClosed) {
			return nil, fmt.Errorf("the overflow queue of controller %s: %w", d.cfg.Controller, err)
		}
		d.deps.Log.Error("what was left in the overflow queue could not be read; trying again", zap.Error(err))
		wait(ctx, pause)
	}
}

// wait waits, unless ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// loop sends what there is room for, until ctx ends.
func (d *Dispatcher) loop(ctx, grace context.Context) {
	ticker := time.NewTicker(reviewInterval)
	defer ticker.Stop()
	for {
		select {
		case items := <-d.arrived:
			for _, i := range items {
				d.push(i)
			}
		case s := <-d.finished:
			d.end(s)
		case <-d.deps.Balancer.Freed():
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if now := d.deps.Now(); !now.Before(d.paused) {
			d.queue.Pass(now, func(i *item) bool { return d.try(ctx, grace, now, i) })
		}
	}
}

func (d *Dispatcher) push(i *item) {
	m := i.message()
	d.queue.Push(m.User.Namespace, m.Action.String(), m.Transid.Start, i)
}

// try sends an item, or gives it up, if either can be done now.
func (d *Dispatcher) try(ctx, grace context.Context, now time.Time, i *item) bool {
	m := i.message()
	if age := now.Sub(m.Transid.Start); !m.Transid.Start.IsZero() && age > d.cfg.MaxAge {
		d.deps.Metrics.Expired()
		d.giveUp(i, fmt.Sprintf("The activation waited longer than %s to be run and was given up.", d.cfg.MaxAge))
		return true
	}
	if d.sending >= d.cfg.MaxSending || now.Before(d.paused) {
		return false
	}
	invoker, err := d.deps.Balancer.Choose(ctx, i.waiter.Placement)
	if err != nil { // no room, or no invokers: it waits for either
		return false
	}
	d.deps.Flights.Assign(i.waiter, invoker)
	d.sending++
	go func() { d.finished <- sent{i, d.send(grace, i, invoker)} }() // has room for all
	return true
}

// send appends the message to the invoker's queue. Its error is that it is not there, as
// far as can be known.
func (d *Dispatcher) send(ctx context.Context, i *item, invoker entity.InvokerID) error {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.SendTimeout)
	defer cancel()
	m := *i.message()
	m.Republished, m.Controller = true, d.cfg.Controller
	err := d.deps.Overflow.Dispatch(ctx, invoker, &m)
	if err != nil {
		d.deps.Flights.Unassign(i.waiter, invoker)
	}
	return err
}

// end takes in what became of an item that was sent.
func (d *Dispatcher) end(s sent) {
	d.sending--
	m := s.item.message()
	switch {
	case s.err == nil:
		d.pause = 0
		d.deps.Metrics.Dispatched(d.deps.Now().Sub(m.Transid.Start))
		d.settled <- ending{item: s.item}
	case errors.Is(s.err, bus.ErrDuplicate):
		// It was sent before, by a life that did not come to say so, and has ended or will.
		d.settled <- ending{item: s.item, completion: &bus.Completion{Kind: bus.SlotFree, Transid: m.Transid, ActivationID: m.ActivationID}}
	case errors.Is(s.err, bus.ErrTooLarge):
		d.giveUp(s.item, "The activation's message is too large to be sent to an invoker.")
	default:
		d.deps.Metrics.DispatchFailed()
		d.pause = min(max(2*d.pause, firstPause), lastPause)
		d.paused = d.deps.Now().Add(d.pause)
		d.deps.Log.Error("sending an activation of the overflow queue to an invoker failed; trying again", s.item.fields(zap.Duration("pause", d.pause), zap.Error(s.err))...)
		d.push(s.item)
	}
}

// drain waits for what is being sent and gives back what is held.
func (d *Dispatcher) drain(ctx context.Context) {
	for d.sending > 0 {
		d.end(<-d.finished)
	}
	var back []bus.Delivery
	d.queue.Pass(d.deps.Now(), func(i *item) bool {
		back = append(back, i.delivery)
		return true
	})
	d.release(ctx, back)
}

// release gives messages back to the queue.
func (d *Dispatcher) release(ctx context.Context, back []bus.Delivery) {
	if len(back) == 0 {
		return
	}
	d.held.Add(-int64(len(back)))
	if err := d.deps.Queue.Release(ctx, back); err != nil {
		d.deps.Log.Warn("giving activations back to the overflow queue failed; the next life goes on with them",
			zap.Int("activations", len(back)), zap.Error(err))
	}
}
