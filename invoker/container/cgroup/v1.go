package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// v1 is a hierarchy of version 1: a directory per controller.
type v1 struct {
	parents map[string]string // controller to the parent's directory
}

// v1Controllers that are used; the first two are required.
var v1Controllers = []string{"memory", "pids", "freezer", "cpu"}

func newV1(parents map[string]string) (*v1, error) {
	h := &v1{parents: parents}
	for _, dir := range parents {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, errors.Join(err, h.Close())
		}
	}
	return h, nil
}

func (h *v1) Version() int { return 1 }

func (h *v1) Create(name string, limits Limits) (Group, error) {
	g := h.group(name)
	for _, dir := range g.dirs {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, errors.Join(err, g.removeDirs())
		}
	}
	if err := g.limit(limits); err != nil {
		return nil, errors.Join(fmt.Errorf("limit control group %s: %w", name, err), g.removeDirs())
	}
	return g, nil
}

func (h *v1) group(name string) *v1Group {
	g := &v1Group{name: name, dirs: make(map[string]string, len(h.parents))}
	for controller, parent := range h.parents {
		g.dirs[controller] = filepath.Join(parent, name)
	}
	return g
}

func (h *v1) Leftovers() ([]Group, error) {
	seen := make(map[string]bool)
	var groups []Group
	for _, parent := range h.parents {
		names, err := groupsIn(parent)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if !seen[name] {
				seen[name] = true
				groups = append(groups, h.group(name))
			}
		}
	}
	return groups, nil
}

func (h *v1) Close() error {
	var errs []error
	for _, dir := range h.parents {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EBUSY) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// v1Group is one group, a directory per controller.
type v1Group struct {
	name string
	dirs map[string]string
}

func (g *v1Group) limit(l Limits) error {
	if l.MemoryBytes > 0 {
		bytes := strconv.FormatInt(l.MemoryBytes, 10)
		if err := write(g.dirs["memory"], "memory.limit_in_bytes", bytes); err != nil {
			return err
		}
		// Missing where the kernel does not account for swap.
		err := write(g.dirs["memory"], "memory.memsw.limit_in_bytes", bytes)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if l.Processes > 0 {
		if err := write(g.dirs["pids"], "pids.max", strconv.FormatInt(l.Processes, 10)); err != nil {
			return err
		}
	}
	if dir, ok := g.dirs["cpu"]; ok && l.CPUShares > 0 {
		return write(dir, "cpu.shares", strconv.FormatInt(l.CPUShares, 10))
	}
	return nil
}

func (g *v1Group) Name() string { return g.name }

func (g *v1Group) Add(pid int) error {
	for _, dir := range g.dirs {
		if err := write(dir, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("add process %d to control group %s: %w", pid, g.name, err)
		}
	}
	return nil
}

func (g *v1Group) Doors() ([]*os.File, error) {
	var doors []*os.File
	for _, dir := range g.dirs {
		f, err := os.OpenFile(filepath.Join(dir, "cgroup.procs"), os.O_WRONLY, 0)
		if err != nil {
			for _, d := range doors {
				_ = d.Close() // nothing was written
			}
			return nil, err
		}
		doors = append(doors, f)
	}
	return doors, nil
}

// Pids unites the controllers' lists: a killed owner may have added a process to
// some of them only.
func (g *v1Group) Pids() ([]int, error) {
	seen := make(map[int]bool)
	var pids []int
	for _, dir := range g.dirs {
		some, err := pidsIn(dir)
		if err != nil {
			return nil, err
		}
		for _, pid := range some {
			if !seen[pid] {
				seen[pid] = true
				pids = append(pids, pid)
			}
		}
	}
	return pids, nil
}

func (g *v1Group) OOMKills() (int64, error) {
	return keyed(g.dirs["memory"], "memory.oom_control", "oom_kill")
}

func (g *v1Group) Freeze(ctx context.Context) error {
	dir, ok := g.dirs["freezer"]
	if !ok {
		return ErrUnavailable
	}
	return poll(ctx, func() (bool, error) {
		// Writing again catches processes that were forked meanwhile.
		if err := write(dir, "freezer.state", "FROZEN"); err != nil {
			return false, err
		}
		state, err := os.ReadFile(filepath.Join(dir, "freezer.state"))
		return strings.TrimSpace(string(state)) == "FROZEN", err
	})
}

func (g *v1Group) Thaw() error {
	dir, ok := g.dirs["freezer"]
	if !ok {
		return nil
	}
	if err := write(dir, "freezer.state", "THAWED"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Kill freezes first, so that no process can fork faster than it is killed; the
// signals act when the group thaws.
func (g *v1Group) Kill(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		if dir, ok := g.dirs["freezer"]; ok {
			if err := write(dir, "freezer.state", "FROZEN"); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return false, err
			}
		}
		pids, err := g.Pids()
		if err != nil {
			return false, errors.Join(err, g.Thaw())
		}
		killAll(pids)
		if err := g.Thaw(); err != nil {
			return false, err
		}
		return len(pids) == 0, nil
	})
}

func (g *v1Group) Remove(ctx context.Context) error {
	err := poll(ctx, func() (bool, error) {
		err := g.removeDirs()
		if errors.Is(err, syscall.EBUSY) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("remove control group %s: %w", g.name, err)
	}
	return nil
}

func (g *v1Group) removeDirs() error {
	var errs []error
	for _, dir := range g.dirs {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// killAll sends SIGKILL; processes that are gone already are fine.
func killAll(pids []int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL) // ESRCH, or one we see again soon
	}
}
