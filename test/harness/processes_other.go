//go:build !linux

package harness

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// Proc identifies a process.
type Proc struct {
	PID     int
	Command string
}

func (p Proc) String() string { return fmt.Sprintf("%d (%s)", p.PID, p.Command) }

// Alive reports whether a process with this id and command exists.
func (p Proc) Alive() bool {
	for _, line := range ps() {
		if line.PID == p.PID && line.Command == p.Command {
			return true
		}
	}
	return false
}

// Descendants returns the processes below pid, at any depth.
func Descendants(pid int) []Proc {
	var found []Proc
	below := map[int]bool{pid: true}
	for grew := true; grew; {
		grew = false
		for _, line := range ps() {
			if below[line.parent] && !below[line.PID] {
				below[line.PID], grew = true, true
				found = append(found, line.Proc)
			}
		}
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

// Leftovers returns the processes whose command line mentions the directory.
func Leftovers(t testing.TB, dir string) []Proc {
	t.Helper()
	if dir == "" {
		t.Fatal("harness.Leftovers of no directory")
	}
	var found []Proc
	for _, line := range ps() {
		if strings.Contains(line.Command, dir) {
			found = append(found, line.Proc)
		}
	}
	return found
}

// Paused reports whether the process is stopped.
func (p Proc) Paused() bool {
	out, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(p.PID)).Output()
	return err == nil && strings.HasPrefix(strings.TrimSpace(string(out)), "T")
}

// ControlGroups: there are none.
func ControlGroups([]Proc) []string { return nil }

// Mounts returns the mounts of this machine below dir.
func Mounts(dir string) []string {
	out, err := exec.Command("mount").Output()
	if err != nil {
		return nil
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, " on "+dir) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

type psLine struct {
	Proc
	parent int
}

func ps() []psLine {
	out, err := exec.Command("ps", "-axo", "pid=,ppid=,command=").Output()
	if err != nil {
		return nil
	}
	var lines []psLine
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		pid, errPID := strconv.Atoi(fields[0])
		parent, errParent := strconv.Atoi(fields[1])
		if errPID == nil && errParent == nil {
			lines = append(lines, psLine{Proc{PID: pid, Command: strings.Join(fields[2:], " ")}, parent})
		}
	}
	return lines
}
