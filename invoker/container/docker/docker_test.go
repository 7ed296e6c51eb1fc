package docker

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/docker/docker/client"
	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/container/containertest"
	"github.com/gowhisk/gowhisk/invoker/container/process"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

// TestMain lets the test binary be an owner of containers that a test kills.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 2 && os.Args[1] == "own-containers":
		ownContainers(os.Args[2])
	case len(os.Args) > 1 && os.Args[1] == process.Command: // for the benchmark's comparison
		os.Exit(process.ContainerMain(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}

// prefix is that of the runtime images; scripts/images builds them.
var prefix = or(os.Getenv("GOWHISK_IMAGES"), "gowhisk")

// imageOf is the image of a kind.
func imageOf(kind string) string {
	return prefix + "/" + map[string]string{
		"nodejs:20": "action-nodejs-v20", "python:3.11": "action-python-v3.11", "shell:1": "action-shell",
		"native:1": "action-native", blackbox: "dockerskeleton",
	}[kind] + ":1"
}

func config(dir string) Config {
	return Config{Dir: dir, Owner: "test", PoolMemory: 2048, Settings: Settings{Processes: 200}}
}

// ownContainers starts containers, one of them paused, and waits to be killed.
func ownContainers(dir string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "owner:", err)
			os.Exit(1)
		}
	}
	ctx := context.Background()
	f, err := Open(ctx, config(dir))
	fail(err)
	for i, kind := range []string{"nodejs:20", "python:3.11", "shell:1", "python:3.11"} {
		c, err := f.Start(ctx, container.Spec{Name: "left-" + strconv.Itoa(i), Kind: kind, Image: imageOf(kind), Memory: 128, Concurrency: 1})
		fail(err)
		if i == 3 {
			fail(c.Pause(ctx))
		}
	}
	fmt.Println("started")
	select {}
}

// engineClient talks to the engine behind the factory's back.
func engineClient(t *testing.T, host string) *client.Client {
	t.Helper()
	api, err := connect(context.Background(), host)
	require.NoError(t, err, "these tests need a Docker engine: scripts/provision docker")
	t.Cleanup(func() { require.NoError(t, api.Close()) })
	return api
}

// open opens a swept factory.
func open(t *testing.T, c Config) *Factory {
	t.Helper()
	if c.Log == nil {
		log, err := zap.NewDevelopment(zap.IncreaseLevel(zap.ErrorLevel))
		require.NoError(t, err)
		c.Log = log
	}
	f, err := Open(context.Background(), c)
	require.NoError(t, err, "these tests need a Docker engine: scripts/provision docker")
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	require.NoError(t, f.Sweep(context.Background()))
	for _, kind := range []string{"nodejs:20", "python:3.11", "shell:1", "native:1", blackbox} {
		missing, err := Missing(context.Background(), c.Settings, imageOf(kind))
		require.NoError(t, err)
		require.Empty(t, missing, "images are missing: scripts/images builds them")
	}
	return f
}

// residue lists the containers of a state directory's owner.
func residue(t *testing.T, dir string) []string {
	api := engineClient(t, "")
	owner, err := identity(dir + "/owner")
	require.NoError(t, err)
	found, err := (&Factory{api: api}).list(context.Background(), ownerLabel+"="+owner)
	require.NoError(t, err)
	var left []string
	for _, c := range found {
		left = append(left, c.Labels[nameLabel])
	}
	return left
}

func conform(t *testing.T, c Config) {
	containertest.Run(t, func(t *testing.T) container.Factory { return open(t, c) }, containertest.Options{
		Node: "nodejs:20", Python: "python:3.11", Shell: "shell:1", Image: imageOf,
		SkeletonImage: imageOf(blackbox), MissingKind: "java:8",
		LimitsMemory: true, LimitsProcesses: true, LimitsDisk: true, HidesFiles: true, HidesProcesses: true,
		Residue: func() []string { return residue(t, c.Dir) },
		Owner: func(t *testing.T) *exec.Cmd {
			self, err := os.Executable()
			require.NoError(t, err)
			return exec.Command(self, "own-containers", c.Dir)
		},
	})
}

func TestConformance(t *testing.T) { conform(t, config(t.TempDir())) }

// TestDeadOwners: a server removes also what others on its machine left that are
// dead, and whose state directory may be gone, but nothing of those that live.
func TestDeadOwners(t *testing.T) {
	alive := open(t, config(t.TempDir()))
	kept := start(t, alive, shellSpec(), shellEcho)
	gone, err := os.MkdirTemp("", "gw")
	require.NoError(t, err)
	var left []string
	for _, dir := range []string{gone, t.TempDir()} {
		self, err := os.Executable()
		require.NoError(t, err)
		owner := exec.Command(self, "own-containers", dir)
		out, err := owner.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, owner.Start())
		_, err = out.Read(make([]byte, 100)) // "started"
		require.NoError(t, err)
		left = append(left, residue(t, dir)...)
		require.NoError(t, owner.Process.Kill())
		require.Error(t, owner.Wait())
	}
	require.Len(t, left, 8)
	identities := func() (n int) {
		found, err := alive.list(t.Context(), hostLabel+"="+alive.host)
		require.NoError(t, err)
		for _, s := range found {
			if s.Labels[nameLabel] != kept.spec.Name && isAbandoned(s.Labels[directoryLabel]) {
				n++
			}
		}
		return n
	}
	require.GreaterOrEqual(t, identities(), 8)
	require.NoError(t, os.RemoveAll(gone))

	open(t, config(t.TempDir())) // sweeps
	assert.Zero(t, identities())
	kept.run(nil, &struct{}{})
}

// shellSpec is a container for shell actions.
func shellSpec() container.Spec {
	return container.Spec{Kind: "shell:1", Image: imageOf("shell:1"), Memory: 128}
}

const (
	shellEcho  = "#!/bin/sh\necho '{\"ok\":true}'\n"
	shellSleep = "#!/bin/sh\necho sleeping >&2\nsleep 1000\n"
)
