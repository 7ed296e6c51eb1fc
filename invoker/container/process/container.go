package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/container/actionlog"
	"github.com/gowhisk/gowhisk/invoker/container/cgroup"
	"github.com/gowhisk/gowhisk/invoker/container/runtimeclient"
	"github.com/gowhisk/gowhisk/runtimes"
)

// Container is one container process and what it started; see
// container.Container.
type Container struct {
	factory *Factory
	spec    container.Spec
	kind    string // the installed one
	key     string // names directory and control group
	dir     string // everything on disk
	uid     int    // its own user, 0 where it has none
	group   cgroup.Group
	framer  *actionlog.Framer
	client  *runtimeclient.Client

	exited       chan struct{} // closed when the container process was reaped
	memoryKilled atomic.Bool   // by the watchdog
	oomKills     atomic.Int64  // that calls were told of

	mu        sync.Mutex // guards what follows
	command   *exec.Cmd  // nil until started
	launcher  int        // pid of a forked launcher, or 0
	gate      *os.File   // its end ends the container
	follower  *actionlog.Follower
	socketDir *os.File // the directory of the socket, where it is not on disk
	destroyed bool

	destroying sync.Mutex // one Destroy at a time; taken before mu
	gone       bool       // nothing is left; guarded by destroying
}

var _ container.Container = (*Container)(nil)

// newContainer takes what a container needs before its process.
func (f *Factory) newContainer(spec container.Spec, i runtimes.Interpreter) (*Container, error) {
	c := &Container{
		factory: f, spec: spec, kind: i.Kind, key: newKey(),
		framer: actionlog.New(f.config.MaxLogs.Bytes()),
		exited: make(chan struct{}),
	}
	c.dir = filepath.Join(f.boxes(), c.key)
	c.client = runtimeclient.New(c.dial, spec.Concurrency)
	if err := f.register(c); err != nil {
		return nil, err
	}
	if err := c.prepare(); err != nil {
		return nil, errors.Join(err, c.Destroy(context.Background()))
	}
	return c, nil
}

// prepare makes the directory and the control group.
func (c *Container) prepare() error {
	f := c.factory
	if err := makeBox(c.dir); err != nil {
		return fmt.Errorf("create the container's directory: %w", err)
	}
	if f.ownUsers {
		uid, err := f.users.take()
		if err != nil {
			return err
		}
		c.uid = uid
		if err := giveScratch(c.dir, uid); err != nil {
			return err
		}
	}
	if f.groups == nil {
		return nil
	}
	group, err := f.groups.Create(c.key, cgroup.Limits{
		MemoryBytes: c.spec.Memory.Bytes(),
		Processes:   f.config.Processes,
		// As many per megabyte as the default of 1024 gives 256 MB.
		CPUShares: int64(c.spec.Memory) * 4,
	})
	if err != nil {
		return fmt.Errorf("create the container's control group: %w", err)
	}
	c.group = group
	return nil
}

// scratchDir is what a container at LevelPlain writes to.
func (c *Container) scratchDir() string { return filepath.Join(c.dir, "s") }

// makeBox makes a container's directory: a place to mount its root, and the
// directory that it writes to at LevelPlain.
func makeBox(dir string) error {
	var errs []error
	for _, d := range []string{"", "root", "s", "s/tmp"} {
		errs = append(errs, os.Mkdir(filepath.Join(dir, d), 0o700))
	}
	return errors.Join(errs...)
}

// giveScratch lets a user of its own reach and write the scratch directory.
func giveScratch(dir string, uid int) error {
	return errors.Join(
		os.Chmod(dir, 0o711),
		os.Chown(filepath.Join(dir, "s"), uid, uid),
		os.Chown(filepath.Join(dir, "s", "tmp"), uid, uid),
	)
}

// socket is where the proxy listens, as the container sees it.
func (c *Container) socket() string {
	if c.factory.report.Level == LevelPlain {
		return filepath.Join(c.scratchDir(), socketBox)
	}
	return filepath.Join(boxRun, socketBox)
}

// dial connects to the proxy.
func (c *Container) dial(ctx context.Context) (net.Conn, error) {
	path := c.socket()
	c.mu.Lock()
	if c.socketDir != nil {
		// The directory exists in the container's mount namespace alone.
		path = fmt.Sprintf("/proc/self/fd/%d/%s", c.socketDir.Fd(), socketBox)
	}
	destroyed := c.destroyed
	c.mu.Unlock()
	if destroyed {
		return nil, net.ErrClosed
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}

// ID implements container.Container.
func (c *Container) ID() string { return c.spec.Name }

// Call implements container.Container.
func (c *Container) Call(ctx context.Context, path string, body []byte, maxBytes int64) (container.Response, error) {
	if path == "/run" && c.spec.Concurrency <= 1 {
		c.framer.Begin()
	}
	response, err := c.client.Post(ctx, path, body, maxBytes)
	if err == nil && response.Status == http.StatusOK {
		return response, nil
	}
	// The kernel may have killed the runtime, or the interpreter below a proxy
	// that lives to say so.
	if ctx.Err() == nil && c.ranOutOfMemory(ctx, err != nil) {
		return container.Response{}, container.ErrOutOfMemory
	}
	return response, err
}

// deathPatience bounds the wait for the end of a process whose connection broke.
const deathPatience = time.Second

// ranOutOfMemory reports whether a process of the container was killed for its
// memory since this was last asked.
func (c *Container) ranOutOfMemory(ctx context.Context, disconnected bool) bool {
	if disconnected {
		timer := time.NewTimer(deathPatience)
		defer timer.Stop()
		select { // the connection breaks a moment before the process is gone
		case <-c.exited:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if c.memoryKilled.Load() {
		return true
	}
	if c.group == nil {
		return false
	}
	kills, err := c.group.OOMKills()
	if err != nil {
		return false // the group is gone with the container
	}
	return kills > c.oomKills.Swap(kills)
}

// Logs implements container.Container.
func (c *Container) Logs(ctx context.Context, q container.LogQuery) container.Logs {
	return c.framer.Collect(ctx, q)
}

// Pause implements container.Container.
func (c *Container) Pause(ctx context.Context) error {
	// The runtime's clock jumps when it resumes, and may close what was idle.
	c.client.CloseIdle()
	if c.group != nil {
		err := c.group.Freeze(ctx)
		if err == nil {
			return nil
		}
		if !errors.Is(err, cgroup.ErrUnavailable) {
			return errors.Join(fmt.Errorf("pause container %s: %w", c.ID(), err), c.group.Thaw())
		}
	}
	return c.signalAll(syscall.SIGSTOP)
}

// Resume implements container.Container.
func (c *Container) Resume(context.Context) error {
	if c.group != nil {
		if err := c.group.Thaw(); err != nil {
			return fmt.Errorf("resume container %s: %w", c.ID(), err)
		}
	}
	return c.signalAll(syscall.SIGCONT)
}

// roots are the processes that the factory knows of, all others descend from
// them.
func (c *Container) roots() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var pids []int
	select {
	case <-c.exited: // somebody else may have the number now
	default:
		if c.command != nil {
			pids = append(pids, c.command.Process.Pid)
		}
		if c.launcher != 0 {
			pids = append(pids, c.launcher)
		}
	}
	return pids
}
