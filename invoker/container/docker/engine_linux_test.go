package docker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testEngine is an engine of a test's own, which it may kill. It shares nothing
// with the machine's: not its files, nor its rules of iptables. Its images live in
// memory, bounded.
type testEngine struct {
	t       *testing.T
	dir     string
	host    string
	bridge  string // of its default network; without one it would remove the machine's
	process *exec.Cmd
}

// startEngine starts an engine that has the image of shell actions.
func startEngine(t *testing.T, arguments ...string) *testEngine {
	t.Helper()
	require.Zero(t, os.Geteuid(), "a test that starts an engine of its own needs root")
	dir, err := os.MkdirTemp("", "gwe") // short: paths of sockets are
	require.NoError(t, err)
	e := &testEngine{t: t, dir: dir, host: "unix://" + dir + "/sock", bridge: filepath.Base(dir)}
	ip(t, "link", "add", e.bridge, "type", "bridge")
	t.Cleanup(func() { ip(t, "link", "del", e.bridge) })
	data := filepath.Join(dir, "data")
	require.NoError(t, os.Mkdir(data, 0o700))
	require.NoError(t, syscall.Mount("tmpfs", data, "tmpfs", 0, "size=400m"))
	t.Cleanup(func() {
		e.stop()
		require.NoError(t, syscall.Unmount(data, syscall.MNT_DETACH)) // a failed test leaves containers in there
		require.NoError(t, os.RemoveAll(dir))
	})
	e.start(arguments...)
	e.copyImage(imageOf("shell:1"))
	return e
}

// ip changes this machine's interfaces.
func ip(t *testing.T, arguments ...string) {
	t.Helper()
	out, err := exec.Command("ip", arguments...).CombinedOutput()
	require.NoError(t, err, "ip %v (needs root and iproute2): %s", arguments, out)
}

func (e *testEngine) start(arguments ...string) {
	e.t.Helper()
	log, err := os.OpenFile(filepath.Join(e.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(e.t, err)
	defer func() { require.NoError(e.t, log.Close()) }() // the engine has its own
	e.process = exec.Command("dockerd", append([]string{
		"--data-root", e.dir + "/data", "--exec-root", e.dir + "/exec", "--pidfile", e.dir + "/pid", "--host", e.host,
		"--bridge", e.bridge, "--iptables=false", "--ip-forward=false",
	}, arguments...)...)
	e.process.Stdout, e.process.Stderr = log, log
	require.NoError(e.t, e.process.Start(), "these tests need Docker's engine, dockerd: scripts/provision docker")
	require.Eventually(e.t, func() bool {
		api, err := connect(context.Background(), e.host)
		return err == nil && api.Close() == nil
	}, time.Minute, 20*time.Millisecond, "the engine does not answer")
}

// kill ends the engine as a crash does: its containers go on. Its containerd is
// killed with it, by the kernel, a moment later; a new engine must not see that.
func (e *testEngine) kill() {
	e.t.Helper()
	require.NoError(e.t, e.process.Process.Kill())
	_ = e.process.Wait() // killed
	text, err := os.ReadFile(e.dir + "/exec/containerd/containerd.pid")
	require.NoError(e.t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(e.t, err)
	require.Eventually(e.t, func() bool { return syscall.Kill(pid, 0) != nil }, patience, time.Millisecond)
}

// stop ends the engine with all its containers.
func (e *testEngine) stop() {
	if e.process == nil || e.process.ProcessState != nil {
		return
	}
	e.removeNetwork()
	assert.NoError(e.t, e.process.Process.Signal(syscall.SIGTERM))
	_ = e.process.Wait() // terminated
	// A containerd that is killed in the midst of a start forgets the half of a
	// container that it has, which is not even of its runtime yet.
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(e.t, err)
	for _, p := range processes {
		line, err := os.ReadFile(p)
		if err != nil || !bytes.Contains(line, []byte(e.dir+"/")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(p)))
		require.NoError(e.t, err)
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)) // gone otherwise
		for _, child := range append(strings.Fields(string(children)), strconv.Itoa(pid)) {
			if n, err := strconv.Atoi(child); err == nil {
				_ = syscall.Kill(n, syscall.SIGKILL) // or gone
			}
		}
	}
}

// removeNetwork removes the factories' network, whose interface would stay.
func (e *testEngine) removeNetwork() {
	api, err := connect(context.Background(), e.host)
	if !assert.NoError(e.t, err) {
		return
	}
	if err := api.NetworkRemove(context.Background(), DefaultNetwork); !isGone(err) {
		assert.NoError(e.t, err)
	}
	assert.NoError(e.t, api.Close())
}

// copyImage copies an image of the machine's engine.
func (e *testEngine) copyImage(name string) {
	from, to := engineClient(e.t, ""), engineClient(e.t, e.host)
	image, err := from.ImageSave(context.Background(), []string{name})
	require.NoError(e.t, err, "the image %s is missing: scripts/images builds it", name)
	defer func() { require.NoError(e.t, image.Close()) }()
	answer, err := to.ImageLoad(context.Background(), image, client.ImageLoadWithQuiet(true))
	require.NoError(e.t, err)
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(e.t, err)
	require.NoError(e.t, answer.Body.Close())
}

// factory opens a factory on the engine.
func (e *testEngine) factory(c Config) *Factory {
	e.t.Helper()
	c.Host = e.host
	f, err := Open(context.Background(), c)
	require.NoError(e.t, err)
	e.t.Cleanup(func() { require.NoError(e.t, f.Close()) })
	require.NoError(e.t, f.Sweep(context.Background()))
	return f
}

// containers counts what the engine has, whoever it belongs to.
func (e *testEngine) containers() int {
	found, err := (&Factory{api: engineClient(e.t, e.host)}).list(context.Background(), ownerLabel)
	require.NoError(e.t, err)
	return len(found)
}

func TestKilledEngine(t *testing.T) {
	e := startEngine(t)
	f := e.factory(config(t.TempDir()))
	idle := start(t, f, shellSpec(), shellEcho)
	paused := start(t, f, shellSpec(), shellEcho)
	require.NoError(t, paused.Pause(within(t, patience)))
	busy := start(t, f, shellSpec(), shellSleep)
	answered := make(chan error, 1)
	go func() {
		_, err := busy.Call(context.Background(), "/run", []byte(`{"value":{}}`), 1<<20)
		answered <- err
	}()
	require.Eventually(t, func() bool {
		logs := busy.Logs(within(t, patience), container.LogQuery{Limit: 1})
		return strings.Contains(strings.Join(logs.Lines, ""), "sleeping")
	}, patience, time.Millisecond)
	idle.run(nil, &struct{}{})

	e.kill()
	idle.run(nil, &struct{}{}) // containers need no engine
	_, err := f.Start(within(t, patience), shellSpec())
	require.ErrorContains(t, err, "the Docker engine cannot be reached; start it, or name its address")
	var user *container.StartError
	require.NotErrorAs(t, err, &user, "that is not the user's fault")
	require.Error(t, paused.Destroy(within(t, patience)), "it cannot be removed now")

	e.start() // ends what ran
	require.ErrorIs(t, <-answered, container.ErrNoResponse, "the run ends with its container")
	require.Eventually(t, func() bool {
		_, err := idle.post("/run", map[string]any{})
		return err != nil
	}, patience, 10*time.Millisecond)
	_, err = idle.post("/run", map[string]any{})
	require.ErrorIs(t, err, container.ErrNotListening, "so that another container can take the run")
	require.NoError(t, idle.Destroy(within(t, patience)))
	require.NoError(t, busy.Destroy(within(t, patience)))
	require.Eventually(t, func() bool { return e.containers() == 0 }, patience, 10*time.Millisecond,
		"what could not be removed is removed when the engine is back")

	again := start(t, f, shellSpec(), shellEcho)
	again.run(nil, &struct{}{})
	assert.Empty(t, again.texts())
	require.NoError(t, again.Pause(within(t, patience)))
	require.NoError(t, again.Resume(within(t, patience)))
	require.NoError(t, again.Destroy(within(t, patience)))
	assert.Zero(t, e.containers())
}

// TestKilledEngineUnderLoad kills an engine while containers are created, started,
// used and removed.
func TestKilledEngineUnderLoad(t *testing.T) {
	e := startEngine(t)
	f := e.factory(config(t.TempDir()))
	ctx, stop := context.WithCancel(context.Background())
	var workers sync.WaitGroup
	var rounds, starts atomic.Int64
	for range 3 {
		workers.Go(func() {
			for ctx.Err() == nil {
				spec := shellSpec()
				spec.Name, spec.Concurrency = fmt.Sprintf("load-%d", starts.Add(1)), 1
				c, err := f.Start(ctx, spec)
				if err != nil {
					pause(ctx, 10*time.Millisecond)
					continue
				}
				if response, err := c.Call(ctx, "/init", []byte(`{"value":{"code":"#!/bin/sh\necho '{}'\n"}}`), 1<<20); err == nil && response.Status == 200 {
					rounds.Add(1)
				}
				removal, cancel := context.WithTimeout(context.Background(), patience)
				_ = c.Destroy(removal) // the engine may be away; that is the point
				cancel()
			}
		})
	}
	awaitRounds := func() {
		t.Helper()
		want := rounds.Load() + 3
		require.Eventually(t, func() bool { return rounds.Load() >= want }, time.Minute, time.Millisecond, "starts do not work")
	}
	for range 3 {
		awaitRounds()
		e.kill()
		e.start()
	}
	awaitRounds()
	stop()
	workers.Wait()
	require.Eventually(t, func() bool { return e.containers() == 0 }, time.Minute, 10*time.Millisecond, "containers are left behind")
}

// TestClosedWithoutEngine: what could not be removed is left to whoever comes next.
func TestClosedWithoutEngine(t *testing.T) {
	e := startEngine(t)
	c := config(t.TempDir())
	c.Host = e.host
	f, err := Open(context.Background(), c)
	require.NoError(t, err)
	left := shellSpec()
	left.Name, left.Concurrency = "left", 1
	_, err = f.Start(within(t, patience), left)
	require.NoError(t, err)
	e.kill()
	require.ErrorContains(t, f.Close(), "the Docker engine cannot be reached", "closing says what it could not do")
	_, err = Open(context.Background(), c)
	require.ErrorIs(t, err, ErrNoEngine)

	e.start()
	require.Equal(t, 1, e.containers())
	e.factory(c)
	assert.Zero(t, e.containers())
}

func TestFullDisk(t *testing.T) {
	e := startEngine(t)
	f := e.factory(config(t.TempDir()))
	start(t, f, shellSpec(), shellEcho).run(nil, &struct{}{})

	filler, err := os.Create(e.dir + "/data/filler")
	require.NoError(t, err)
	for zeros := bytes.Repeat([]byte{0}, 4096); err == nil; _, err = filler.Write(zeros) {
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, filler.Close())
	_, err = f.Start(within(t, patience), shellSpec())
	require.ErrorContains(t, err, "the Docker engine's disk is full; make room, for example with docker system prune")

	require.NoError(t, os.Remove(filler.Name()))
	start(t, f, shellSpec(), shellEcho).run(nil, &struct{}{})
}
