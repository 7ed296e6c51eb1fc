package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Texts of compositions (openwhisk-rest-api.md 12).
const (
	textCompositionTooLong = "Too many actions in the composition."
	textCompositionFailed  = "Activation failure during composition."
)

// compositionBudget is what a composition, with those nested in it, may still run.
type compositionBudget struct{ components, conductors int }

func (r *run) newCompositionBudget() *compositionBudget {
	n := r.composer.cfg.MaxActions
	return &compositionBudget{components: n, conductors: 2*n + 1}
}

// composition runs the conductor and what it asks for in turn, until it asks for
// nothing. Its error is that the composer was closed.
func (r *run) composition(ctx context.Context, p *parent, conductor *catalog.Callable, payload json.RawMessage, s scope) (entity.Response, error) {
	// A conductor is a plain action in its own composition.
	primitive := conductor.AsPrimitive()
	input := payload
	for turn := 0; ; turn++ {
		if s.compositions.conductors == 0 {
			return entity.ErrorResponse(entity.StatusApplicationError, textCompositionTooLong), nil
		}
		s.compositions.conductors--
		record, id, err := r.child(ctx, p, "conductor "+strconv.Itoa(turn), primitive, input, s)
		if err != nil {
			return r.compositionFailed(ctx, p, id, err)
		}
		next := parseDirective(record.Response.Result)
		if !next.goesOn {
			response := record.Response
			if next.params != nil {
				response.Result = next.params
			}
			return response, nil
		}
		result, id, err := r.directed(ctx, p, "component "+strconv.Itoa(turn), next, s)
		if err != nil {
			return r.compositionFailed(ctx, p, id, err)
		}
		input = overlay(result, next.state)
	}
}

// directed runs the component that a conductor asks for and returns its result.
// What is wrong with the request is a result, too, for the conductor to see.
func (r *run) directed(ctx context.Context, p *parent, step string, d directive, s scope) (json.RawMessage, entity.ActivationID, error) {
	if record, id, err := r.done(ctx, p, step); record != nil || err != nil {
		if err != nil {
			return nil, id, err
		}
		if !isConducted(record) {
			s.compositions.components = max(s.compositions.components-1, 0)
		}
		return record.Response.Result, id, nil
	}
	address, ok := parseComponent(d.action, r.task.Namespace)
	if !ok {
		return problem("Failed to parse action name from json value %s during composition.", d.action.Raw), "", nil
	}
	// The right is checked first, so that nobody learns what others have.
	err := r.composer.deps.Rights.Check(ctx, r.identity, entitle.Activate, entitle.Of(entitle.Actions, address))
	var denied *entitle.DeniedError
	if errors.As(err, &denied) {
		return problem("Failed entitlement check for action with name '%s' during composition.", address), "", nil
	}
	var action *catalog.Callable
	if err == nil {
		action, err = r.composer.deps.Catalog.Resolve(ctx, address)
	}
	var circular *entitle.CircularError
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, catalog.ErrWrongType), errors.As(err, &circular):
		return problem("Failed to resolve action with name '%s' during composition.", address), "", nil
	case err != nil:
		return nil, "", err
	}
	if !action.IsConductor { // a nested composition takes none
		if s.compositions.components == 0 {
			return problem(textCompositionTooLong), "", nil
		}
		s.compositions.components--
	}
	s.actions = nil // a sequence counts as one here, and for itself as it likes
	params := d.params
	if params == nil {
		params = json.RawMessage("{}")
	}
	record, id, err := r.child(ctx, p, step, action, params, s)
	if err != nil {
		return nil, id, err
	}
	return record.Response.Result, id, nil
}

func (r *run) compositionFailed(ctx context.Context, p *parent, id entity.ActivationID, err error) (entity.Response, error) {
	if errors.Is(err, errNoResult) {
		p.logs = append(p.logs, string(id))
		return failed(ctx, fmt.Sprintf("Timeout reached when retrieving activation %s during composition.", id))
	}
	response, stopped := failed(ctx, textCompositionFailed)
	if stopped == nil {
		r.composer.deps.Log.Error("a step of a composition could not be run", r.task.fields(zap.Error(err))...)
	}
	return response, stopped
}

// problem is the result that tells a conductor what went wrong.
func problem(format string, args ...any) json.RawMessage {
	return append(entity.AppendString([]byte(`{"error":`), fmt.Sprintf(format, args...)), '}')
}

// directive is what a conductor says about how to go on.
type directive struct {
	goesOn bool
	// action names the next component.
	action gjson.Result
	// params is an object, nil if there is none.
	params json.RawMessage
	// state is an object, nil if there is none.
	state json.RawMessage
}

// parseDirective reads a conductor's result. What is no object stands in one.
func parseDirective(result json.RawMessage) directive {
	var d directive
	object := gjson.ParseBytes(result)
	if !object.IsObject() {
		return d
	}
	object.ForEach(func(key, value gjson.Result) bool {
		switch key.String() {
		case "action":
			d.goesOn, d.action = true, value
		case "params":
			d.params = boxed("value", value)
		case "state":
			d.state = boxed("state", value)
		}
		return true
	})
	return d
}

func boxed(key string, value gjson.Result) json.RawMessage {
	if value.IsObject() {
		return json.RawMessage(value.Raw)
	}
	return json.RawMessage(`{"` + key + `":` + value.Raw + `}`)
}

// parseComponent reads the name of an action as conductors give it. Names without
// a leading slash are of the caller's namespace, unless they have all three parts.
func parseComponent(name gjson.Result, namespace string) (entity.FQN, bool) {
	if name.Type != gjson.String {
		return entity.FQN{}, false
	}
	s := name.String()
	relative, isQualified := strings.CutPrefix(s, "/")
	switch segments := strings.Count(relative, "/") + 1; {
	case segments > 3, isQualified && segments == 1:
		return entity.FQN{}, false
	case !isQualified && segments < 3:
		s = namespace + "/" + relative
	}
	f, err := entity.ParseFQN(s)
	return f.Resolve(namespace), err == nil
}

// overlay is a component's result with the conductor's state over it, each field as
// it is spelled.
func overlay(result, state json.RawMessage) json.RawMessage {
	parsed := gjson.ParseBytes(result)
	if len(result) > 0 && !parsed.IsObject() {
		parsed = gjson.ParseBytes(boxed("value", parsed))
	}
	over := gjson.ParseBytes(state)
	hidden := make(map[string]bool)
	over.ForEach(func(key, _ gjson.Result) bool {
		hidden[key.String()] = true
		return true
	})
	out := append(make([]byte, 0, len(parsed.Raw)+len(state)+2), '{')
	add := func(key, value gjson.Result) bool {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, key.Raw...), ':'), value.Raw...)
		return true
	}
	parsed.ForEach(func(key, value gjson.Result) bool {
		return hidden[key.String()] || add(key, value)
	})
	over.ForEach(add)
	return append(out, '}')
}
