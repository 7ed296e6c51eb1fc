package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

const (
	readAccess = ll.AccessFSExecute | ll.AccessFSReadFile | ll.AccessFSReadDir
	// fileAccess is what a rule for a file, not a directory, may allow.
	fileAccess = ll.AccessFSExecute | ll.AccessFSReadFile | ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSIoctlDev
	devAccess  = readAccess | ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSIoctlDev
)

// landlockVersion is the ABI that the kernel offers, 0 for none.
func landlockVersion() int {
	version, err := ll.LandlockGetABIVersion()
	if err != nil {
		return 0
	}
	return version
}

// handledAccess are the file accesses that an ABI can restrict, of those known
// here: newer kernels' rights are left unrestricted.
func handledAccess(abi int) uint64 {
	switch {
	case abi <= 0:
		return 0
	case abi == 1:
		return 1<<13 - 1
	case abi == 2:
		return 1<<14 - 1
	case abi <= 4:
		return 1<<15 - 1
	}
	return 1<<16 - 1
}

// newLandlockPolicy allows reading and executing below readable, everything
// below writable and the use of devices below /dev. From ABI 6 on, processes
// outside the container cannot be signalled, nor their abstract sockets used.
func newLandlockPolicy(abi int, readable, writable []string) landlockPolicy {
	handled := handledAccess(abi)
	if handled == 0 {
		return landlockPolicy{}
	}
	p := landlockPolicy{Handled: handled}
	if abi >= 6 {
		p.Scoped = ll.ScopeAbstractUnixSocket | ll.ScopeSignal
	}
	for _, path := range readable {
		p.Rules = append(p.Rules, landlockRule{path, readAccess & handled})
	}
	for _, path := range writable {
		p.Rules = append(p.Rules, landlockRule{path, handled})
	}
	p.Rules = append(p.Rules, landlockRule{"/dev", devAccess & handled})
	return p
}

// enforce restricts all threads. Paths that do not exist are left out.
func (p landlockPolicy) enforce() error {
	if p.Handled == 0 {
		return nil
	}
	ruleset, err := ll.LandlockCreateRuleset(&ll.RulesetAttr{HandledAccessFS: p.Handled, Scoped: p.Scoped}, 0)
	if err != nil {
		return fmt.Errorf("create the Landlock ruleset: %w", err)
	}
	defer func() { _ = syscall.Close(ruleset) }()
	for _, rule := range p.Rules {
		if err := addLandlockRule(ruleset, rule); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("allow %s in Landlock: %w", rule.Path, err)
		}
	}
	if err := ll.AllThreadsLandlockRestrictSelf(ruleset, 0); err != nil {
		return fmt.Errorf("enforce Landlock: %w", err)
	}
	return nil
}

func addLandlockRule(ruleset int, rule landlockRule) error {
	fd, err := syscall.Open(rule.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = syscall.Close(fd) }()
	access := rule.Access
	if info, err := os.Stat(rule.Path); err == nil && !info.IsDir() {
		access &= fileAccess
	}
	return ll.LandlockAddPathBeneathRule(ruleset, &ll.PathBeneathAttr{ParentFd: fd, AllowedAccess: access}, 0)
}
