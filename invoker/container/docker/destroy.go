package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	engine "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"go.uber.org/zap"
)

// Destroy implements container.Container. It may be repeated after an error, but
// need not: the factory goes on trying until the container is gone.
func (c *Container) Destroy(ctx context.Context) error {
	c.destroying.Lock()
	defer c.destroying.Unlock()
	if c.gone {
		return nil
	}
	err := c.destroy(ctx)
	count(c.factory.metrics.removals, err)
	if err != nil {
		c.factory.tidyLater()
	}
	return err
}

// destroy removes the container. Callers hold c.destroying.
func (c *Container) destroy(ctx context.Context) error {
	c.mu.Lock()
	c.destroyed = true
	isPaused := c.isPaused
	c.mu.Unlock()
	c.client.Close()

	id, err := c.find(ctx)
	if err == nil && id != "" {
		err = c.factory.remove(ctx, id, isPaused)
	}
	if err != nil {
		return fmt.Errorf("destroy container %s: %w", c.ID(), explain(err))
	}
	c.ended()
	c.cancel()
	if c.logs != nil {
		<-c.logs
	}
	c.gone = true
	c.factory.forget(c)
	return nil
}

// find returns the engine's id. A creation that was cut short may have succeeded
// all the same: then the label tells.
func (c *Container) find(ctx context.Context) (string, error) {
	if id := c.engineID(); id != "" {
		return id, nil
	}
	found, err := c.factory.list(ctx, keyLabel+"="+c.key)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return found[0].ID, nil
}

// list returns the containers that have a label, in whatever state.
func (f *Factory) list(ctx context.Context, label string) ([]engine.Summary, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return f.api.ContainerList(ctx, engine.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", label))})
}

const (
	// removeAttempts: file systems of containers are busy for a moment now and then.
	removeAttempts = 3
	removePause    = 100 * time.Millisecond
)

// remove ends a container and removes it with its anonymous volumes. One that is
// gone already is no error.
func (f *Factory) remove(ctx context.Context, id string, isPaused bool) error {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	var err error
	for range removeAttempts {
		if isPaused { // a frozen container does not end (openwhisk-invoker.md 2.7)
			if err = f.unpause(ctx, id); err != nil && !isGone(err) {
				f.log.Warn("resuming a container before its removal failed", zap.String("container", id), zap.Error(err))
			}
		}
		err = f.api.ContainerRemove(ctx, id, engine.RemoveOptions{Force: true, RemoveVolumes: true})
		switch {
		case err == nil, isGone(err):
			return nil
		case cerrdefs.IsConflict(err) && strings.Contains(err.Error(), "in progress"):
			return f.awaitRemoval(ctx, id)
		case strings.Contains(err.Error(), "paused"):
			isPaused = true
		}
		if !pause(ctx, removePause) {
			break
		}
	}
	return err
}

// unpause lets a container run; one that does already is no error.
func (f *Factory) unpause(ctx context.Context, id string) error {
	err := f.api.ContainerUnpause(ctx, id)
	if err != nil && strings.Contains(err.Error(), "is not paused") {
		return nil
	}
	return err
}

// awaitRemoval waits for the end of a removal that somebody else began.
func (f *Factory) awaitRemoval(ctx context.Context, id string) error {
	for {
		if _, err := f.api.ContainerInspect(ctx, id); isGone(err) {
			return nil
		}
		if !pause(ctx, removePause) {
			return fmt.Errorf("wait for the end of a removal: %w", ctx.Err())
		}
	}
}

// Sweep implements container.Factory: it removes all containers with this owner's
// label that are not this factory's, and those of other owners on this machine that
// are dead, such as servers whose state directory was a temporary one.
func (f *Factory) Sweep(ctx context.Context) error {
	if err := errors.Join(f.sweep(ctx), f.sweepDead(ctx)); err != nil {
		return fmt.Errorf("remove what an earlier server left on the Docker engine: %w", explain(err))
	}
	return nil
}

func (f *Factory) sweep(ctx context.Context) error {
	found, err := f.list(ctx, ownerLabel+"="+f.owner)
	if err != nil {
		return err
	}
	var left []engine.Summary
	f.mu.Lock()
	for _, s := range found {
		if _, isOurs := f.containers[s.Labels[keyLabel]]; !isOurs {
			left = append(left, s)
		}
	}
	f.mu.Unlock()
	return f.removeLeft(ctx, left)
}

func (f *Factory) sweepDead(ctx context.Context) error {
	found, err := f.list(ctx, hostLabel+"="+f.host)
	if err != nil {
		return err
	}
	// The directories are looked at after the list was made: who takes one later has
	// nothing in the list.
	abandoned := map[string]bool{f.config.Dir: false}
	var left []engine.Summary
	for _, s := range found {
		directory := s.Labels[directoryLabel]
		is, known := abandoned[directory]
		if !known {
			is = isAbandoned(directory)
			abandoned[directory] = is
		}
		if is {
			left = append(left, s)
		}
	}
	return f.removeLeft(ctx, left)
}

func (f *Factory) removeLeft(ctx context.Context, left []engine.Summary) error {
	return inParallel(left, func(s engine.Summary) error {
		f.log.Info("removing a container that was left", zap.String("name", s.Labels[nameLabel]), zap.String("container", s.ID))
		return f.remove(ctx, s.ID, s.State == engine.StatePaused)
	})
}

// pause waits and reports whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
