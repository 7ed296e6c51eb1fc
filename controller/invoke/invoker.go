// Package invoke says what invoking an action means for the controller
// (openwhisk-rest-api.md section 9, openwhisk-invoker.md 5.2 and 5.4): the
// arguments are merged, the activation gets an id, room on an invoker and a place
// in that invoker's queue, and whoever wants to waits for the result.
//
// The controller keeps soft state only: a flight for each activation that has not
// ended. What was accepted lives in the bus; records are written by invokers.
package invoke

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

var (
	// ErrNoInvokers: no invoker is healthy, or none may take more. Balancers return it.
	ErrNoInvokers = errors.New("no invokers available")
	// ErrNoRoom: healthy invokers exist, and all are busy: the activation may wait in
	// the overflow queue. Balancers return it.
	ErrNoRoom = errors.New("all invokers are busy")
	// ErrUnavailable: the bus did not accept the activation.
	ErrUnavailable = errors.New("the activation was not accepted")
)

// Balancer books room for activations on invokers. Safe for concurrent use.
type Balancer interface {
	// Choose books room for one activation and returns the invoker that has it, or
	// ErrNoRoom, or ErrNoInvokers.
	Choose(ctx context.Context, p Placement) (entity.InvokerID, error)
	// Release gives back what one Choose with an equal p booked, and says how the
	// activation ended.
	Release(invoker entity.InvokerID, p Placement, o Outcome)
}

// Placement is what a balancer decides by.
type Placement struct {
	// Namespace that invokes.
	Namespace string
	// Action is the provider's address.
	Action      entity.FQN
	Version     entity.Version
	Memory      entity.Megabytes
	Concurrency int
	// Kind is the action's kind; entity.KindBlackbox may need an image to be pulled.
	Kind  string
	Image string
}

// Outcome is how an activation ended, as far as the health of its invoker goes.
type Outcome int

const (
	// Completed: the action ran, well or badly.
	Completed Outcome = iota + 1
	// SystemError: the platform failed to run it.
	SystemError
	// Lost: nothing was heard of it in time.
	Lost
	// NotSent: it never reached the invoker's queue.
	NotSent
)

// InFlight counts the activations in flight of each namespace.
type InFlight interface {
	// Begin books one, or says why it may not be.
	Begin(id *entity.Identity) error
	// BeginComponent books one whatever the limit.
	BeginComponent(id *entity.Identity)
	// End gives one back.
	End(uuid string)
}

// Records is where results are fetched that a completion did not carry.
type Records interface {
	// Activation returns the record, or store.ErrNotFound.
	Activation(ctx context.Context, namespace entity.Path, id entity.ActivationID) (*entity.Activation, error)
}

// Metrics counts what happens to activations. Safe for concurrent use.
type Metrics interface {
	// Accepted counts an activation that the bus took.
	Accepted(blocking bool)
	// Refused counts one that it did not take.
	Refused()
	// WaitExpired counts a blocking call that was answered before its result.
	WaitExpired()
	// LostActivation counts one whose completion never came.
	LostActivation()
	// Overflowed counts an activation that waits for room on an invoker.
	Overflowed()
}

// Config holds the knobs of an Invoker.
type Config struct {
	// Controller is this controller, to which completions are sent.
	Controller entity.ControllerID
	// PublishTimeout bounds how long the bus may take to accept an activation.
	PublishTimeout time.Duration
	// LostFactor and LostExtra say when an activation counts as lost: max(its time
	// limit, StdTimeout) × LostFactor + LostExtra after it was accepted
	// (openwhisk-invoker.md 5.4).
	LostFactor int
	LostExtra  time.Duration
	StdTimeout time.Duration
	// MaxWaiting bounds the activations that wait in the overflow queue; more are refused.
	MaxWaiting int
	// MaxWaitingTime is how long they wait at most.
	MaxWaitingTime time.Duration
	// PollInterval is how often a waiting call looks for the record on its own, in
	// case the completion was lost.
	PollInterval time.Duration
}

// Deps are what an Invoker works with.
type Deps struct {
	Balancer  Balancer
	Publisher bus.Publisher
	// Overflow takes what no invoker has room for; nil refuses it.
	Overflow bus.Overflow
	InFlight InFlight
	Records  Records
	Metrics  Metrics
	Log      *zap.Logger
	Now      func() time.Time
}

// Invoker invokes actions. Safe for concurrent use.
type Invoker struct {
	cfg     Config
	deps    Deps
	flights *flights
	lines   lines
	// timers spares waiting calls the allocation of one. Since Go 1.23 a timer that
	// was stopped or reset delivers nothing from before.
	timers sync.Pool
}

// New returns an invoker. Its Completed must get the completions of
// cfg.Controller, and Run must run for as long as it is used.
func New(cfg Config, deps Deps) *Invoker {
	return &Invoker{cfg: cfg, deps: deps, flights: newFlights(), timers: sync.Pool{New: newTimer}}
}

// Request is one action to be invoked.
type Request struct {
	Identity *entity.Identity
	Transid  bus.Transid
	Callable *catalog.Callable
	// Payload is a valid JSON object, an array (from a component of a sequence), or
	// nothing.
	Payload json.RawMessage
	// Wait is how long to wait for the result; 0 does not wait.
	Wait time.Duration
	// Cause is the enclosing sequence or composition, "" for none. Its components
	// are exempt from the limit of concurrent invocations, and may be given what is
	// final (openwhisk-rest-api.md 11, 19).
	Cause entity.ActivationID
	// ID of the activation; "" draws one.
	ID entity.ActivationID
	// Republished: an earlier call may have been accepted with the same ID. If it
	// was, this one waits for what comes of that. Nor is it refused for the limit of
	// concurrent invocations, which the earlier call has passed or was.
	Republished bool
}

// Result of an invocation that was accepted.
type Result struct {
	ActivationID entity.ActivationID
	// Record is nil if nobody waited or the wait was over first.
	Record *entity.Activation
}

// Invoke runs an action. A nil error means that the activation was accepted: it
// will have a record, whatever becomes of this call. Errors: ErrFinal, what
// InFlight.Begin says, ErrNoInvokers, ErrNoRoom, bus.ErrTooLarge, ErrUnavailable. When ctx
// ends while Invoke waits it returns at once, without a record.
func (v *Invoker) Invoke(ctx context.Context, r *Request) (Result, error) {
	if r.Cause == "" {
		if err := CheckFinal(r.Callable, r.Payload); err != nil {
			return Result{}, err
		}
	}
	fl, place, err := v.begin(ctx, r)
	if err != nil {
		return Result{}, err
	}
	err = v.publish(ctx, place, v.message(r, fl.id))
	if r.Republished && errors.Is(err, bus.ErrDuplicate) {
		return v.resume(ctx, fl, r), nil
	}
	if err != nil {
		if v.flights.take(fl.id) != nil {
			v.free(fl, NotSent)
		}
		v.deps.Metrics.Refused()
		return Result{}, err
	}
	v.deps.Metrics.Accepted(r.Wait > 0)
	result := Result{ActivationID: fl.id}
	if r.Wait > 0 {
		// A completion that came first has taken the flight; its result waits in the
		// channel all the same.
		result.Record = v.wait(ctx, fl, entity.Path(r.Identity.Namespace), r.Wait)
	}
	return result, nil
}

// resume waits for an activation that was accepted before. Its completion, which
// may have been sent long ago, is not relied on.
func (v *Invoker) resume(ctx context.Context, fl *flight, r *Request) Result {
	result := Result{ActivationID: fl.id}
	if r.Wait > 0 {
		namespace := entity.Path(r.Identity.Namespace)
		if result.Record = v.look(ctx, fl.id, namespace); result.Record == nil {
			result.Record = v.wait(ctx, fl, namespace, r.Wait)
		}
	}
	if v.flights.take(fl.id) != nil {
		v.free(fl, Completed)
	}
	return result
}

// begin books everything that an activation needs, and says where it is to be sent: once
// the flight is known, others may point it elsewhere.
func (v *Invoker) begin(ctx context.Context, r *Request) (fl *flight, place entity.InvokerID, err error) {
	action := r.Callable.Action
	fl = &flight{
		id: r.ID, uuid: r.Identity.Key.UUID, placement: placement(r.Identity.Namespace, action), patience: v.patience(action),
	}
	if r.Wait > 0 {
		fl.result = make(chan *entity.Activation, 1)
	}
	if fl.id == "" {
		fl.id = entity.NewActivationID()
	}
	if r.Cause != "" || r.Republished {
		v.deps.InFlight.BeginComponent(r.Identity)
	} else if err := v.deps.InFlight.Begin(r.Identity); err != nil {
		return nil, 0, err
	}
	if place, err = v.choose(ctx, r, &fl.placement); err != nil {
		v.deps.InFlight.End(fl.uuid)
		return nil, 0, err
	}
	if place == overflow {
		v.park(fl)
		v.deps.Metrics.Overflowed()
	} else {
		fl.invoker, fl.deadline = place, v.deps.Now().Add(fl.patience)
	}
	v.add(fl)
	return fl, place, nil
}

// patience is how long to wait for the completion of an activation.
func (v *Invoker) patience(a *entity.Action) time.Duration {
	limit := max(time.Duration(a.Limits.Timeout)*time.Millisecond, v.cfg.StdTimeout)
	return limit*time.Duration(v.cfg.LostFactor) + v.cfg.LostExtra
}

func (v *Invoker) message(r *Request, id entity.ActivationID) *bus.ActivationMessage {
	action := r.Callable.Action
	arguments := Merge(r.Callable, r.Payload)
	m := &bus.ActivationMessage{
		Transid:      r.Transid,
		Action:       action.FQN(),
		Binding:      r.Callable.Binding,
		Version:      action.Version,
		Revision:     action.Revision,
		User:         *r.Identity,
		ActivationID: id,
		Controller:   v.cfg.Controller,
		Blocking:     r.Wait > 0,
		Content:      arguments.Content,
		InitArgs:     arguments.Init,
		LockedArgs:   arguments.Locked,
		Cause:        r.Cause,
		Republished:  r.Republished,
	}
	if !r.Callable.GrantsKey {
		m.User.Key.Key = ""
	}
	return m
}

// publish hands the message to the bus. A client that goes away meanwhile must not
// leave it open whether the activation was accepted, so ctx's end does not count.
func (v *Invoker) publish(ctx context.Context, place entity.InvokerID, m *bus.ActivationMessage) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.cfg.PublishTimeout)
	defer cancel()
	var err error
	if place == overflow {
		err = v.deps.Overflow.Overflow(ctx, v.cfg.Controller, m)
	} else {
		err = v.deps.Publisher.Publish(ctx, place, m)
	}
	if err == nil || errors.Is(err, bus.ErrTooLarge) || errors.Is(err, bus.ErrDuplicate) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// InFlight returns how many activations have not ended.
func (v *Invoker) InFlight() int { return int(v.flights.count.Load()) }

// Activations returns the ids of those activations, in no order.
func (v *Invoker) Activations() []entity.ActivationID { return v.flights.ids() }

// Completed takes the completions for this controller: a bus.CompletionHandler.
// Completions of activations that ended before, or that another life of this
// controller sent, are ignored.
func (v *Invoker) Completed(c *bus.Completion) {
	fl := v.flights.complete(c, func(fl *flight) { v.deps.InFlight.End(fl.uuid) })
	if fl == nil {
		return
	}
	if c.IsSystemError {
		v.free(fl, SystemError)
		return
	}
	v.free(fl, Completed)
}

// free gives back what the flight booked. Only who took the flight calls it.
func (v *Invoker) free(fl *flight, o Outcome) {
	if !fl.concluded {
		v.deps.InFlight.End(fl.uuid)
	}
	if fl.waiting {
		v.lines.leave(fl.placement.queue())
		return
	}
	v.deps.Balancer.Release(fl.invoker, fl.placement, o)
}

// reapInterval is how often Run looks for lost activations.
const reapInterval = 5 * time.Second

// Run gives up on activations whose completion never came, until ctx ends.
func (v *Invoker) Run(ctx context.Context) error {
	ticker := time.NewTicker(reapInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			v.Reap()
		}
	}
}

// Reap frees what lost activations booked. It writes no record, for it cannot know that
// the activation does not run: whoever has its message does, and owes the record. That
// is the invoker that claimed it, at its end or in its next life; a controller that
// drains the queue, if the invoker stays dead; or the dispatcher of the overflow queue,
// for what waited there too long. So the record comes, however late, and is the true
// one (openwhisk-invoker.md section 14, "Forced timeout writes no record"). Who still
// waits for one is sent to the store.
func (v *Invoker) Reap() {
	for _, fl := range v.flights.overdue(v.deps.Now()) {
		v.free(fl, Lost)
		v.deps.Metrics.LostActivation()
		fields := []zap.Field{zap.String("activationId", string(fl.id)), zap.Stringer("action", fl.placement.Action)}
		if fl.waiting {
			v.deps.Log.Warn("an activation waited for room on an invoker for longer than it may and is no longer counted", fields...)
			continue
		}
		v.deps.Log.Warn("no completion of an activation came in time; its slot is freed, see whether its invoker is alive",
			append(fields, zap.Stringer("invoker", fl.invoker))...)
	}
}
