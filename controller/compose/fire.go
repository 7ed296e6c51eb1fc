package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Fire is one event of a trigger.
type Fire struct {
	Identity *entity.Identity
	Transid  bus.Transid
	Trigger  *entity.Trigger
	// ID of the trigger's activation; "" draws one. With an id that was accepted
	// before, nothing is fired and the error is bus.ErrDuplicate.
	ID entity.ActivationID
	// Headers is a JSON object that rules' actions get as __ow_headers, nil for none.
	Headers json.RawMessage
	// Payload is a valid JSON object, or nothing.
	Payload json.RawMessage
}

// Fire accepts an event and returns the id of the trigger's activation, or "" if
// no rule of the trigger is active, and nothing is to be done then
// (openwhisk-rest-api.md 14.3). A nil error with an id means that the event was
// accepted: it will have a record, and its rules' actions are invoked whatever
// becomes of this process.
func (c *Composer) Fire(ctx context.Context, f *Fire) (entity.ActivationID, error) {
	if c.disabled.Load() {
		return "", errDisabled
	}
	if !f.Trigger.HasActiveRule() {
		return "", nil
	}
	t := c.newTask(c.own, TriggerFire, f.Identity, f.Transid, f.ID)
	t.Trigger, t.Version, t.Payload = f.Trigger.Name, f.Trigger.Version, f.Payload
	t.Parameters = f.Trigger.Parameters
	if f.Headers != nil {
		t.Parameters = t.Parameters.With(entity.Parameter{Key: "__ow_headers", Value: f.Headers})
	}
	for _, rule := range f.Trigger.Rules {
		t.Rules = append(t.Rules, firedRule(rule))
	}
	if _, err := c.accept(ctx, &run{composer: c, task: t, identity: f.Identity, again: f.ID != ""}); err != nil {
		return "", err
	}
	return t.ID, nil
}

// fire invokes the actions of the rules and returns the trigger's record: what was
// invoked, rule by rule. Its error is that the composer was closed.
func (r *run) fire(ctx context.Context) (*entity.Activation, error) {
	t := r.task
	arguments := invoke.Overlay(t.Parameters, t.Payload)
	logs := make([]string, len(t.Rules))
	for i, rule := range t.Rules {
		logs[i] = r.fireRule(ctx, i, rule, arguments)
		// What is refused because the composer was closed is not refused for good.
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	result := t.Payload
	if len(result) == 0 {
		result = json.RawMessage("{}")
	}
	return &entity.Activation{
		Namespace: t.namespace(), Name: t.Trigger, Version: t.Version, Subject: t.Subject, ActivationID: t.ID,
		Start: t.Start, Response: entity.Response{Result: result}, Logs: logs,
	}, nil
}

// fireRule invokes one rule's action and returns the line that says what came of it.
func (r *run) fireRule(ctx context.Context, i int, rule firedRule, arguments json.RawMessage) string {
	line := ruleLine{rule: rule}
	if rule.Status != entity.RuleActive {
		line.status = entity.StatusApplicationError
		line.text = fmt.Sprintf("Rule '%s' is inactive, action '%s' was not activated.", rule.Rule, rule.Action)
		return line.String()
	}
	line.id = entity.DeriveActivationID(r.task.ID, "rule "+strconv.Itoa(i))
	if err := r.invokeRule(ctx, line.id, rule, arguments); err != nil {
		var status int
		status, line.text = r.composer.deps.Explain(err)
		line.status = entity.StatusApplicationError
		if status >= http.StatusInternalServerError {
			line.status = entity.StatusWhiskError
		}
	}
	return line.String()
}

// invokeRule invokes the rule's action as its trigger's owner would: counted,
// checked and recorded like any invocation (openwhisk-rest-api.md 14.3).
func (r *run) invokeRule(ctx context.Context, id entity.ActivationID, rule firedRule, arguments json.RawMessage) error {
	deps := &r.composer.deps
	// What was invoked before a crash is not refused because the action, or the
	// right to it, is gone since.
	if record, err := r.recorded(ctx, id); err == nil && record != nil {
		return nil
	}
	if !r.resumed { // otherwise it was counted before
		if err := deps.Throttle.Invocation(r.identity); err != nil {
			return err
		}
	}
	if err := deps.Rights.Check(ctx, r.identity, entitle.Activate, entitle.Of(entitle.Actions, rule.Action)); err != nil {
		return err
	}
	action, err := deps.Catalog.Resolve(ctx, rule.Action)
	if err != nil {
		return err
	}
	_, err = r.composer.invoke(ctx, &invoke.Request{
		Identity: r.identity, Transid: r.task.transid(), Callable: action, Payload: arguments,
		ID: id, Republished: r.resumed,
	}, r)
	if r.resumed && errors.Is(err, bus.ErrDuplicate) { // a sequence that was begun before
		return nil
	}
	return err
}

// ruleLine is what a trigger's logs say about one rule.
type ruleLine struct {
	rule   firedRule
	status entity.StatusCode
	id     entity.ActivationID
	text   string // what went wrong
}

func (l ruleLine) String() string {
	b := strconv.AppendInt([]byte(`{"statusCode":`), int64(l.status), 10)
	if l.status == entity.StatusSuccess {
		b = append(append(append(b, `,"success":true,"activationId":"`...), l.id...), '"')
	} else {
		b = entity.AppendString(append(b, `,"success":false,"error":`...), l.text)
	}
	b = entity.AppendString(append(b, `,"rule":`...), l.rule.Rule.String())
	b = entity.AppendString(append(b, `,"action":`...), l.rule.Action.String())
	return string(append(b, '}'))
}
