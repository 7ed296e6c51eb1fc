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

// order compares what the engine has with what there should be: containers that
// ended unseen are told so, and what is nobody's is removed. After a break it also
// sees to the network.
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
	var errs []error
	for _, c := range known {
		if c.isDestroyed() { // nobody tries that again
			errs = append(errs, c.Destroy(ctx))
		}
	}
	errs = append(errs, f.sweep(ctx))
	if err := errors.Join(errs...); err != nil {
		f.log.Warn("putting the containers in order failed", zap.Error(explain(err)))
		return err
	}
	return nil
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
