// Package cgroup bounds the memory, processes and CPU share of a container's
// processes, freezes and kills them, through Linux control groups of version 1
// or 2, whichever this process may write.
//
// All groups of one owner live under one parent, so that a new owner finds what
// a killed one left (Hierarchy.Leftovers). On other systems Open fails.
package cgroup

import (
	"context"
	"errors"
	"os"
	"time"
)

// ErrUnavailable: there are no control groups that this process may use.
var ErrUnavailable = errors.New("no writable control groups")

// Limits of one group.
type Limits struct {
	// MemoryBytes bounds memory and swap of all processes together; 0 does not.
	MemoryBytes int64
	// Processes bounds processes and threads; 0 does not.
	Processes int64
	// CPUShares is the group's relative weight as Docker counts it, 2 to 262144
	// with a default of 1024; 0 leaves the system's default.
	CPUShares int64
}

// Hierarchy makes groups. All methods are safe for concurrent use.
type Hierarchy interface {
	// Version is 1 or 2.
	Version() int

	// Create makes a group. The name is one path element.
	Create(name string, limits Limits) (Group, error)

	// Leftovers returns the groups that exist under the parent.
	Leftovers() ([]Group, error)

	// Close removes the parent if it is empty.
	Close() error
}

// Group is the processes of one container. Methods are safe for concurrent use.
type Group interface {
	// Name is the name it was created with.
	Name() string

	// Add moves a process of this process's pid namespace into the group.
	Add(pid int) error

	// Doors returns open files into which a process writes "0" to move itself
	// into the group, however little it may otherwise do. The caller closes them.
	Doors() ([]*os.File, error)

	// Pids lists the group's processes.
	Pids() ([]int, error)

	// OOMKills counts the processes that the kernel killed for the memory limit.
	OOMKills() (int64, error)

	// Freeze stops all processes and returns when they have stopped.
	Freeze(ctx context.Context) error

	// Thaw lets them run again.
	Thaw() error

	// Kill kills all processes, also frozen ones and those that fork meanwhile,
	// and returns when there is none left but zombies that others must reap.
	Kill(ctx context.Context) error

	// Remove removes the group, which must have been killed. It waits for the
	// kernel to let go of the last processes.
	Remove(ctx context.Context) error
}

// pollPause is the pause between looks at files that announce nothing.
const pollPause = 2 * time.Millisecond

// poll calls done until it reports true or fails, or ctx ends.
func poll(ctx context.Context, done func() (bool, error)) error {
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollPause):
		}
	}
}

// unifiedWeight converts shares (2 to 262144) to a version 2 weight (1 to
// 10000), as container engines do.
func unifiedWeight(shares int64) int64 {
	shares = min(max(shares, 2), 262144)
	return 1 + (shares-2)*9999/262142
}
