package process

import (
	"fmt"
	"strings"
)

// Report says what separates containers from each other and from the machine.
type Report struct {
	Level Level
	// Cgroup is the version of the control groups in use, 0 for none.
	Cgroup int
	// Landlock is the version of the kernel's Landlock, 0 for none.
	Landlock int
	// Isolated and Shared name what is kept apart and what is not.
	Isolated, Shared []string
	// Reasons say why stronger means are not in use.
	Reasons []string
}

// String is the report as lines for an operator's log.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "process containers at level %q", r.Level)
	fmt.Fprintf(&b, "; isolated: %s", strings.Join(r.Isolated, ", "))
	fmt.Fprintf(&b, "; shared with the machine: %s", strings.Join(r.Shared, ", "))
	if len(r.Reasons) > 0 {
		fmt.Fprintf(&b, "; not used: %s", strings.Join(r.Reasons, "; "))
	}
	return b.String()
}

// newReport describes a level with the given means.
func newReport(level Level, ownUsers bool, cgroup, landlock int, system string, reasons []string) Report {
	r := Report{Level: level, Cgroup: cgroup, Landlock: landlock, Reasons: reasons}
	add := func(to *[]string, texts ...string) { *to = append(*to, texts...) }
	switch level {
	case LevelRoot:
		add(&r.Isolated, "files (own root, system directories read-only)", "processes", "IPC", "host name", "disk space (in memory, bounded)")
	case LevelUser:
		add(&r.Isolated, "files (own root, system directories read-only)", "processes", "IPC", "host name", "disk space (in memory, bounded)")
	case LevelPlain:
		if landlock > 0 {
			add(&r.Isolated, "files (Landlock: system directories read-only, own scratch directory)")
		} else {
			add(&r.Shared, "all files that the server's user may read or write")
		}
		if landlock >= 6 || ownUsers {
			add(&r.Isolated, "signals to other processes")
			add(&r.Shared, "the list of processes")
		} else {
			add(&r.Shared, "processes of the server's user")
		}
		add(&r.Shared, "disk space")
	}
	if ownUsers {
		add(&r.Isolated, "users")
	} else {
		add(&r.Shared, "the server's user id")
	}
	switch {
	case cgroup > 0:
		add(&r.Isolated, fmt.Sprintf("memory, process count and CPU share (control groups version %d)", cgroup))
	case system == "linux":
		add(&r.Isolated, "memory (watchdog)", "process count (resource limit)")
		add(&r.Shared, "CPU")
	default:
		add(&r.Shared, "memory", "process count", "CPU")
	}
	add(&r.Shared, "network", "kernel (no system call filter)")
	return r
}
