package cgroup

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Open returns the hierarchy of an owner. Its groups lie in a group called name
// below parent, a path inside the hierarchy such as "/gowhisk.slice"; an empty
// parent stands for this process's own group, whose limits then hold for all
// together. It returns ErrUnavailable if neither version can be used for memory
// and processes; it tries by making a group.
func Open(parent, name string) (Hierarchy, error) {
	points, err := mounts("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	own, err := memberships("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	base := func(controller string) string {
		if parent == "" {
			return filepath.Join(points[controller], own[controller])
		}
		return filepath.Join(points[controller], parent)
	}
	h, errOne := openV1(points, base, name)
	if errOne == nil {
		return h, nil
	}
	if points[""] == "" {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, errOne)
	}
	unified, errTwo := newV2(base(""), name)
	if errTwo == nil {
		errTwo = try(unified)
	}
	if errTwo != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(errOne, errTwo))
	}
	return unified, nil
}

// openV1 uses version 1 if the controllers are there: they are either in
// version 1 or in version 2, never in both.
func openV1(points map[string]string, base func(string) string, name string) (Hierarchy, error) {
	parents := make(map[string]string)
	for _, controller := range v1Controllers {
		if points[controller] != "" {
			parents[controller] = filepath.Join(base(controller), name)
		}
	}
	if parents["memory"] == "" || parents["pids"] == "" {
		return nil, errors.New("version 1 has no memory and pids controllers")
	}
	h, err := newV1(parents)
	if err != nil {
		return nil, err
	}
	if err := try(h); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// try makes a group and removes it.
func try(h Hierarchy) error {
	g, err := h.Create("try", Limits{MemoryBytes: 64 << 20, Processes: 64})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return g.Remove(ctx)
}
