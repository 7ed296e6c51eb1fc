//go:build !linux

package cgroup

// Open returns ErrUnavailable: control groups are Linux's.
func Open(string, string) (Hierarchy, error) { return nil, ErrUnavailable }
