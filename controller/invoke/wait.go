package invoke

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// fetchDelays are the pauses between looks for the record of an activation whose
// completion did not carry it. A result may be told before its record is stored,
// so the first look can come too soon (durability.md section 3); after these the
// regular poll goes on.
var fetchDelays = [...]time.Duration{
	0, 5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 5 * time.Second,
}

// wait returns the record of a flight, or nil if it does not come within limit or
// before ctx ends.
func (v *Invoker) wait(ctx context.Context, fl *flight, namespace entity.Path, limit time.Duration) *entity.Activation {
	expiry := time.NewTimer(limit)
	defer expiry.Stop()
	poll := time.NewTimer(v.cfg.PollInterval)
	defer poll.Stop()
	for {
		select {
		case record := <-fl.result:
			if record != nil {
				return record
			}
			return v.fetch(ctx, fl.id, namespace, expiry)
		case <-poll.C:
			if record := v.look(ctx, fl.id, namespace); record != nil {
				return record
			}
			poll.Reset(v.cfg.PollInterval)
		case <-expiry.C:
			v.deps.Metrics.WaitExpired()
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// fetch looks for a record that exists, or will soon, until the wait expires.
func (v *Invoker) fetch(ctx context.Context, id entity.ActivationID, namespace entity.Path, expiry *time.Timer) *entity.Activation {
	for attempt := 0; ; attempt++ {
		delay := v.cfg.PollInterval
		if attempt < len(fetchDelays) {
			delay = fetchDelays[attempt]
		}
		pause := time.NewTimer(delay)
		select {
		case <-pause.C:
			if record := v.look(ctx, id, namespace); record != nil {
				return record
			}
		case <-expiry.C:
			pause.Stop()
			v.deps.Metrics.WaitExpired()
			return nil
		case <-ctx.Done():
			pause.Stop()
			return nil
		}
	}
}

// look returns the record if it is stored.
func (v *Invoker) look(ctx context.Context, id entity.ActivationID, namespace entity.Path) *entity.Activation {
	record, err := v.deps.Records.Activation(ctx, namespace, id)
	if err != nil {
		if !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
			v.deps.Log.Warn("the record of a waiting call could not be read; is the activation store up?",
				zap.String("activationId", string(id)), zap.Error(err))
		}
		return nil
	}
	return record
}
