package harness

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Child is a program that a test starts, ends and starts again. Its methods are for one
// goroutine at a time.
type Child struct {
	name    string
	command func() *exec.Cmd
	log     string
	cmd     *exec.Cmd
	exited  chan struct{} // closed when the present process has ended
	watched bool
	// killAtEnd: what it would write at an orderly end is of no use.
	killAtEnd bool
}

// NewChild returns a program that does not run yet. command makes its command line anew
// for each start.
func NewChild(name string, command func() *exec.Cmd) *Child {
	return &Child{name: name, command: command}
}

// Start starts the program. It ends with the test at the latest, and its log is shown
// if the test failed.
func (c *Child) Start(t testing.TB) {
	t.Helper()
	if c.Runs() {
		t.Fatalf("%s runs already", c.name)
	}
	if c.log == "" {
		f, err := os.CreateTemp("", "gowhisk-child-")
		if err != nil {
			t.Fatal(err)
		}
		c.log = f.Name()
		f.Close()
	}
	log, err := os.OpenFile(c.log, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := c.command()
	cmd.Stdout, cmd.Stderr = log, log
	// A signal to the test's group is not for its children: they are ended in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", c.name, err)
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait() // the status is read from ProcessState
		close(exited)
	}()
	c.cmd, c.exited = cmd, exited
	if !c.watched {
		c.watched = true
		t.Cleanup(func() { c.cleanUp(t) })
	}
}

var logMutex sync.Mutex // one log is shown after the other

func (c *Child) cleanUp(t testing.TB) {
	if c.Runs() {
		end := syscall.SIGTERM
		if c.killAtEnd {
			end = syscall.SIGKILL
		}
		c.cmd.Process.Signal(syscall.SIGCONT)
		c.cmd.Process.Signal(end)
		select {
		case <-c.exited:
		case <-time.After(settle):
			t.Errorf("%s still runs %v after SIGTERM at the end of the test", c.name, settle)
			c.cmd.Process.Kill()
			<-c.exited
		}
	}
	if t.Failed() {
		logMutex.Lock()
		defer logMutex.Unlock()
		t.Logf("log of %s:\n%s", c.name, tail(c.Log(), 8<<10))
	}
	os.Remove(c.log)
}

// Runs reports whether the program runs.
func (c *Child) Runs() bool {
	if c.cmd == nil {
		return false
	}
	select {
	case <-c.exited:
		return false
	default:
		return true
	}
}

// PID is the present process's id.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Log is what the program has written so far, in all its lives.
func (c *Child) Log() string {
	content, err := os.ReadFile(c.log)
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return string(content)
}

// Exited is closed when the present process has ended.
func (c *Child) Exited() <-chan struct{} { return c.exited }

// ExitCode is the status of the last process, which has ended; -1 means a signal.
func (c *Child) ExitCode() int { return c.cmd.ProcessState.ExitCode() }

// Signal sends a signal to the program.
func (c *Child) Signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil && err != os.ErrProcessDone {
		t.Fatalf("signal %v to %s: %v", s, c.name, err)
	}
}

// Stop sends a signal and waits for the end.
func (c *Child) Stop(t testing.TB, s syscall.Signal) {
	t.Helper()
	c.Signal(t, s)
	c.WaitExit(t)
}

// Kill ends the program with SIGKILL and waits until it is gone.
func (c *Child) Kill(t testing.TB) { t.Helper(); c.Stop(t, syscall.SIGKILL) }

// WaitExit waits for the end of the program and returns its status.
func (c *Child) WaitExit(t testing.TB) int {
	t.Helper()
	select {
	case <-c.exited:
	case <-time.After(settle):
		t.Fatalf("%s still runs %v after it should have ended", c.name, settle)
	}
	return c.ExitCode()
}

// WaitListening waits until the program takes connections at an address.
func (c *Child) WaitListening(t testing.TB, address string) {
	t.Helper()
	c.Until(t, "to listen on "+address, func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

// Until waits until ready says true, and fails the test if the program ends first.
func (c *Child) Until(t testing.TB, what string, ready func() bool) {
	t.Helper()
	deadline := time.Now().Add(settle)
	for !ready() {
		switch {
		case !c.Runs():
			t.Fatalf("%s ended with status %d while the test waited for it %s\n%s", c.name, c.ExitCode(), what, tail(c.Log(), 8<<10))
		case time.Now().After(deadline):
			t.Fatalf("%s is not known %s after %v", c.name, what, settle)
		}
		time.Sleep(20 * time.Millisecond) // between two looks
	}
}
