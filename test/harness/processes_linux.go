package harness

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Proc identifies a process for good: a pid alone may be given to another one.
type Proc struct {
	PID     int
	Started string // clock ticks since boot, from /proc/PID/stat
	Command string
}

func (p Proc) String() string { return fmt.Sprintf("%d (%s)", p.PID, p.Command) }

// Alive reports whether the process exists and is more than a zombie.
func (p Proc) Alive() bool {
	state, _, started, ok := stat(p.PID)
	return ok && started == p.Started && state != "Z"
}

// Descendants returns the processes below pid, at any depth.
func Descendants(pid int) []Proc {
	children := map[int][]int{}
	for _, each := range pids() {
		if _, parent, _, ok := stat(each); ok {
			children[parent] = append(children[parent], each)
		}
	}
	var found []Proc
	for queue := children[pid]; len(queue) > 0; queue = queue[1:] {
		if p, ok := process(queue[0]); ok {
			found = append(found, p)
		}
		queue = append(queue, children[queue[0]]...)
	}
	return found
}

// Alive returns those of the processes that still run.
func Alive(processes []Proc) []Proc {
	var alive []Proc
	for _, p := range processes {
		if p.Alive() {
			alive = append(alive, p)
		}
	}
	return alive
}

// Leftovers returns what mentions the directory in its command line,
// environment, working directory, open files or mounts: processes of a server
// on that directory, wherever they are in the process tree.
func Leftovers(t testing.TB, dir string) []Proc {
	t.Helper()
	if dir == "" {
		t.Fatal("harness.Leftovers of no directory")
	}
	var found []Proc
	for _, pid := range pids() {
		if pid == os.Getpid() || !mentions(pid, dir) {
			continue
		}
		if p, ok := process(pid); ok {
			found = append(found, p)
		}
	}
	return found
}

// Paused reports whether the process is held, by a control group of either
// version or by SIGSTOP.
func (p Proc) Paused() bool {
	if state, _, started, ok := stat(p.PID); !ok || started != p.Started {
		return false
	} else if state == "T" {
		return true
	}
	for _, group := range controlGroups(p.PID) {
		if state, err := os.ReadFile(filepath.Join(group, "freezer.state")); err == nil && strings.HasPrefix(string(state), "FROZEN") {
			return true
		}
		if events, err := os.ReadFile(filepath.Join(group, "cgroup.events")); err == nil && strings.Contains(string(events), "frozen 1") {
			return true
		}
	}
	return false
}

// ControlGroups returns the directories of the control groups that the
// processes are in and this process is not.
func ControlGroups(processes []Proc) []string {
	own := map[string]bool{}
	for _, group := range controlGroups(os.Getpid()) {
		own[group] = true
	}
	var found []string
	seen := map[string]bool{}
	for _, p := range processes {
		for _, group := range controlGroups(p.PID) {
			if !own[group] && !seen[group] {
				seen[group] = true
				found = append(found, group)
			}
		}
	}
	return found
}

// controlGroups are the directories of a process's control groups, wherever
// their hierarchies are mounted.
func controlGroups(pid int) []string {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return nil
	}
	var found []string
	for line := range strings.Lines(string(content)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 || parts[2] == "/" {
			continue // the root is no process's own group; the kernel shows it for those that are ending
		}
		// Version 1 has a directory per controller, version 2 one named unified or none.
		for _, mount := range []string{parts[1], strings.TrimPrefix(parts[1], "name="), "unified", "."} {
			dir := filepath.Join("/sys/fs/cgroup", mount, parts[2])
			if mount == "" {
				continue
			}
			if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
				found = append(found, dir)
				break
			}
		}
	}
	return found
}

// Mounts returns the mounts of this machine below dir.
func Mounts(dir string) []string {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var found []string
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4]+"/", dir+"/") {
			found = append(found, fields[4])
		}
	}
	return found
}

func mentions(pid int, dir string) bool {
	base := fmt.Sprintf("/proc/%d/", pid)
	for _, file := range []string{"cmdline", "environ"} {
		// An unreadable file belongs to a process that is gone or not ours.
		if content, err := os.ReadFile(base + file); err == nil && bytes.Contains(content, []byte(dir)) {
			return true
		}
	}
	links := []string{base + "cwd", base + "root"}
	if descriptors, err := filepath.Glob(base + "fd/*"); err == nil {
		links = append(links, descriptors...)
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, dir) {
			return true
		}
	}
	return false
}

func pids() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			found = append(found, pid)
		}
	}
	return found
}

func process(pid int) (Proc, bool) {
	state, _, started, ok := stat(pid)
	if !ok || state == "Z" {
		return Proc{}, false
	}
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return Proc{}, false
	}
	text := strings.TrimSpace(strings.ReplaceAll(string(command), "\x00", " "))
	return Proc{PID: pid, Started: started, Command: tail(text, 200)}, true
}

// stat reads state, parent and start time (fields 3, 4 and 22 of proc_pid_stat(5)).
func stat(pid int) (state string, parent int, started string, ok bool) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, "", false
	}
	// The command in parentheses may itself hold spaces and parentheses.
	_, rest, found := strings.Cut(string(content[bytes.LastIndexByte(content, ')'):]), " ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 20 {
		return "", 0, "", false
	}
	parent, err = strconv.Atoi(fields[1])
	return fields[0], parent, fields[19], err == nil
}
