package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gowhisk/gowhisk/runtimes"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// errForkServer: a launcher could not be forked; starting one may still work.
var errForkServer = errors.New("fork server")

// maxForkFailures in a row end the use of an interpreter's fork server.
const maxForkFailures = 3

// forkServers holds a fork server per Python interpreter. A fork server is an
// interpreter that has imported the launcher and what actions commonly import,
// and that forks into a container's namespaces on request. It never runs user
// code, and only the factory talks to it.
type forkServers struct {
	factory *Factory
	enabled bool

	mu      sync.Mutex // guards servers
	servers map[string]*forkServer
}

func newForkServers(f *Factory) *forkServers {
	// Entering other namespaces takes root, and without namespaces nothing but
	// the fork's parent, which is not the container, would hold it.
	enabled := !f.config.NoForkServer && f.report.Level == LevelRoot
	return &forkServers{factory: f, enabled: enabled, servers: make(map[string]*forkServer)}
}

// usable reports whether an interpreter's launchers are to be forked.
func (s *forkServers) usable(i runtimes.Interpreter) bool {
	if !s.enabled || i.Family != "python" {
		return false
	}
	server := s.get(i)
	server.mu.Lock()
	defer server.mu.Unlock()
	return server.failures < maxForkFailures
}

func (s *forkServers) get(i runtimes.Interpreter) *forkServer {
	s.mu.Lock()
	defer s.mu.Unlock()
	server := s.servers[i.Path]
	if server == nil {
		server = &forkServer{factory: s.factory, path: i.Path, turn: make(chan struct{}, 1)}
		s.servers[i.Path] = server
	}
	return server
}

func (s *forkServers) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, server := range s.servers {
		server.stop()
	}
}

// forkServer is one interpreter. It is started when it is first needed, and
// again after it died.
type forkServer struct {
	factory *Factory
	path    string
	turn    chan struct{} // holds a token while a fork is under way

	mu       sync.Mutex // guards what follows
	process  *forkProcess
	failures int // in a row
	stopped  bool
}

// forkProcess is a running fork server.
type forkProcess struct {
	command *exec.Cmd
	conn    *net.UnixConn
	exited  chan struct{}
}

// fork makes a launcher and returns its pid. The files become, in this order, its
// standard input, descriptor 3, standard output and standard error; then come
// the pid, mount, ipc and uts namespaces to enter and the doors of its control
// groups.
func (s *forkServer) fork(ctx context.Context, spec []byte, files []*os.File) (int, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	p, err := s.running(ctx)
	if err != nil {
		s.failed()
		return 0, err
	}
	pid, err := p.request(ctx, spec, files)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		// Question and answer may be out of step: start afresh. Launchers that it
		// forked live on.
		s.failures++
		s.process = nil
		p.stop()
		return 0, err
	}
	s.failures = 0
	return pid, nil
}

func (s *forkServer) failed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures++
}

// running returns the process, started if need be. Its caller has the turn.
func (s *forkServer) running(ctx context.Context) (*forkProcess, error) {
	s.mu.Lock()
	p, stopped := s.process, s.stopped
	s.mu.Unlock()
	if stopped {
		return nil, errSpawnerClosed
	}
	if p != nil {
		select {
		case <-p.exited:
			s.factory.log.Warn("fork server ended, starting another", zap.String("interpreter", s.path))
			p.stop()
		default:
			return p, nil
		}
	}
	p, err := s.start(ctx)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.path, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		p.stop()
		return nil, errSpawnerClosed
	}
	s.process = p
	return p, nil
}

// start starts the interpreter and waits until it has imported everything.
func (s *forkServer) start(ctx context.Context) (*forkProcess, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a socket pair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "fork server"), os.NewFile(uintptr(pair[1]), "factory")
	defer func() { _, _ = ours.Close(), theirs.Close() }() // copies are in use
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	program := filepath.Join(s.factory.launchers(), "python", "forkserver.py")
	command := exec.Command(s.path, "-s", program)
	command.Env = []string{"LANG=C.UTF-8", "PATH=/usr/bin:/bin"}
	command.Dir = "/"
	var said limitedBuffer
	command.Stderr = &said
	command.ExtraFiles = []*os.File{theirs}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.factory.spawner.start(command); err != nil {
		_ = conn.Close() // nothing was sent
		return nil, err
	}
	p := &forkProcess{command: command, conn: conn.(*net.UnixConn), exited: make(chan struct{})}
	_ = theirs.Close() // so that its end is seen
	go func() {
		_ = command.Wait() // the reason was printed
		close(p.exited)
	}()
	answer, err := p.receive(ctx)
	if err == nil && answer != "ready" {
		err = errors.New(answer)
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%w %s", err, said.String())
	}
	return p, nil
}

// request sends one question and reads its answer.
func (p *forkProcess) request(ctx context.Context, spec []byte, files []*os.File) (int, error) {
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	deadline, _ := ctx.Deadline()
	if err := p.conn.SetDeadline(deadline); err != nil {
		return 0, err
	}
	if _, _, err := p.conn.WriteMsgUnix(spec, unix.UnixRights(fds...), nil); err != nil {
		return 0, err
	}
	answer, err := p.receive(ctx)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(answer)
	if err != nil {
		return 0, errors.New(answer)
	}
	return pid, nil
}

// receive reads one message; it ends with the context.
func (p *forkProcess) receive(ctx context.Context) (string, error) {
	stop := context.AfterFunc(ctx, func() { _ = p.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var b [1024]byte
	n, err := p.conn.Read(b[:])
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", err
	case n == 0:
		return "", errors.New("it ended")
	}
	return string(b[:n]), nil
}

// stop ends the process and waits for it.
func (p *forkProcess) stop() {
	_ = p.conn.Close()           // asks it to end
	_ = p.command.Process.Kill() // it has nothing to save
	<-p.exited
}

func (s *forkServer) stop() {
	s.mu.Lock()
	p := s.process
	s.process, s.stopped = nil, true
	s.mu.Unlock()
	if p != nil {
		p.stop()
	}
}

// forkSpec is what a forked launcher makes of itself.
type forkSpec struct {
	UID      int               `json:"uid"`
	Dir      string            `json:"dir"`
	Env      map[string]string `json:"env"`
	Limits   map[string]uint64 `json:"limits"`
	Landlock landlockPolicy    `json:"landlock"`
}

// forkLauncher has the fork server make the container's launcher.
func (c *Container) forkLauncher(ctx context.Context, p *pipes, i runtimes.Interpreter) error {
	box := c.boxSpec(i, true)
	env := make(map[string]string, len(box.Env))
	for _, entry := range box.Env {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	spec, err := json.Marshal(forkSpec{
		UID: box.UID, Dir: boxWork, Env: env, Landlock: box.Landlock,
		Limits: map[string]uint64{
			"RLIMIT_NOFILE": box.OpenFiles, "RLIMIT_CORE": 0,
			"RLIMIT_FSIZE": uint64(box.ScratchBytes), "RLIMIT_NPROC": box.Processes,
		},
	})
	if err != nil {
		return err
	}
	files := []*os.File{p.requests.read, p.answers.write, p.stdout.write, p.stderr.write}
	var opened []*os.File
	defer func() {
		for _, f := range opened {
			_ = f.Close() // nothing was written by us
		}
	}()
	for _, namespace := range []string{"pid", "mnt", "ipc", "uts"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", c.roots()[0], namespace))
		if err != nil {
			return fmt.Errorf("open the container's namespaces: %w", err)
		}
		opened = append(opened, f)
	}
	if c.group != nil {
		doors, err := c.group.Doors()
		if err != nil {
			return fmt.Errorf("open the container's control group: %w", err)
		}
		opened = append(opened, doors...)
	}
	pid, err := c.factory.forks.get(i).fork(ctx, spec, append(files, opened...))
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.launcher = pid
	c.mu.Unlock()
	for _, f := range []**os.File{&p.requests.read, &p.answers.write, &p.stdout.write, &p.stderr.write} {
		closeFile(f)
	}
	return c.record(pid)
}

// limitedBuffer keeps the first kilobytes of what a fork server prints.
type limitedBuffer struct {
	mu   sync.Mutex
	text []byte
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p[:min(len(p), 4096-len(b.text))]...)
	return len(p), nil
}

func (b *limitedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}
