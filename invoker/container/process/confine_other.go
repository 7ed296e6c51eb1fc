//go:build unix && !linux

package process

import (
	"fmt"
	"syscall"
)

// confine sets the resource limits; there is nothing else here to confine with.
func confine(s *boxSpec) error {
	syscall.Umask(0o022)
	for resource, value := range map[int]uint64{
		syscall.RLIMIT_NOFILE: s.OpenFiles,
		syscall.RLIMIT_CORE:   0,
		syscall.RLIMIT_FSIZE:  uint64(s.ScratchBytes),
	} {
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(resource, &limit); err != nil {
			return fmt.Errorf("read resource limit %d: %w", resource, err)
		}
		limit.Cur = min(value, limit.Max)
		limit.Max = limit.Cur
		if err := syscall.Setrlimit(resource, &limit); err != nil {
			return fmt.Errorf("set resource limit %d to %d: %w", resource, value, err)
		}
	}
	return nil
}

func isRoot() bool { return false }

func landlockVersion() int { return 0 }

func newLandlockPolicy(int, []string, []string) landlockPolicy { return landlockPolicy{} }
