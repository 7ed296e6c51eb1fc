package harness

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	readyPrefix = "Gowhisk is ready on "
	// startDeadline and stopDeadline bound a hang; they judge nobody's speed.
	startDeadline = time.Minute
	stopDeadline  = 2 * time.Minute
)

// Options say how to start a server. The zero value is a server on a directory
// of its own whose throttles are out of the way.
type Options struct {
	// Dir is the data directory; empty means a new one, removed after the test.
	Dir string
	// Ephemeral starts the server without a data directory.
	Ephemeral bool
	// DefaultLimits leaves the product's throttles as they are.
	DefaultLimits bool
	// Flags are added to the command line.
	Flags []string
	// Env has KEY=VALUE entries that override the test's environment.
	Env []string
	// Addr is the address to listen on; empty means a free loopback port.
	Addr string
}

// Server is a gowhisk server process. Its methods are for one goroutine at a
// time, but for URL, PID and Log.
type Server struct {
	options Options
	url     string
	process *Process
}

// Start starts a server and returns when it is ready. The server ends with the
// test; its log is shown if the test failed.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Dir == "" && !o.Ephemeral {
		o.Dir = filepath.Join(TempDir(t), "data")
	}
	s := &Server{options: o}
	s.Restart(t)
	return s
}

// Restart starts the server again, with the same options, after Stop or Kill.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.process = Launch(t, s.options)
	s.url = s.process.WaitReady(t)
}

// URL is where the server answers, without a trailing slash.
func (s *Server) URL() string { return s.url }

// Dir is the server's data directory.
func (s *Server) Dir() string { return s.options.Dir }

// PID is the server's process id.
func (s *Server) PID() int { return s.process.PID() }

// Process is the server's present process.
func (s *Server) Process() *Process { return s.process }

// Stop ends the server as an operator does, with SIGTERM, and fails the test
// unless it exits with status 0.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.process.Signal(t, syscall.SIGTERM)
	if code := s.process.WaitExit(t); code != 0 {
		t.Fatalf("gowhisk serve exited with status %d after SIGTERM, want 0", code)
	}
}

// Kill ends the server with SIGKILL and waits until it is gone.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.process.Signal(t, syscall.SIGKILL)
	s.process.WaitExit(t)
}

// Process is one run of `gowhisk serve`, perhaps one that fails to start.
type Process struct {
	cmd    *exec.Cmd
	log    string
	stdout *os.File
	ready  chan string   // the URL, once; closed when standard output ends
	exited chan struct{} // closed when the process was reaped
}

// Launch starts `gowhisk serve` and does not wait for it.
func Launch(t testing.TB, o Options) *Process {
	t.Helper()
	addr := o.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	args := []string{"serve", "--addr", addr}
	if o.Ephemeral {
		args = append(args, "--ephemeral")
	}
	if o.Dir != "" {
		args = append(args, "--data-dir", o.Dir)
	}
	if !o.DefaultLimits {
		args = append(args, "--invocations-per-minute", "1000000",
			"--concurrent-invocations", "100000", "--fires-per-minute", "1000000")
	}
	args = append(args, "--containers", Containers())
	cmd := exec.Command(Binary(t), append(args, o.Flags...)...)
	cmd.Env = append(os.Environ(), o.Env...)

	// A file and a pipe of our own, not exec's copying goroutines: those would
	// wait for every process that inherited the descriptors.
	log, err := os.CreateTemp("", "gowhisk-log-")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	stdout, stdoutWriter, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdoutWriter.Close()
	cmd.Stderr, cmd.Stdout = log, stdoutWriter
	if err := cmd.Start(); err != nil {
		t.Fatalf("start gowhisk: %v", err)
	}
	p := &Process{
		cmd: cmd, log: log.Name(), stdout: stdout,
		ready: make(chan string, 1), exited: make(chan struct{}),
	}
	go p.watchOutput()
	go p.reap()
	t.Cleanup(func() { p.cleanUp(t) })
	return p
}

// watchOutput reads standard output to its end, so that the server never blocks on it.
func (p *Process) watchOutput() {
	defer close(p.ready)
	announced := false
	for lines := bufio.NewScanner(p.stdout); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), readyPrefix); ok && !announced {
			announced = true
			url, _, _ := strings.Cut(rest, " ")
			p.ready <- strings.TrimRight(url, "/.,")
		}
	}
}

func (p *Process) reap() {
	p.cmd.Wait() // the status is read from ProcessState
	// Descendants may still hold the pipe; nobody needs what they write.
	p.stdout.Close()
	close(p.exited)
}

// cleanUp ends the process in order, so that the machine is left as it was: what
// a killed server leaves is swept by the next one only, and there is none.
func (p *Process) cleanUp(t testing.TB) {
	p.cmd.Process.Signal(syscall.SIGTERM) // fails if it has ended
	deadline := time.NewTimer(stopDeadline)
	defer deadline.Stop()
	select {
	case <-p.exited:
	case <-deadline.C:
		t.Errorf("gowhisk serve still runs %v after SIGTERM at the end of the test", stopDeadline)
		p.cmd.Process.Kill()
		<-p.exited
	}
	if t.Failed() {
		t.Logf("log of gowhisk serve, process %d:\n%s", p.PID(), tail(p.Log(), 16<<10))
	}
	os.Remove(p.log)
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log is what the process has written to standard error so far.
func (p *Process) Log() string {
	content, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return string(content)
}

// WaitReady returns the URL that the process announced.
func (p *Process) WaitReady(t testing.TB) string {
	t.Helper()
	deadline := time.NewTimer(startDeadline)
	defer deadline.Stop()
	select {
	case url, ok := <-p.ready:
		if ok {
			return url
		}
		<-p.exited
		t.Fatalf("gowhisk serve ended with status %d before it was ready", p.cmd.ProcessState.ExitCode())
	case <-deadline.C:
		t.Fatalf("gowhisk serve was not ready after %v", startDeadline)
	}
	return ""
}

// Signal sends sig to the server's process.
func (p *Process) Signal(t testing.TB, sig os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("signal %v: %v", sig, err)
	}
}

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// WaitExit waits for the end of the process and returns its status; -1 means a signal.
func (p *Process) WaitExit(t testing.TB) int {
	t.Helper()
	deadline := time.NewTimer(stopDeadline)
	defer deadline.Stop()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-deadline.C:
		t.Fatalf("gowhisk serve still runs %v after it should have ended", stopDeadline)
		return 0
	}
}

// TempDir is a new directory with a short path, since Unix sockets below it
// must fit in 108 bytes, removed after the test.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gw-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("the server left something that cannot be removed: %v", err)
		}
	})
	return dir
}

func tail(s string, size int) string {
	if len(s) <= size {
		return s
	}
	return "…" + s[len(s)-size:]
}
