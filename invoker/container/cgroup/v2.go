package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// v2 is a hierarchy of version 2: one directory for all controllers.
type v2 struct {
	parent string
	hasCPU bool
}

// newV2 makes the parent below base and hands the controllers down to it. A
// group that has processes cannot hand controllers down; if this process is the
// only one in base, it moves into a group of its own first, as systemd asks of
// services with Delegate=yes.
func newV2(base, name string) (*v2, error) {
	available, err := os.ReadFile(filepath.Join(base, "cgroup.controllers"))
	if err != nil {
		return nil, err
	}
	controllers := strings.Fields(string(available))
	for _, required := range []string{"memory", "pids"} {
		if !slices.Contains(controllers, required) {
			return nil, fmt.Errorf("%w: version 2 has no %s controller in %s", ErrUnavailable, required, base)
		}
	}
	h := &v2{parent: filepath.Join(base, name), hasCPU: slices.Contains(controllers, "cpu")}
	if err := h.enable(base); err != nil {
		if !errors.Is(err, syscall.EBUSY) {
			return nil, err
		}
		if err := stepAside(base, name+"-server"); err != nil {
			return nil, err
		}
		if err := h.enable(base); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(h.parent, 0o755); err != nil {
		return nil, err
	}
	return h, h.enable(h.parent)
}

// enable hands the controllers down to the groups in dir.
func (h *v2) enable(dir string) error {
	value := "+memory +pids"
	if h.hasCPU {
		value += " +cpu"
	}
	return write(dir, "cgroup.subtree_control", value)
}

// stepAside moves this process, if it is alone in base, into a group below it.
func stepAside(base, name string) error {
	pids, err := pidsIn(base)
	if err != nil {
		return err
	}
	if len(pids) != 1 || pids[0] != os.Getpid() {
		return fmt.Errorf("%w: other processes share the control group %s", ErrUnavailable, base)
	}
	leaf := filepath.Join(base, name)
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		return err
	}
	return write(leaf, "cgroup.procs", strconv.Itoa(os.Getpid()))
}

func (h *v2) Version() int { return 2 }

func (h *v2) Create(name string, limits Limits) (Group, error) {
	g := v2Group(filepath.Join(h.parent, name))
	if err := os.Mkdir(string(g), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := g.limit(limits, h.hasCPU); err != nil {
		return nil, errors.Join(fmt.Errorf("limit control group %s: %w", name, err), os.Remove(string(g)))
	}
	return g, nil
}

func (h *v2) Leftovers() ([]Group, error) {
	names, err := groupsIn(h.parent)
	if err != nil {
		return nil, err
	}
	groups := make([]Group, 0, len(names))
	for _, name := range names {
		groups = append(groups, v2Group(filepath.Join(h.parent, name)))
	}
	return groups, nil
}

func (h *v2) Close() error {
	err := os.Remove(h.parent)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EBUSY) {
		return nil
	}
	return err
}

// v2Group is the directory of one group.
type v2Group string

func (g v2Group) limit(l Limits, cpu bool) error {
	if l.MemoryBytes > 0 {
		if err := write(string(g), "memory.max", strconv.FormatInt(l.MemoryBytes, 10)); err != nil {
			return err
		}
		// Both are missing on some kernels: no swap accounting, before 4.19.
		for file, value := range map[string]string{"memory.swap.max": "0", "memory.oom.group": "1"} {
			if err := write(string(g), file, value); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	if l.Processes > 0 {
		if err := write(string(g), "pids.max", strconv.FormatInt(l.Processes, 10)); err != nil {
			return err
		}
	}
	if cpu && l.CPUShares > 0 {
		return write(string(g), "cpu.weight", strconv.FormatInt(unifiedWeight(l.CPUShares), 10))
	}
	return nil
}

func (g v2Group) Name() string { return filepath.Base(string(g)) }

func (g v2Group) Add(pid int) error {
	if err := write(string(g), "cgroup.procs", strconv.Itoa(pid)); err != nil {
		return fmt.Errorf("add process %d to control group %s: %w", pid, g.Name(), err)
	}
	return nil
}

func (g v2Group) Doors() ([]*os.File, error) {
	f, err := os.OpenFile(filepath.Join(string(g), "cgroup.procs"), os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return []*os.File{f}, nil
}

func (g v2Group) Pids() ([]int, error) { return pidsIn(string(g)) }

func (g v2Group) OOMKills() (int64, error) {
	return keyed(string(g), "memory.events", "oom_kill")
}

func (g v2Group) Freeze(ctx context.Context) error {
	if err := write(string(g), "cgroup.freeze", "1"); err != nil {
		return err
	}
	return poll(ctx, func() (bool, error) {
		frozen, err := keyed(string(g), "cgroup.events", "frozen")
		return frozen == 1, err
	})
}

func (g v2Group) Thaw() error {
	if err := write(string(g), "cgroup.freeze", "0"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (g v2Group) Kill(ctx context.Context) error {
	err := write(string(g), "cgroup.kill", "1")
	inOneGo := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // before Linux 5.14
		return err
	}
	return poll(ctx, func() (bool, error) {
		pids, err := g.Pids()
		if err != nil {
			return false, err
		}
		if !inOneGo {
			killAll(pids)
		}
		return len(pids) == 0, nil
	})
}

func (g v2Group) Remove(ctx context.Context) error {
	err := poll(ctx, func() (bool, error) {
		err := os.Remove(string(g))
		if errors.Is(err, syscall.EBUSY) {
			return false, nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("remove control group %s: %w", g.Name(), err)
	}
	return nil
}
