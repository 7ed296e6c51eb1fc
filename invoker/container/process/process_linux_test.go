package process

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/container/cgroup"
	"github.com/gowhisk/gowhisk/invoker/container/containertest"
	"github.com/gowhisk/gowhisk/runtimes"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary be a container, and an owner of containers that
// a test kills.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case Command:
			os.Exit(ContainerMain(os.Args[2:]))
		case "own-containers":
			ownContainers(os.Args[2])
		}
	}
	os.Exit(m.Run())
}

// testGroups is where tests make control groups: not below the groups of
// whatever runs the tests.
const testGroups = "/"

func config(dir string) Config {
	return Config{Dir: dir, CgroupParent: testGroups}
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
	for i, kind := range []string{"nodejs:20", "python:3", "shell:1", "python:3"} {
		c, err := f.Start(ctx, container.Spec{Name: "left-" + strconv.Itoa(i), Kind: kind, Memory: 128, Concurrency: 1})
		fail(err)
		if i == 3 {
			fail(c.Pause(ctx))
		}
	}
	fmt.Println("started")
	select {}
}

// open opens a swept factory.
func open(t *testing.T, c Config) *Factory {
	t.Helper()
	f, err := Open(context.Background(), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	require.NoError(t, f.Sweep(context.Background()))
	return f
}

// residue lists processes with a container's mark or user id, control groups and
// directories that belong to a state directory.
func residue(c Config) []string {
	var left []string
	entries, _ := os.ReadDir(filepath.Join(c.Dir, "c"))
	for _, e := range entries {
		left = append(left, e.Name())
	}
	for _, p := range processTable() {
		if p.uid >= c.FirstUID && p.uid < c.FirstUID+c.UIDs {
			left = append(left, fmt.Sprintf("process %d of user %d", p.pid, p.uid))
		}
	}
	f := &Factory{config: c}
	if f.openGroups() == nil {
		groups, _ := f.groups.Leftovers()
		for _, g := range groups {
			if g.Name() != "try" {
				left = append(left, "control group "+g.Name())
			}
		}
	}
	return left
}

// TestConformanceAsRoot runs the suite at the strongest level, if this is root.
func TestConformanceAsRoot(t *testing.T) {
	if !isRoot() {
		t.Log("not root: this level is checked by CI alone")
		return
	}
	c, err := config(t.TempDir()).withDefaults()
	require.NoError(t, err)
	// Ids of its own, so that what other servers run is not taken for ours.
	c.FirstUID, c.UIDs = 64000, 500
	secret := filepath.Join(c.Dir, "database")
	require.NoError(t, os.WriteFile(secret, []byte("s"), 0o644))
	t.Setenv("SECRET_OF_THE_SERVER", "1")
	containertest.Run(t, func(t *testing.T) container.Factory {
		f := open(t, c)
		require.Equal(t, LevelRoot, f.Isolation().Level, "%s", f.Isolation())
		t.Log(f.Isolation())
		return f
	}, containertest.Options{
		Node: "nodejs:20", Python: "python:3", Shell: "shell:1", SkeletonImage: "openwhisk/dockerskeleton:nightly", MissingKind: "java:8",
		LimitsMemory: true, LimitsProcesses: true, LimitsDisk: true, HidesFiles: true, HidesProcesses: true,
		Hidden:  []string{secret, c.Dir, filepath.Join(c.Dir, "c")},
		Residue: func() []string { return residue(c) },
		Owner: func(t *testing.T) *exec.Cmd {
			self, err := os.Executable()
			require.NoError(t, err)
			return exec.Command(self, "own-containers", c.Dir)
		},
	})
}

var (
	_ = bufio.NewReader
	_ = time.Second
	_ = strings.Cut
	_ = cgroup.ErrUnavailable
	_ runtimes.Interpreter
)
