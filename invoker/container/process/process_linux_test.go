package process

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/container/containertest"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestMain lets the test binary be a container, and an owner of containers that
// a test kills.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case Command:
			os.Exit(ContainerMain(os.Args[2:]))
		case "own-containers":
			ownContainers(os.Args[2], os.Args[3])
		}
	}
	goleak.VerifyTestMain(m)
}

// testGroups is where tests make control groups: not below the groups of
// whatever runs the tests.
const testGroups = "/"

func config(dir string) Config {
	return Config{Dir: dir, CgroupParent: testGroups, Processes: 200}
}

// ownContainers starts containers, one of them paused, and waits to be killed.
func ownContainers(dir, level string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "owner:", err)
			os.Exit(1)
		}
	}
	ctx := context.Background()
	c := config(dir)
	c.Level = Level(level)
	c.FirstUID, c.UIDs = 63000, 100
	f, err := Open(ctx, c)
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
	id := (&Factory{config: c}).id()
	for _, p := range processTable() {
		if isRoot() && !p.zombie && c.FirstUID != 0 && p.uid >= c.FirstUID && p.uid < c.FirstUID+c.UIDs {
			left = append(left, fmt.Sprintf("process %d of user %d", p.pid, p.uid))
		}
		environment, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid))
		if !p.zombie && strings.Contains(string(environment), containerMark+"="+id+".") {
			left = append(left, fmt.Sprintf("process %d", p.pid))
		}
	}
	if c.NoCgroup {
		return left
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

// conform runs the suite at a level.
func conform(t *testing.T, c Config, level Level, limits bool) {
	c.Level = level
	c, err := c.withDefaults()
	require.NoError(t, err)
	secret := filepath.Join(c.Dir, "database")
	require.NoError(t, os.WriteFile(secret, []byte("s"), 0o644))
	t.Setenv("SECRET_OF_THE_SERVER", "1")
	containertest.Run(t, func(t *testing.T) container.Factory {
		f := open(t, c)
		require.Equal(t, level, f.Isolation().Level)
		t.Log(f.Isolation())
		return f
	}, containertest.Options{
		Node: "nodejs:20", Python: "python:3", Shell: "shell:1",
		SkeletonImage: "openwhisk/dockerskeleton:nightly", MissingKind: "swift:5.3",
		LimitsMemory: true, LimitsProcesses: limits, LimitsDisk: level != LevelPlain,
		HidesFiles:     level != LevelPlain || landlockVersion() > 0,
		HidesProcesses: level != LevelPlain || landlockVersion() >= 6,
		Hidden:         []string{secret, filepath.Join(c.Dir, "c")},
		Residue:        func() []string { return residue(c) },
		Owner: func(t *testing.T) *exec.Cmd {
			self, err := os.Executable()
			require.NoError(t, err)
			return exec.Command(self, "own-containers", c.Dir, string(level))
		},
	})
}

// TestConformanceAsRoot runs the suite at the strongest level. Where it is not
// run as root there is nothing to check.
func TestConformanceAsRoot(t *testing.T) {
	if !isRoot() {
		return
	}
	c := config(t.TempDir())
	// Ids of its own, so that what other servers run is not taken for ours.
	c.FirstUID, c.UIDs = 64000, 500
	conform(t, c, LevelRoot, true)
}

func TestAStateDirectoryHasOneOwner(t *testing.T) {
	c := config(t.TempDir())
	open(t, c)
	_, err := Open(context.Background(), c)
	require.ErrorIs(t, err, ErrInUse)
}

// TestCompiledLanguages runs actions whose sources are compiled in the container,
// with what the factory prepared for all of them.
func TestCompiledLanguages(t *testing.T) {
	f := open(t, config(t.TempDir()))
	for kind, code := range map[string]string{
		"go:1.26": `"main":"main","code":"package main\n\nfunc Main(args map[string]any) map[string]any { return args }\n"`,
		"java:17": `"main":"A","code":"import com.google.gson.JsonObject;\npublic class A { public static JsonObject main(JsonObject args) { return args; } }\n"`,
	} {
		t.Run(kind, func(t *testing.T) {
			for range 2 {
				c, err := f.Start(context.Background(), container.Spec{Name: "compiled", Kind: kind, Memory: 256, Concurrency: 1})
				require.NoError(t, err)
				response, err := c.Call(context.Background(), "/init", []byte(`{"value":{"name":"a",`+code+`}}`), 1<<20)
				require.NoError(t, err)
				require.Equal(t, 200, response.Status, "%s", response.Body)
				response, err = c.Call(context.Background(), "/run", []byte(`{"value":{"a":1}}`), 1<<20)
				require.NoError(t, err)
				require.JSONEq(t, `{"a":1}`, string(response.Body))
				require.NoError(t, c.Destroy(context.Background()))
			}
		})
	}
}

// TestForkServerIsReplaced kills the fork server between two starts.
func TestForkServerIsReplaced(t *testing.T) {
	if !isRoot() {
		return
	}
	f := open(t, config(t.TempDir()))
	spec := container.Spec{Name: "forked", Kind: "python:3", Memory: 128, Concurrency: 1}
	first, err := f.Start(context.Background(), spec)
	require.NoError(t, err)
	i, err := f.kinds.resolve(spec.Kind, "")
	require.NoError(t, err)
	server := f.forks.get(i).process
	require.NotNil(t, server)
	require.NoError(t, server.command.Process.Kill())
	<-server.exited
	second, err := f.Start(context.Background(), spec)
	require.NoError(t, err)
	require.NotSame(t, server, f.forks.get(i).process)
	for _, c := range []container.Container{first, second} {
		code := []byte(`{"value":{"name":"a","main":"main","code":"def main(args):\n    return args"}}`)
		response, err := c.Call(context.Background(), "/init", code, 1<<20)
		require.NoError(t, err)
		require.Equal(t, 200, response.Status, "%s", response.Body)
		require.NoError(t, c.Destroy(context.Background()))
	}
}

// TestForkedLaunchersShareNothing looks at launchers from inside.
func TestForkedLaunchersShareNothing(t *testing.T) {
	if !isRoot() {
		return
	}
	f := open(t, config(t.TempDir()))
	code, err := json.Marshal(map[string]any{"value": map[string]any{"name": "a", "main": "main", "code": lookAround}})
	require.NoError(t, err)
	// The first launcher has the secret, which also shows that the search works.
	for _, env := range [][]string{{"TOKEN=7c1d0f55aa"}, nil} {
		c, err := f.Start(context.Background(), container.Spec{Name: "forked", Kind: "python:3", Memory: 128, Concurrency: 1, Env: env})
		require.NoError(t, err)
		defer func() { require.NoError(t, c.Destroy(context.Background())) }()
		response, err := c.Call(context.Background(), "/init", code, 1<<20)
		require.NoError(t, err)
		require.Equal(t, 200, response.Status, "%s", response.Body)
		response, err = c.Call(context.Background(), "/run", []byte(`{"value":{"wanted":["7c1d0f","55aa"]}}`), 1<<20)
		require.NoError(t, err)
		want := fmt.Sprintf(`{"descriptors":true,"capabilities":["0000000000000000"],"no_new_privs":"1","found":%t}`, env != nil)
		require.JSONEq(t, want, string(response.Body))
	}
}

// lookAround lists what a launcher has and searches its memory for a secret,
// which it is told in two parts so as not to find its own.
const lookAround = `
import ctypes, os
def main(args):
    links = [os.readlink('/proc/self/fd/' + n) for n in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + n)]
    good = all(l.startswith(('pipe:', '/dev/null', '/proc/')) for l in links) and len(links) <= 6
    status = dict(l.split(':', 1) for l in open('/proc/self/status').read().splitlines())
    caps = sorted({status[k].strip() for k in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')})
    found = False
    a, b = (p.encode() for p in args['wanted'])
    for l in open('/proc/self/maps'):
        span, mode = l.split()[:2]
        start, end = (int(x, 16) for x in span.split('-'))
        if not mode.startswith('rw'):
            continue
        for part in range(start, end, 1 << 20):
            block = ctypes.string_at(part, min(end - part, (1 << 20) + 64))
            at = block.find(a)
            while at >= 0:
                found = found or block[at + len(a):at + len(a) + len(b)] == b
                at = block.find(a, at + 1)
    return {'descriptors': good or links, 'capabilities': caps, 'no_new_privs': status['NoNewPrivs'].strip(), 'found': found}
`

func BenchmarkStart(b *testing.B) {
	f, err := Open(context.Background(), config(b.TempDir()))
	require.NoError(b, err)
	defer func() { require.NoError(b, f.Close()) }()
	for _, kind := range []string{"shell:1", "python:3", "nodejs:20"} {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				c, err := f.Start(context.Background(), container.Spec{Name: "bench", Kind: kind, Memory: 128, Concurrency: 1})
				require.NoError(b, err)
				b.StopTimer()
				require.NoError(b, c.Destroy(context.Background()))
				b.StartTimer()
			}
		})
	}
}

// TestConformancePlainAsRoot is what a server gets as root without the right to
// make namespaces, such as in most containers: users keep its actions apart.
func TestConformancePlainAsRoot(t *testing.T) {
	if !isRoot() {
		return
	}
	dir, err := os.MkdirTemp("", "plain") // reachable for others, unlike t.TempDir
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	defer func() { require.NoError(t, os.RemoveAll(dir)) }()
	t.Setenv("PATH", "/usr/local/bin:/usr/bin:/bin") // no interpreters below /root
	c := config(dir)
	c.FirstUID, c.UIDs = 64500, 400
	c.NoCgroup = true
	conform(t, c, LevelPlain, true)
}

// unprivileged is the user as whom root runs the tests of the other levels.
const unprivileged = 64999

// TestConformanceUnprivileged runs the suite at the other levels. As root, it
// runs a copy of itself as another user.
func TestConformanceUnprivileged(t *testing.T) {
	if !isRoot() {
		for _, level := range levels() {
			t.Run(string(level), func(t *testing.T) {
				c := config(t.TempDir())
				c.NoCgroup = true // where they are writable, TestConformanceAsRoot has them
				conform(t, c, level, level == LevelUser)
			})
		}
		return
	}
	dir, err := os.MkdirTemp("", "unprivileged") // reachable, unlike t.TempDir
	require.NoError(t, err)
	defer func() { require.NoError(t, os.RemoveAll(dir)) }()
	self, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	program := filepath.Join(dir, "process.test")
	require.NoError(t, os.WriteFile(program, self, 0o700))
	for _, path := range []string{dir, program} {
		require.NoError(t, os.Chown(path, unprivileged, unprivileged))
	}
	again := exec.Command(program, "-test.run=^TestConformanceUnprivileged$", "-test.v")
	again.Dir = dir
	again.Env = []string{"TMPDIR=" + dir, "PATH=/usr/local/bin:/usr/bin:/bin"}
	again.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: unprivileged, Gid: unprivileged}}
	out, err := again.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
