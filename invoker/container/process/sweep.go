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
	"time"

	"github.com/gowhisk/gowhisk/invoker/container/cgroup"
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

// sweepPatience bounds the end of one leftover container.
const sweepPatience = 10 * time.Second

// Sweep implements container.Factory. Containers normally end with their
// server, however it ended; Sweep kills what has not, such as paused containers,
// and removes directories and control groups.
func (f *Factory) Sweep(ctx context.Context) error {
	entries, err := os.ReadDir(f.boxes())
	errs := []error{err}
	if len(entries) > 0 || f.groups != nil {
		errs = append(errs, f.sweepGroups(ctx))
	}
	for _, e := range entries {
		f.log.Info("removing what an earlier container left", zap.String("container", e.Name()))
		errs = append(errs, f.sweepBox(ctx, e.Name()))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sweep %s: %w", f.config.Dir, err)
	}
	return nil
}

// sweepGroups removes control groups, also those that a factory left which used
// them while this one does not: frozen processes could not be killed otherwise.
func (f *Factory) sweepGroups(ctx context.Context) (err error) {
	groups := f.groups
	if groups == nil {
		if groups, err = f.hierarchy(); err != nil {
			return nil // then nobody can have made any
		}
		defer func() { err = errors.Join(err, groups.Close()) }()
	}
	left, err := groups.Leftovers()
	errs := []error{err}
	for _, g := range left {
		f.log.Info("removing the control group of an earlier container", zap.String("group", g.Name()))
		errs = append(errs, removeGroup(ctx, g))
	}
	return errors.Join(errs...)
}

func removeGroup(ctx context.Context, g cgroup.Group) error {
	ctx, cancel := context.WithTimeout(ctx, sweepPatience)
	defer cancel()
	if err := g.Kill(ctx); err != nil {
		return err
	}
	return g.Remove(ctx)
}

// scratchOwner is the user of a container's directory, or 0.
func scratchOwner(dir string) int {
	info, err := os.Stat(filepath.Join(dir, "s"))
	if err != nil {
		return 0
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Getuid() {
		return 0
	}
	return int(owner.Uid)
}

// sweepBox ends what is left of one container and removes its directory.
func (f *Factory) sweepBox(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, sweepPatience)
	defer cancel()
	dir := filepath.Join(f.boxes(), key)
	for _, pid := range recorded(dir) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone is as good
	}
	if err := killTree(ctx, func() []int { return recorded(dir) }, f.mark(key), scratchOwner(dir)); err != nil {
		return err
	}
	return removeTree(dir)
}
