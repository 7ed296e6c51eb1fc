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

func newTimer() any { return time.NewTimer(time.Hour) }

// wait returns the record of a flight, or nil if it does not come within limit or
// before ctx ends.
func (v *Invoker) wait(ctx context.Context, fl *flight, namespace entity.Path, limit time.Duration) *entity.Activation {
	expiry := time.Now().Add(limit)
	result := fl.result
	var attempt int
	next := v.cfg.PollInterval
	timer := v.timers.Get().(*time.Timer)
	defer func() {
		timer.Stop()
		v.timers.Put(timer)
	}()
	for {
		timer.Reset(min(next, time.Until(expiry)))
		select {
		case record := <-result:
			if record != nil {
				return record
			}
			// The record exists, or will soon: look for it more often.
			result, next = nil, fetchDelays[0]
			continue
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if record := v.look(ctx, fl.id, namespace); record != nil {
			return record
		}
		if !time.Now().Before(expiry) {
			v.deps.Metrics.WaitExpired()
			return nil
		}
		next = v.cfg.PollInterval
		if attempt++; result == nil && attempt < len(fetchDelays) {
			next = fetchDelays[attempt]
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
