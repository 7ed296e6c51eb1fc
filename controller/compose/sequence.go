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
	response := entity.Response{Result: payload}
	for i, address := range components {
		action, err := r.composer.deps.Catalog.Resolve(ctx, address)
		switch {
		case errors.Is(err, store.ErrNotFound), errors.Is(err, catalog.ErrWrongType):
			return entity.ErrorResponse(entity.StatusApplicationError, textSequenceMissing), nil
		case err != nil:
			return r.sequenceFailed(ctx, address, err)
		}
		if !s.take(action, r.composer.cfg.MaxActions) {
			return entity.ErrorResponse(entity.StatusApplicationError, textSequenceTooLong), nil
		}
		record, id, err := r.child(ctx, p, "component "+strconv.Itoa(i), action, response.Result, s)
		switch {
		case errors.Is(err, errNoResult):
			p.logs = append(p.logs, string(id))
			return failed(ctx, fmt.Sprintf("Timeout reached when retrieving activation %s for sequence component.", id))
		case err != nil:
			return r.sequenceFailed(ctx, address, err)
		}
		response = record.Response
		if response.StatusCode != entity.StatusSuccess {
			return response, nil
		}
	}
	return response, nil
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
