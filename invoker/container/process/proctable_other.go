//go:build unix && !linux

package process

import (
	"context"
	"fmt"
	"syscall"
)

// processStart is unknown: leftovers end themselves when their gate closes.
func processStart(int) string { return "" }

// killTree kills the process groups of the roots. Processes that left them are
// not found; their container's end closes what they talk to.
func killTree(_ context.Context, roots func() []int, _ string, _ int) error {
	for _, pid := range roots() {
		if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("kill process group %d: %w", pid, err)
		}
	}
	return nil
}

// signalAll sends a signal to the process groups of the container.
func (c *Container) signalAll(signal syscall.Signal) error {
	for _, pid := range c.roots() {
		if err := syscall.Kill(-pid, signal); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("signal container %s: %w", c.ID(), err)
		}
	}
	return nil
}
