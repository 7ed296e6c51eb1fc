package docker

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

// memoryEvents counts the processes of a container that the kernel killed for its
// memory limit. Of a container on this machine the control group tells; of others
// the engine's events do, which come a moment later.
type memoryEvents struct {
	mu      sync.Mutex // guards what follows
	file    string     // "" unless the group can be read
	told    int64      // kills that calls were told of
	engine  int64      // kills that the engine reported
	arrived chan struct{}
}

// open finds the control group of a container by its first process. Nothing is
// found if the engine is on another machine.
func (m *memoryEvents) open(pid int, id string) {
	file := groupFile(pid, id)
	if _, err := readKills(file); err != nil {
		file = ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.file = file
}

// groupFile is the file with the count of kills, of control groups of version 1 or
// 2. Only a group that is named after the container is believed.
func groupFile(pid int, id string) string {
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil || pid <= 0 {
		return ""
	}
	for line := range strings.Lines(string(groups)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, ok := strings.Cut(rest, ":")
		switch {
		case !ok || !strings.Contains(path.Base(group), id):
		case controllers == "memory":
			return path.Join("/sys/fs/cgroup/memory", group, "memory.oom_control")
		case controllers == "":
			return path.Join("/sys/fs/cgroup", group, "memory.events")
		}
	}
	return ""
}

// readKills reads the line "oom_kill N".
func readKills(file string) (int64, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(content) {
		if number, ok := bytes.CutPrefix(line, []byte("oom_kill ")); ok {
			return strconv.ParseInt(string(bytes.TrimSpace(number)), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no count of kills", file)
}

// report notes a kill that the engine told of.
func (m *memoryEvents) report() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.engine++
	close(m.arrived)
	m.arrived = make(chan struct{})
}

// fresh reports whether a process was killed since it was last asked. isExact says
// that the kernel has been asked, so that waiting is of no use.
func (m *memoryEvents) fresh() (killed, isExact bool, next <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kills, err := readKills(m.file)
	isExact = err == nil
	if !isExact {
		kills = m.engine
	}
	killed = kills > m.told
	m.told = max(m.told, kills)
	return killed, isExact, m.arrived
}

const (
	// deathPatience bounds the wait for the end of a container whose connection
	// broke.
	deathPatience = 2 * time.Second
	// reportPatience bounds the wait for the engine's report when a container that
	// lives gave an answer that may come of a killed child.
	reportPatience = 100 * time.Millisecond
)

// ranOutOfMemory reports whether a process of the container was killed for its
// memory since this was last asked (openwhisk-invoker.md 1.5).
func (c *Container) ranOutOfMemory(ctx context.Context, disconnected bool) bool {
	killed, isExact, next := c.memory.fresh()
	if killed || isExact {
		return killed
	}
	patience := reportPatience
	if disconnected {
		patience = deathPatience
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-next:
		return true
	case <-c.exited:
	case <-timer.C:
	case <-ctx.Done():
		return false
	}
	if killed, _, _ := c.memory.fresh(); killed || !disconnected {
		return killed
	}
	ctx, cancel := context.WithTimeout(ctx, deathPatience)
	defer cancel()
	state, err := c.factory.api.ContainerInspect(ctx, c.engineID())
	return err == nil && state.State.OOMKilled
}
