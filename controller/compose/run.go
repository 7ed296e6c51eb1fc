package compose

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// run sees one task through.
type run struct {
	composer *Composer
	task     *task
	identity *entity.Identity
	// callable is the action of a task that was just accepted; nil if it has to be
	// found again.
	callable *catalog.Callable
	// resumed: an earlier life may have done a part of it.
	resumed bool
	// again: it may have been accepted before, by another life or another controller.
	again bool
	// within: it shares the place of the fire that invoked it.
	within bool
}

// do returns the record of the task; its error is that the composer was closed.
func (r *run) do(ctx context.Context) (*entity.Activation, error) {
	t := r.task
	if t.Kind == TriggerFire {
		return r.fire(ctx)
	}
	p := &parent{
		id: t.ID, action: t.Action, version: t.Version, binding: t.Binding, limits: t.Limits, start: t.Start,
		topmost: true, conductor: t.Kind == Composition,
	}
	var response entity.Response
	var err error
	if t.Kind == Sequence {
		response, err = r.sequence(ctx, p, t.Components, t.Payload, scope{actions: r.newBudget()})
	} else {
		response, err = r.conduct(ctx, p)
	}
	if err != nil {
		return nil, err
	}
	return p.record(r, response), nil
}

// conduct runs the composition that the task is.
func (r *run) conduct(ctx context.Context, p *parent) (entity.Response, error) {
	conductor := r.callable
	if conductor == nil {
		address := r.task.Action
		if r.task.Binding != "" {
			address.Path = r.task.Binding
		}
		var err error
		if conductor, err = r.composer.deps.Catalog.Resolve(ctx, address); err != nil {
			return failed(ctx, textCompositionFailed)
		}
	}
	return r.composition(ctx, p, conductor, r.task.Payload, scope{compositions: r.newCompositionBudget()})
}

// scope is what nested sequences and compositions share with those around them.
type scope struct {
	depth int
	// actions are those that the outermost sequence may still run.
	actions *int
	// compositions is what the outermost composition may still run.
	compositions *compositionBudget
}

func (s scope) deeper() scope {
	s.depth++
	return s
}

func (r *run) newBudget() *int {
	n := r.composer.cfg.MaxActions
	return &n
}

// failed is a platform's failure to run something, unless it is that the composer
// was closed.
func failed(ctx context.Context, text string) (entity.Response, error) {
	if err := ctx.Err(); err != nil {
		return entity.Response{}, err
	}
	return entity.ErrorResponse(entity.StatusWhiskError, text), nil
}

// errNoResult: the result of a component did not come in time.
var errNoResult = errors.New("no result in time")

// child runs an action as a step of p, and returns its record. It adds the step to
// p. The name of the step is the same in every life of the controller and no other
// step's. The error is errNoResult, with the id, why the action was not accepted,
// or that the composer was closed.
func (r *run) child(ctx context.Context, p *parent, step string, action *catalog.Callable, payload []byte, s scope) (*entity.Activation, entity.ActivationID, error) {
	record, id, err := r.done(ctx, p, step)
	if record != nil || err != nil {
		return record, id, err
	}
	if record, err = r.childRun(ctx, p, id, action, payload, s); err != nil {
		return nil, id, err
	}
	p.add(record, action.Action.Limits.Memory)
	return record, id, nil
}

// done returns the record of a step that an earlier life has finished, and adds the
// step to p. What has become of its action since does not matter then.
func (r *run) done(ctx context.Context, p *parent, step string) (*entity.Activation, entity.ActivationID, error) {
	id := entity.DeriveActivationID(p.id, step)
	record, err := r.recorded(ctx, id)
	if record != nil {
		limits, _ := record.Annotations.Get("limits")
		p.add(record, entity.Megabytes(gjson.GetBytes(limits, "memory").Int()))
	}
	return record, id, err
}

// isConducted reports whether a record is a composition's.
func isConducted(record *entity.Activation) bool { return record.Annotations.Truthy("conductor") }

// isSequence reports whether a record is a sequence's, whose own actions count for it.
func isSequence(record *entity.Activation) bool {
	kind, _ := record.Annotations.String("kind")
	return kind == entity.KindSequence && !isConducted(record)
}

// recorded returns the record of a step that an earlier life has finished, nil if
// there is none. A store that is down says nothing about that and is waited for; the
// error is that the composer was closed.
func (r *run) recorded(ctx context.Context, id entity.ActivationID) (record *entity.Activation, err error) {
	if !r.resumed {
		return nil, nil
	}
	err = r.composer.patiently(ctx, "what had been done before a stop could not be read; trying again", r.task.fields(), func(ctx context.Context) (err error) {
		record, err = r.composer.deps.Records.Activation(ctx, r.task.namespace(), id)
		if errors.Is(err, store.ErrNotFound) {
			record, err = nil, nil
		}
		return err
	})
	return record, err
}

func (r *run) childRun(ctx context.Context, p *parent, id entity.ActivationID, action *catalog.Callable, payload []byte, s scope) (*entity.Activation, error) {
	if action.Action.Exec.IsSequence() || action.IsConductor {
		return r.nested(ctx, p, id, action, payload, s.deeper())
	}
	limit := time.Duration(action.Action.Limits.Timeout) * time.Millisecond
	result, err := r.composer.deps.Invoker.Invoke(ctx, &invoke.Request{
		Identity: r.identity, Transid: r.componentTransid(), Callable: action, Payload: payload,
		Wait: limit + r.composer.cfg.Patience, Cause: p.id, ID: id, Republished: r.resumed,
	})
	switch {
	case err != nil:
		return nil, err
	case result.Record != nil:
		return result.Record, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, errNoResult
}

// componentTransid is the task's, begun now: a component waits since it is due, not
// since the request, which may be hours ago.
func (r *run) componentTransid() bus.Transid {
	t := r.task.transid()
	t.Start = r.composer.deps.Now()
	return t
}

// nested runs a sequence or composition that is a step of another, and stores its
// record.
func (r *run) nested(ctx context.Context, outer *parent, id entity.ActivationID, action *catalog.Callable, payload []byte, s scope) (*entity.Activation, error) {
	a := action.Action
	p := &parent{
		id: id, cause: outer.id, action: a.FQN(), version: a.Version, binding: action.Binding, limits: a.Limits,
		start: r.composer.deps.Now().UnixMilli(), conductor: action.IsConductor,
	}
	var response entity.Response
	var err error
	if action.IsConductor {
		if s.compositions == nil {
			s.compositions = r.newCompositionBudget()
		}
		response, err = r.composition(ctx, p, action, payload, s)
	} else {
		if s.actions == nil {
			s.actions = r.newBudget()
		}
		// Its own parameters are not passed on (openwhisk-rest-api.md 11).
		response, err = r.sequence(ctx, p, resolved(a.Exec.Components, r.task.Namespace), payload, s)
	}
	if err != nil {
		return nil, err
	}
	record := p.record(r, response)
	if kept := r.stored(record); kept != nil {
		// Its parts have run: it has a record before anything goes on or ends.
		err := r.composer.persist(ctx, r.task, func(ctx context.Context) error {
			_, err := r.composer.deps.Records.Record(ctx, kept)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return record, nil
}

// stored is the record if the namespace keeps its records, or nil. Not even a request
// for more logging has them kept (openwhisk-invoker.md 6.11).
func (r *run) stored(record *entity.Activation) *entity.Activation {
	if !r.identity.Limits.StoresActivations() {
		return nil
	}
	return record
}

// parent is an activation that consists of others, while it is under way.
type parent struct {
	id, cause entity.ActivationID
	action    entity.FQN
	version   entity.Version
	binding   entity.Path
	limits    entity.ActionLimits
	start     int64 // milliseconds since the epoch
	// topmost: it is no part of another.
	topmost, conductor bool

	logs     []string
	duration int64 // sum of the components'
	memory   entity.Megabytes
}

func (p *parent) add(component *entity.Activation, memory entity.Megabytes) {
	p.logs = append(p.logs, string(component.ActivationID))
	if component.Duration != nil {
		p.duration += *component.Duration
	}
	p.memory = max(p.memory, memory)
}

// record is the parent's own (openwhisk-rest-api.md 10, 11, 12).
func (p *parent) record(r *run, response entity.Response) *entity.Activation {
	t := r.task
	duration := p.duration
	return &entity.Activation{
		Namespace: t.namespace(), Name: p.action.Name, Version: p.version, Subject: t.Subject,
		ActivationID: p.id, Cause: p.cause, Start: p.start, End: max(r.composer.deps.Now().UnixMilli(), p.start), Duration: &duration,
		Response: response, Logs: p.logs, Annotations: p.annotations(max(p.start-t.Transid.Start, 0)),
	}
}

func (p *parent) annotations(waited int64) entity.Parameters {
	list := entity.Parameters{
		boolAnnotation("topmost", p.topmost),
		stringAnnotation("path", p.action.String()),
		stringAnnotation("kind", entity.KindSequence),
		{Key: "waitTime", Value: strconv.AppendInt(nil, waited, 10)},
	}
	if p.conductor {
		list = append(list, boolAnnotation("conductor", true))
	}
	if p.cause != "" {
		list = append(list, stringAnnotation("causedBy", "sequence"))
	}
	if p.binding != "" {
		list = append(list, stringAnnotation("binding", string(p.binding)))
	}
	if len(p.logs) > 0 {
		limits := p.limits
		limits.Memory, limits.Concurrency = p.memory, entity.DefaultLimitRanges().Concurrency.Std
		list = append(list, entity.Parameter{Key: "limits", Value: limits.AppendJSON(nil)})
	}
	return list
}

func boolAnnotation(key string, value bool) entity.Parameter {
	return entity.Parameter{Key: key, Value: strconv.AppendBool(nil, value)}
}

func stringAnnotation(key, value string) entity.Parameter {
	return entity.Parameter{Key: key, Value: entity.AppendString(nil, value)}
}
