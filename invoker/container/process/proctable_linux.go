package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processInfo is what /proc says of a process.
type processInfo struct {
	pid, parent int
	uid         int
	threads     int
	rssPages    int64
	start       string // in clock ticks after boot: tells apart users of one pid
	zombie      bool
}

// processTable lists all processes that can be seen; those that end meanwhile
// may be missing.
func processTable() []processInfo {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var table []processInfo
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, ok := readProcess(pid); ok {
			table = append(table, p)
		}
	}
	return table
}

// readProcess reads one process; it reports false if there is none.
func readProcess(pid int) (processInfo, bool) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	var owner syscall.Stat_t
	if syscall.Stat(dir, &owner) != nil {
		return processInfo{}, false
	}
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return processInfo{}, false
	}
	// The name is in parentheses and may contain any of them, and spaces.
	end := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	if end < 0 || len(fields) < 22 {
		return processInfo{}, false
	}
	p := processInfo{pid: pid, uid: int(owner.Uid), start: fields[19], zombie: fields[0] == "Z"}
	p.parent, _ = strconv.Atoi(fields[1]) // the kernel writes numbers
	p.threads, _ = strconv.Atoi(fields[17])
	p.rssPages, _ = strconv.ParseInt(fields[21], 10, 64)
	return p, true
}

// processStart identifies a process beyond its number; "" if there is none.
func processStart(pid int) string {
	p, ok := readProcess(pid)
	if !ok || p.zombie {
		return ""
	}
	return p.start
}

// treeOf returns those of the table that descend from the roots, and the roots.
func treeOf(table []processInfo, roots map[int]bool) []processInfo {
	in := make(map[int]bool, len(roots))
	for pid := range roots {
		in[pid] = true
	}
	for grown := true; grown; {
		grown = false
		for _, p := range table {
			if !in[p.pid] && in[p.parent] {
				in[p.pid], grown = true, true
			}
		}
	}
	var tree []processInfo
	for _, p := range table {
		if in[p.pid] {
			tree = append(tree, p)
		}
	}
	return tree
}

// family is every living process of a container: what descends from roots, and
// what carries its mark, in its environment at exec.
func family(roots []int, mark string) []processInfo {
	table := processTable()
	in := make(map[int]bool, len(roots))
	for _, pid := range roots {
		in[pid] = true
	}
	for _, p := range table {
		if (isRoot() || p.uid == os.Getuid()) && isMarked(p.pid, mark) {
			in[p.pid] = true
		}
	}
	var living []processInfo
	for _, p := range treeOf(table, in) {
		if !p.zombie && p.pid != os.Getpid() {
			living = append(living, p)
		}
	}
	return living
}

// isMarked reports whether a process was started with a container's mark.
func isMarked(pid int, mark string) bool {
	environment, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false
	}
	for entry := range bytes.SplitSeq(environment, []byte{0}) {
		if string(entry) == mark {
			return true
		}
	}
	return false
}

// killTree kills every process of a container. All are stopped first, so that
// none can start another while we look. uid is the container's own user, or 0.
func killTree(ctx context.Context, roots func() []int, mark string, uid int) error {
	if uid != 0 {
		// A thousand processes that spin would keep this from running.
		_ = unix.Setpriority(unix.PRIO_USER, uid, 19) // none is as good
	}
	stopped := make(map[int]string)
	for {
		members := family(roots(), mark)
		if len(members) == 0 {
			return nil
		}
		fresh := false
		for _, p := range members {
			if stopped[p.pid] != p.start {
				stopped[p.pid], fresh = p.start, true
				_ = syscall.Kill(p.pid, syscall.SIGSTOP) // gone is as good
			}
		}
		if !fresh {
			for _, p := range members {
				_ = syscall.Kill(p.pid, syscall.SIGKILL) // gone is as good
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d processes marked %s do not end: %w", len(members), mark, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

// signalAll sends a signal to every process of the container, until there are no
// new ones.
func (c *Container) signalAll(signal syscall.Signal) error {
	sent := make(map[int]string)
	for fresh := true; fresh; {
		fresh = false
		for _, p := range family(c.roots(), c.factory.mark(c.key)) {
			if sent[p.pid] == p.start {
				continue
			}
			sent[p.pid], fresh = p.start, true
			if err := syscall.Kill(p.pid, signal); err != nil && err != syscall.ESRCH {
				return fmt.Errorf("signal container %s: %w", c.ID(), err)
			}
		}
	}
	return nil
}
