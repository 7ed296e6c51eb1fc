package process

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/gowhisk/gowhisk/invoker/container"
)

// failedStartLogs is how much of a failed start's output is reported.
var failedStartLogs = container.LogQuery{Limit: 1}

// Destroy implements container.Container. It may be repeated after an error.
func (c *Container) Destroy(ctx context.Context) error {
	c.destroying.Lock()
	defer c.destroying.Unlock()
	if c.gone {
		return nil
	}
	c.mu.Lock()
	c.destroyed = true
	started := c.command != nil
	c.mu.Unlock()
	c.client.Close()

	if started {
		if err := c.kill(ctx); err != nil {
			return fmt.Errorf("destroy container %s: %w", c.ID(), err)
		}
	}
	if w := c.factory.watchdog; w != nil {
		w.forget(c)
	}
	c.closeFiles()
	if err := c.removeTraces(ctx); err != nil {
		return fmt.Errorf("destroy container %s: %w", c.ID(), err)
	}
	c.gone = true
	c.factory.forget(c)
	return nil
}

// kill ends all processes and returns when the kernel has let go of them.
func (c *Container) kill(ctx context.Context) error {
	roots := c.roots()
	if c.factory.report.Level == LevelPlain {
		// No namespace ends with its first process: find what it started.
		if err := killTree(ctx, c.roots, c.factory.mark(c.key), c.uid); err != nil {
			return err
		}
	} else if len(roots) > 0 {
		// The first process of a pid namespace takes all others with it.
		_ = syscall.Kill(roots[0], syscall.SIGKILL) // gone is as good
	}
	if c.group != nil {
		if err := c.group.Kill(ctx); err != nil {
			return err
		}
	}
	select {
	case <-c.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for its processes to end: %w", ctx.Err())
	}
}

func (c *Container) closeFiles() {
	c.mu.Lock()
	follower, gate, socketDir := c.follower, c.gate, c.socketDir
	c.follower, c.gate, c.socketDir = nil, nil, nil
	c.mu.Unlock()
	closeFile(&gate)
	closeFile(&socketDir)
	if follower != nil {
		follower.Close()
	}
}

// removeTraces gives back what prepare took.
func (c *Container) removeTraces(ctx context.Context) error {
	var errs []error
	if c.group != nil {
		errs = append(errs, c.group.Remove(ctx))
	}
	errs = append(errs, removeTree(c.dir))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if c.uid != 0 {
		c.factory.users.put(c.uid)
		c.uid = 0
	}
	return nil
}
