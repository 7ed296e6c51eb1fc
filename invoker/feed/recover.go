package feed

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// maxAttempts bounds how often a crash may repeat an action that allows it: one
// that brings the invoker down must not do so for ever.
const maxAttempts = 3

// recover ends what an earlier owner of the queue had claimed and not settled.
func (f *Feed) recover(ctx context.Context) error {
	left, err := f.queue.Recover(ctx)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		f.log.Info("ending what was running when the server stopped", zap.Int("activations", len(left)))
		f.blocked.refresh(ctx, time.Now(), &f.fetches)
	}
	for _, d := range left {
		// Repeated runs take room as new ones do.
		if _, ok := f.room(ctx); !ok {
			return nil // the rest stays claimed, for the next start
		}
		if d.Message == nil {
			f.poisoned(ctx, d)
			continue
		}
		f.recoverOne(ctx, d)
	}
	return nil
}

func (f *Feed) recoverOne(ctx context.Context, d bus.Delivery) {
	a, err := f.actions.Fetch(ctx, d.Message)
	if err == nil && a.Annotations.Truthy("retry") && d.Attempts < maxAttempts {
		if r, refused := f.refuse(d.Message, time.Now()); refused {
			f.end(d, a.Action, r)
			return
		}
		f.submit(d, a)
		return
	}
	var action *entity.Action
	if err == nil {
		action = a.Action
	}
	f.end(d, action, entity.ErrorResponse(entity.StatusWhiskError, bus.TextCrashed))
}
