package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gowhisk/gowhisk/invoker/container/actionlog"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/runtimes"
)

// pipes are the descriptors between the factory and a container process.
type pipes struct {
	gate, status, stdout, stderr pipe
	// requests and answers connect the proxy with a forked launcher.
	requests, answers pipe
}

type pipe struct{ read, write *os.File }

// openPipes opens them, those for a launcher if asked to.
func openPipes(launcher bool) (*pipes, error) {
	p := new(pipes)
	open := []*pipe{&p.gate, &p.status, &p.stdout, &p.stderr}
	if launcher {
		open = append(open, &p.requests, &p.answers)
	}
	for _, o := range open {
		r, w, err := os.Pipe()
		if err != nil {
			p.close()
			return nil, fmt.Errorf("open a pipe to the container: %w", err)
		}
		*o = pipe{r, w}
	}
	return p, nil
}

// close closes what is still ours.
func (p *pipes) close() {
	for _, o := range []*pipe{&p.gate, &p.status, &p.stdout, &p.stderr, &p.requests, &p.answers} {
		closeFile(&o.read)
		closeFile(&o.write)
	}
}

// keep takes a file out of the pipes, so that close leaves it.
func keep(f **os.File) *os.File {
	kept := *f
	*f = nil
	return kept
}

func closeFile(f **os.File) {
	if *f != nil {
		_ = (*f).Close() // a pipe; what was written is there
		*f = nil
	}
}

// start starts the container's processes and returns when it takes /init.
func (c *Container) start(ctx context.Context, i runtimes.Interpreter, fork bool) error {
	p, err := openPipes(fork)
	if err != nil {
		return err
	}
	defer p.close()
	if err := c.spawn(p, c.boxSpec(i, fork), fork); err != nil {
		return err
	}
	// Reading the status ends when the context does.
	stop := context.AfterFunc(ctx, func() { _ = p.status.read.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	lines := bufio.NewReader(p.status.read)
	if err := c.await(ctx, lines, "confined"); err != nil {
		return err
	}
	if err := c.openSocketDir(); err != nil {
		return err
	}
	if fork {
		if err := c.forkLauncher(ctx, p, i); err != nil {
			return fmt.Errorf("%w: %w", errForkServer, err)
		}
	}
	return c.await(ctx, lines, "ready")
}

// spawn starts the container process, in its control group from its first
// instruction of ours on, and lets it go.
func (c *Container) spawn(p *pipes, spec *boxSpec, fork bool) error {
	command := c.factory.command(spec.Level)
	command.Stdout, command.Stderr = p.stdout.write, p.stderr.write
	command.ExtraFiles = []*os.File{p.gate.read, p.status.write}
	if fork {
		command.ExtraFiles = append(command.ExtraFiles, p.requests.write, p.answers.read)
	}
	if err := c.factory.spawner.start(command); err != nil {
		return fmt.Errorf("start %s: %w", command.Path, err)
	}
	// Only the container's copies keep these open, so that their end is its end.
	for _, f := range []**os.File{&p.gate.read, &p.status.write, &p.requests.write, &p.answers.read} {
		closeFile(f)
	}
	if !fork { // a forked launcher gets the log streams too
		closeFile(&p.stdout.write)
		closeFile(&p.stderr.write)
	}
	c.adopt(command, p)
	if err := c.record(command.Process.Pid); err != nil {
		return err
	}
	if c.group != nil {
		if err := c.group.Add(command.Process.Pid); err != nil {
			return err
		}
	}
	if w := c.factory.watchdog; w != nil {
		w.watch(c)
	}
	if err := json.NewEncoder(c.gate).Encode(spec); err != nil {
		return fmt.Errorf("tell the container what it is: %w", err)
	}
	return nil
}

// adopt notes the started process and looks after its end and its output.
func (c *Container) adopt(command *exec.Cmd, p *pipes) {
	c.mu.Lock()
	c.command = command
	c.gate = keep(&p.gate.write)
	c.follower = actionlog.Follow(c.framer, keep(&p.stdout.read), keep(&p.stderr.read))
	c.mu.Unlock()
	go func() {
		_ = command.Wait() // how it ended shows in what calls return
		close(c.exited)
		c.client.Close()
	}()
}

// await reads the status line that is expected next.
func (c *Container) await(ctx context.Context, lines *bufio.Reader, want string) error {
	line, err := lines.ReadString('\n')
	line = strings.TrimSuffix(line, "\n")
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the container ended before it was %s%s", want, c.lastWords())
	case err != nil:
		return err
	case line != want:
		return errors.New(strings.TrimPrefix(line, "error "))
	}
	return nil
}

// lastWords is what a container that failed to start has printed.
func (c *Container) lastWords() string {
	<-c.exited
	logs := c.framer.Collect(context.Background(), failedStartLogs)
	if len(logs.Lines) == 0 {
		return ""
	}
	return ": " + strings.Join(logs.Lines, "; ")
}

// boxSpec describes the container to its process.
func (c *Container) boxSpec(i runtimes.Interpreter, fork bool) *boxSpec {
	f := c.factory
	s := f.newBoxSpec(f.report.Level, c.dir, i)
	s.UID = c.uid
	s.ScratchBytes = f.scratch(c.spec.Memory).Bytes()
	work, tmp, launchers := boxWork, "/tmp", boxLaunchers
	if s.Level == LevelPlain {
		s.Scratch = c.scratchDir()
		s.Landlock = newLandlockPolicy(landlockVersion(), s.Show, []string{s.Scratch})
		work, tmp, launchers = s.Scratch, filepath.Join(s.Scratch, "tmp"), f.launchers()
	}
	s.Processes = uint64(f.config.Processes)
	if s.Level == LevelPlain && !f.ownUsers {
		s.Processes = f.processLimit()
	}
	s.Env = c.environment(i, work, tmp)
	s.Proxy = []string{"--kind", i.Kind, "--listen", "unix:" + c.socket(), "--dir", work, "--launchers", launchers}
	if i.Path != "" {
		s.Proxy = append(s.Proxy, "--interpreter", i.Path)
	}
	if fork {
		s.Proxy = append(s.Proxy, "--launcher-fds", strconv.Itoa(launcherIn)+","+strconv.Itoa(launcherUp))
	}
	if c.spec.Concurrency > 1 {
		s.Proxy = append(s.Proxy, "--concurrent")
	}
	return s
}

// newBoxSpec is the part that is the same for all containers of an interpreter.
func (f *Factory) newBoxSpec(level Level, dir string, i runtimes.Interpreter) *boxSpec {
	s := &boxSpec{
		Level:        level,
		Root:         filepath.Join(dir, "root"),
		ScratchBytes: 16 << 20,
		OpenFiles:    f.config.OpenFiles,
	}
	s.Show = append(s.Show, systemPaths...)
	s.Show = append(s.Show, interpreterPaths(i)...)
	s.Show = append(s.Show, f.config.ReadOnlyPaths...)
	s.Launchers = f.launchers()
	if level == LevelPlain {
		s.Show = append(s.Show, f.launchers(), "/proc")
	} else {
		s.Landlock = newLandlockPolicy(landlockVersion(), []string{"/"}, []string{boxDir, "/tmp", "/var/tmp"})
	}
	return s
}

// scratch is the room for files of a container with the given memory.
func (f *Factory) scratch(memory entity.Megabytes) entity.Megabytes {
	if f.config.Scratch > 0 {
		return f.config.Scratch
	}
	return max(memory/2, 16)
}

// environment is the container's at start. A caller's variables win.
func (c *Container) environment(i runtimes.Interpreter, work, tmp string) []string {
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	if i.Path != "" {
		path = filepath.Dir(i.Path) + ":" + path
	}
	env := []string{
		"PATH=" + path, "HOME=" + work, "TMPDIR=" + tmp, "LANG=C.UTF-8",
		c.factory.mark(c.key),
	}
	return append(env, c.spec.Env...)
}

// containerMark is the variable that marks a container's processes. Its prefix
// makes the proxy pass it on to every runtime.
const containerMark = "__OW_CONTAINER"
