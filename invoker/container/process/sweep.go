package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"go.uber.org/zap"
)

// pidFile holds a line per process that the factory started for a container: its
// number and when it started, as nothing else tells it from a later one with the
// same number.
const pidFile = "pids"

// record notes a process in the container's directory.
func (c *Container) record(pid int) error {
	f, err := os.OpenFile(filepath.Join(c.dir, pidFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("record a process of the container: %w", err)
	}
	_, err = fmt.Fprintf(f, "%d %s\n", pid, processStart(pid))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("record a process of the container: %w", err)
	}
	return nil
}

// recorded returns those processes of a container's directory that still run.
func recorded(dir string) []int {
	content, err := os.ReadFile(filepath.Join(dir, pidFile))
	if err != nil {
		return nil // it was killed before it had any
	}
	var pids []int
	for line := range strings.Lines(string(content)) {
		number, start, _ := strings.Cut(strings.TrimSpace(line), " ")
		pid, err := strconv.Atoi(number)
		if err == nil && pid > 1 && start != "" && processStart(pid) == start {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Sweep implements container.Factory. Containers normally end with their
// server, however it ended; Sweep kills what has not, such as paused containers,
// and removes directories and control groups.
func (f *Factory) Sweep(ctx context.Context) error {
	var errs []error
	if f.groups != nil {
		left, err := f.groups.Leftovers()
		errs = append(errs, err)
		for _, g := range left {
			f.log.Info("removing the control group of an earlier container", zap.String("group", g.Name()))
			if err := g.Kill(ctx); err != nil {
				errs = append(errs, err)
				continue
			}
			errs = append(errs, g.Remove(ctx))
		}
	}
	entries, err := os.ReadDir(f.boxes())
	errs = append(errs, err)
	for _, e := range entries {
		f.log.Info("removing what an earlier container left", zap.String("container", e.Name()))
		errs = append(errs, f.sweepBox(ctx, e.Name()))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sweep %s: %w", f.config.Dir, err)
	}
	return nil
}

// sweepBox ends what is left of one container and removes its directory.
func (f *Factory) sweepBox(ctx context.Context, key string) error {
	dir := filepath.Join(f.boxes(), key)
	for _, pid := range recorded(dir) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone is as good
	}
	if err := killTree(ctx, func() []int { return recorded(dir) }, key); err != nil {
		return err
	}
	return removeTree(dir)
}
