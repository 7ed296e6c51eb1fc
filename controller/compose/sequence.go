package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Results of sequences that the platform ends (openwhisk-rest-api.md 11).
const (
	textSequenceMissing = "Sequence component does not exist."
	textSequenceTooLong = "Too many actions in the sequence."
	textSequenceFailed  = "Sequence failed."
)

// sequence runs the components one after the other, each with the result of the
// one before, until one fails. Its error is that the composer was closed.
func (r *run) sequence(ctx context.Context, p *parent, components []entity.FQN, payload json.RawMessage, s scope) (entity.Response, error) {
	last, result := entity.Response{}, payload
	for i, address := range components {
		record, response, err := r.component(ctx, p, "component "+strconv.Itoa(i), address, result, s)
		if record == nil || err != nil {
			return response, err
		}
		if last = record.Response; last.StatusCode != entity.StatusSuccess {
			break
		}
		result = last.Result
	}
	return last, nil
}

// component runs one component. Without a record the response is why there is none,
// and ends the sequence.
func (r *run) component(ctx context.Context, p *parent, step string, address entity.FQN, payload json.RawMessage, s scope) (*entity.Activation, entity.Response, error) {
	record, id, err := r.done(ctx, p, step)
	switch {
	case record != nil && !isSequence(record):
		*s.actions = max(*s.actions-1, 0)
	case record == nil && err == nil:
		var action *catalog.Callable
		action, err = r.composer.deps.Catalog.Resolve(ctx, address)
		switch {
		case errors.Is(err, store.ErrNotFound), errors.Is(err, catalog.ErrWrongType):
			return nil, entity.ErrorResponse(entity.StatusApplicationError, textSequenceMissing), nil
		case err == nil && !s.take(action, r.composer.cfg.MaxActions):
			return nil, entity.ErrorResponse(entity.StatusApplicationError, textSequenceTooLong), nil
		case err == nil:
			record, id, err = r.child(ctx, p, step, action, payload, s)
		}
	}
	var response entity.Response
	switch {
	case errors.Is(err, errNoResult):
		p.logs = append(p.logs, string(id))
		response, err = failed(ctx, fmt.Sprintf("Timeout reached when retrieving activation %s for sequence component.", id))
	case err != nil:
		response, err = r.sequenceFailed(ctx, address, err)
	}
	return record, response, err
}

// take counts one action, a sequence not itself but by its own actions. Nesting is
// bounded because sequences that were written at the same time can form a cycle.
func (s scope) take(action *catalog.Callable, maxDepth int) bool {
	if action.Action.Exec.IsSequence() {
		return s.depth < maxDepth
	}
	if *s.actions == 0 {
		return false
	}
	*s.actions--
	return true
}

func (r *run) sequenceFailed(ctx context.Context, component entity.FQN, err error) (entity.Response, error) {
	response, stopped := failed(ctx, textSequenceFailed)
	if stopped == nil {
		r.composer.deps.Log.Error("a component of a sequence could not be run", r.task.fields(zap.Stringer("component", component), zap.Error(err))...)
	}
	return response, stopped
}
