package docker

import (
	"context"
	"errors"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"go.uber.org/zap"
)

const (
	// watchRetry and maxWatchRetry are the pauses before the engine is asked again.
	watchRetry    = 50 * time.Millisecond
	maxWatchRetry = time.Second
)

// watch follows the engine's events until the factory closes. Whenever the engine
// comes back it puts things in order.
func (f *Factory) watch() {
	wait, isDown := watchRetry, false
	for f.ctx.Err() == nil {
		began := time.Now()
		err := f.follow(f.ctx, isDown)
		if f.ctx.Err() != nil {
			return
		}
		if !isDown {
			f.metrics.breaks.Inc()
			f.log.Warn("the connection to the Docker engine broke; trying again", zap.Error(explain(err)))
		}
		isDown = true
		if time.Since(began) > maxWatchRetry {
			wait = watchRetry
		}
		pause(f.ctx, wait)
		wait = min(2*wait, maxWatchRetry)
	}
}

// follow reads events until the connection breaks.
func (f *Factory) follow(ctx context.Context, wasDown bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	messages, errs := f.api.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)), filters.Arg("label", ownerLabel+"="+f.owner),
		filters.Arg("event", string(events.ActionDie)), filters.Arg("event", string(events.ActionOOM)),
	)})
	ordered := make(chan error, 1)
	f.running.Go(func() { ordered <- f.order(ctx, wasDown) })
	for {
		select {
		case m := <-messages:
			f.notice(m)
		case err := <-ordered:
			if err != nil {
				return err
			}
			ordered = nil // never ready again
		case err := <-errs:
			return err
		}
	}
}

// notice tells a container what happened to it.
func (f *Factory) notice(m events.Message) {
	f.mu.Lock()
	c := f.containers[m.Actor.Attributes[keyLabel]]
	f.mu.Unlock()
	if c == nil {
		return
	}
	switch m.Action {
	case events.ActionOOM:
		c.memory.report()
	case events.ActionDie:
		c.ended()
	}
}

// order compares what the engine has with what there should be, when the engine is
// back after a break: containers that ended unseen are told so, the network is looked
// after, and what is nobody's is removed.
func (f *Factory) order(ctx context.Context, wasDown bool) error {
	if !wasDown {
		return nil
	}
	known := f.all() // before the engine is asked, so that all of them are old
	found, err := f.list(ctx, ownerLabel+"="+f.owner)
	if err != nil {
		return err
	}
	isRunning := make(map[string]bool, len(found))
	for _, s := range found {
		isRunning[s.ID] = s.State == "running" || s.State == "paused"
	}
	for _, c := range known {
		if id := c.engineID(); id != "" && !isRunning[id] && c.isStarted() {
			c.ended()
		}
	}
	f.log.Info("the Docker engine is back", zap.Int("containers", len(known)))
	if err := f.openNetwork(ctx); err != nil {
		return err
	}
	if err := errors.Join(f.destroyLeft(ctx), f.sweep(ctx)); err != nil {
		f.log.Warn("putting the containers in order failed", zap.Error(explain(err)))
		return err
	}
	return nil
}

// minTidyPause and maxTidyPause are those between attempts to remove a container.
const (
	minTidyPause = 100 * time.Millisecond
	maxTidyPause = 10 * time.Second
)

// tidyLater makes tidy look for containers that are to be removed.
func (f *Factory) tidyLater() {
	select {
	case f.untidy <- struct{}{}:
	default:
	}
}

// tidy tries to remove what Destroy could not, because the engine was away or file
// systems were busy, until it is gone or the factory closes.
func (f *Factory) tidy() {
	wait := minTidyPause
	for f.ctx.Err() == nil {
		select {
		case <-f.untidy:
		case <-f.ctx.Done():
			return
		}
		if pause(f.ctx, wait) && f.destroyLeft(f.ctx) == nil {
			wait = minTidyPause
			continue
		}
		wait = min(2*wait, maxTidyPause) // a failure has put a token there
	}
}

// destroyLeft destroys the containers whose Destroy failed.
func (f *Factory) destroyLeft(ctx context.Context) error {
	return inParallel(f.all(), func(c *Container) error {
		if !c.isDestroyed() {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, removeTimeout)
		defer cancel()
		err := c.Destroy(ctx)
		if err != nil {
			f.log.Debug("removing a container failed again", zap.Error(err))
		}
		return err
	})
}

// isStarted: the engine has reported that the container runs.
func (c *Container) isStarted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.address.IsValid()
}

func (c *Container) isDestroyed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.destroyed
}
