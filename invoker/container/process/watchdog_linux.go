package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// watchInterval is how often memory is summed up. A container can exceed its
// limit for that long.
const watchInterval = 50 * time.Millisecond

// watchdog kills containers that exceed their memory limit, where no control
// group does.
type watchdog struct {
	quit chan struct{}
	done chan struct{}
	stop sync.Once
	wake chan struct{} // a token when containers may be back

	mu         sync.Mutex
	containers map[*Container]struct{}
}

func newWatchdog() *watchdog {
	w := &watchdog{
		quit: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{}, 1),
		containers: make(map[*Container]struct{}),
	}
	go w.run()
	return w
}

func (w *watchdog) watch(c *Container) {
	w.mu.Lock()
	w.containers[c] = struct{}{}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watchdog) forget(c *Container) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.containers, c)
}

func (w *watchdog) close() {
	w.stop.Do(func() { close(w.quit) })
	<-w.done
}

func (w *watchdog) run() {
	defer close(w.done)
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-w.quit:
			return
		case <-tick.C:
		}
		if w.check() {
			continue
		}
		select { // nobody to watch: sleep until there is
		case <-w.quit:
			return
		case <-w.wake:
		}
	}
}

// check looks at every container and reports whether there are any.
func (w *watchdog) check() bool {
	w.mu.Lock()
	watched := make([]*Container, 0, len(w.containers))
	for c := range w.containers {
		watched = append(watched, c)
	}
	w.mu.Unlock()
	if len(watched) == 0 {
		return false
	}
	table := processTable()
	for _, c := range watched {
		roots := make(map[int]bool)
		for _, pid := range c.roots() {
			roots[pid] = true
		}
		if len(roots) == 0 {
			continue
		}
		tree := treeOf(table, roots)
		if limit := c.spec.Memory.Bytes(); limit > 0 && residentBytes(tree) > limit && proportionalBytes(tree) > limit {
			c.memoryKilled.Store(true)
			for pid := range roots {
				_ = syscall.Kill(-pid, syscall.SIGKILL) // its session, at LevelPlain
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			for _, p := range tree {
				if processStart(p.pid) == p.start {
					_ = syscall.Kill(p.pid, syscall.SIGKILL) // gone is as good
				}
			}
		}
	}
	return true
}

// residentBytes counts pages that processes share once for each.
func residentBytes(tree []processInfo) (sum int64) {
	for _, p := range tree {
		sum += p.rssPages
	}
	return sum * int64(os.Getpagesize())
}

// proportionalBytes counts shared pages in parts. It is dear, so it is asked for
// only when the simple sum exceeds the limit.
func proportionalBytes(tree []processInfo) (sum int64) {
	for _, p := range tree {
		pss, ok := proportional(p.pid)
		if !ok {
			pss = p.rssPages * int64(os.Getpagesize())
		}
		sum += pss
	}
	return sum
}

// proportional reads a process's share, if it may be read.
func proportional(pid int) (int64, bool) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(content) {
		fields := bytes.Fields(line)
		if len(fields) >= 2 && string(fields[0]) == "Pss:" {
			kilobytes, err := strconv.ParseInt(string(fields[1]), 10, 64)
			return kilobytes << 10, err == nil
		}
	}
	return 0, false
}
