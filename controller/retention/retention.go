// Package retention deletes what is kept for a time only: activation records and the
// deliveries to webhooks.
package retention

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// Expirer deletes what is older than a time, at most max of it, and returns how much
// that was.
type Expirer interface {
	Expire(ctx context.Context, before time.Time, max int) (int, error)
}

const (
	// interval is how often old things are looked for.
	interval = time.Minute
	// step bounds what is deleted at once, so that others can write in between.
	step = 1000
)

// Run deletes what is older than keep, again and again until ctx ends; kept names what
// there is. With a keep of 0 everything stays. Several may run it on one database.
func Run(ctx context.Context, keep time.Duration, kept map[string]Expirer, log *zap.Logger) error {
	if keep == 0 {
		return nil
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			for what, e := range kept {
				expire(ctx, what, e, now.Add(-keep), log)
			}
		}
	}
}

func expire(ctx context.Context, what string, e Expirer, before time.Time, log *zap.Logger) {
	total := 0
	for ctx.Err() == nil {
		n, err := e.Expire(ctx, before, step)
		if err != nil && ctx.Err() == nil {
			log.Error("deleting old "+what+" failed; trying again in a minute", zap.Error(err))
		}
		total += n
		if err != nil || n < step {
			break
		}
	}
	if total > 0 {
		log.Info("deleted old "+what, zap.Int("records", total))
	}
}
