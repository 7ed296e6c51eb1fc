package process

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// confine locks this process, all its threads and all that it will start, into
// the box. The order matters: mounts need privileges, Landlock forbids mounts.
func confine(s *boxSpec) error {
	syscall.Umask(0o022)
	if s.Level != LevelPlain {
		// A name that resolves, or programs would ask the network for it.
		if err := unix.Sethostname([]byte("localhost")); err != nil {
			return fmt.Errorf("set the host name: %w", err)
		}
		if err := changeRoot(s); err != nil {
			return err
		}
	}
	if err := limitResources(s); err != nil {
		return err
	}
	if err := dropPrivileges(s); err != nil {
		return err
	}
	// Changing the user cleared what the factory had set.
	if err := ll.AllThreadsPrctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("ask to end with the server: %w", err)
	}
	if s.Level == LevelPlain {
		// What an action leaves running stays below this process and so in sight.
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("become the reaper: %w", err)
		}
	}
	if err := ll.AllThreadsPrctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	if err := s.Landlock.enforce(); err != nil {
		return err
	}
	return nil
}

// limitResources sets the limits that every process of the container inherits.
func limitResources(s *boxSpec) error {
	limits := map[int]uint64{
		unix.RLIMIT_NOFILE: s.OpenFiles,
		unix.RLIMIT_CORE:   0,
		unix.RLIMIT_FSIZE:  uint64(s.ScratchBytes),
	}
	if s.Processes > 0 {
		limits[unix.RLIMIT_NPROC] = s.Processes
	}
	for resource, value := range limits {
		var old syscall.Rlimit
		if err := syscall.Getrlimit(resource, &old); err != nil {
			return fmt.Errorf("read resource limit %d: %w", resource, err)
		}
		value = min(value, old.Max)
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: value, Max: value}); err != nil {
			return fmt.Errorf("set resource limit %d to %d: %w", resource, value, err)
		}
	}
	return nil
}

// dropPrivileges becomes the container's user and gives up all capabilities. The
// bounding set stays: with no_new_privs nothing can come back from it, and
// emptying it on all threads would take longer than all the rest.
func dropPrivileges(s *boxSpec) error {
	if s.Level == LevelPlain && s.UID == 0 {
		return nil // there is nothing to give up, or nobody else to become
	}
	if s.UID != 0 {
		if err := syscall.Setgroups(nil); err != nil {
			return fmt.Errorf("leave all groups: %w", err)
		}
		if err := syscall.Setresgid(s.UID, s.UID, s.UID); err != nil {
			return fmt.Errorf("become group %d: %w", s.UID, err)
		}
		if err := syscall.Setresuid(s.UID, s.UID, s.UID); err != nil {
			return fmt.Errorf("become user %d: %w", s.UID, err)
		}
	}
	return clearCapabilities()
}

// clearCapabilities empties the sets of all threads, which empties the ambient
// set too.
func clearCapabilities() error {
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	empty := &[2]unix.CapUserData{}
	_, _, errno := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(empty)), 0)
	runtime.KeepAlive(header)
	runtime.KeepAlive(empty)
	if errno != 0 {
		return fmt.Errorf("clear the capabilities: %w", errno)
	}
	return nil
}

// isRoot reports whether this process may create containers at LevelRoot.
func isRoot() bool { return os.Geteuid() == 0 }
