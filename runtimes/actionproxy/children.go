package actionproxy

import (
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
)

// children starts and awaits the proxy's child processes. As process 1 of a
// container the proxy inherits every orphan, and then awaits them all, because
// nobody else would remove the dead ones.
type children struct {
	// starting is held shared while a child is started and registered, and
	// exclusively while the dead are collected, so that a child that dies at once
	// is not taken for an orphan.
	starting sync.RWMutex
	mu       sync.Mutex // guards exits; taken after starting
	exits    map[int]chan syscall.WaitStatus
	signals  chan os.Signal // nil when orphans are not ours
	done     chan struct{}
}

func newChildren() *children {
	c := &children{exits: make(map[int]chan syscall.WaitStatus), done: make(chan struct{})}
	if os.Getpid() != 1 {
		close(c.done)
		return c
	}
	c.signals = make(chan os.Signal, 1)
	signal.Notify(c.signals, syscall.SIGCHLD)
	go func() {
		defer close(c.done)
		for range c.signals {
			c.collect()
		}
	}()
	return c
}

// close stops collecting orphans.
func (c *children) close() {
	if c.signals != nil {
		signal.Stop(c.signals)
		close(c.signals)
	}
	<-c.done
}

// collect awaits every process that is dead now; one signal may stand for many.
func (c *children) collect() {
	c.starting.Lock()
	defer c.starting.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		c.mu.Lock()
		exit := c.exits[pid]
		delete(c.exits, pid)
		c.mu.Unlock()
		if exit != nil {
			exit <- status
		}
	}
}

// child is a started process.
type child struct {
	command *exec.Cmd
	exit    <-chan syscall.WaitStatus // nil when nobody else collects exits
	forget  func()                    // ends the registration behind exit
}

func (c *children) start(command *exec.Cmd) (*child, error) {
	if c.signals == nil {
		return &child{command: command}, command.Start()
	}
	c.starting.RLock()
	defer c.starting.RUnlock()
	if err := command.Start(); err != nil {
		return nil, err
	}
	pid, exit := command.Process.Pid, make(chan syscall.WaitStatus, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exits[pid] = exit
	return &child{command, exit, func() { c.forget(pid, exit) }}, nil
}

// forget removes a registration, unless the number belongs to a newer process.
func (c *children) forget(pid int, exit chan syscall.WaitStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exits[pid] == exit {
		delete(c.exits, pid)
	}
}

// wait returns when the process has ended and its output, where the proxy
// copies it, has been copied.
func (c *child) wait() syscall.WaitStatus {
	// In process 1 this races with collect, and whoever loses learns nothing: an
	// error here means that the status is in exit.
	_ = c.command.Wait()
	state := c.command.ProcessState
	switch {
	case state == nil && c.exit != nil:
		return <-c.exit
	case c.exit != nil:
		c.forget()
	}
	if state != nil {
		if status, ok := state.Sys().(syscall.WaitStatus); ok {
			return status
		}
	}
	return exitedWithOne // without a state there is nothing to report but failure
}

const exitedWithOne = syscall.WaitStatus(1 << 8)

// kill ends the process at once. Its descendants are the container's business.
func (c *child) kill() { _ = c.command.Process.Kill() }

// processSlot holds the process that runs the user's code now, so that it can be
// ended from elsewhere. It is safe for concurrent use.
type processSlot struct {
	mu      sync.Mutex // guards the rest
	process *child
	stopped bool
}

// set puts p, which may be nil, in the slot. A stopped slot kills it.
func (s *processSlot) set(p *child) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = p
	if p != nil && s.stopped {
		p.kill()
	}
}

func (s *processSlot) get() *child {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

// stop kills what is in the slot, and what will be put there.
func (s *processSlot) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.process != nil {
		s.process.kill()
	}
}
