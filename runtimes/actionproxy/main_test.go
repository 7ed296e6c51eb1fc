package actionproxy_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/runtimes"
	"github.com/gowhisk/gowhisk/runtimes/actionproxy"
	"github.com/gowhisk/gowhisk/runtimes/runtimetest"
)

// asProxy makes this test binary be the proxy, so that tests start real ones.
const asProxy = "ACTIONPROXY_TEST_RUN_AS_PROXY"

func TestMain(m *testing.M) {
	if os.Getenv(asProxy) != "" {
		_ = os.Unsetenv(asProxy)
		os.Exit(actionproxy.Main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

func TestConformance(t *testing.T) {
	kinds := []string{"shell:1", "native:1"}
	for _, i := range interpreters(t) {
		kinds = append(kinds, i.Kind)
	}
	runtimetest.Run(t, kinds, start)
}

// detected asks the machine once: the answer takes a moment and does not change.
var detected = sync.OnceValues(func() ([]runtimes.Interpreter, error) {
	return runtimes.Detect(context.Background())
})

// provisioned are the languages that scripts/provision runtimes sees to.
var provisioned = []string{"nodejs", "python", "php", "ruby", "java", "go"}

// interpreters finds one interpreter per language, and fails when one is missing.
func interpreters(t testing.TB) map[string]runtimes.Interpreter {
	t.Helper()
	found, err := detected()
	require.NoError(t, err)
	byFamily := map[string]runtimes.Interpreter{}
	for _, i := range found {
		if _, ok := byFamily[i.Family]; !ok && i.Family != "shell" {
			byFamily[i.Family] = i
		}
	}
	for _, family := range provisioned {
		require.Contains(t, byFamily, family, "run scripts/provision runtimes")
	}
	return byFamily
}

// prepared is a directory of launchers with all that the interpreter's actions
// need. It outlives the test: preparing takes up to a minute.
func prepared(t testing.TB, i runtimes.Interpreter) string {
	t.Helper()
	dir, err := filepath.Abs("../../build/launchers")
	require.NoError(t, err)
	require.NoError(t, runtimes.Install(dir))
	require.NoError(t, runtimes.Prepare(t.Context(), i, dir))
	return dir
}

// patience bounds waits that end by themselves unless something is wrong, and
// tick is how often a condition that nothing signals is looked at.
const (
	patience = 30 * time.Second
	tick     = 5 * time.Millisecond
)

// start starts a proxy of kind on a Unix socket and waits until it says that it
// is ready.
func start(t testing.TB, kind string, o runtimetest.Options) *runtimetest.Client {
	t.Helper()
	args := []string{}
	if o.Concurrent {
		args = append(args, "--concurrent")
	}
	for _, i := range interpreters(t) {
		if i.Kind == kind {
			args = append(args, "--interpreter", i.Path, "--launchers", prepared(t, i))
		}
	}
	return startProxy(t, kind, o.Env, nil, args...).Client
}

// proxy is a running proxy process.
type proxy struct {
	*runtimetest.Client
	command *exec.Cmd
	dir     string
	socket  string
}

// startProxy starts a proxy; files become its descriptors from 4 on.
func startProxy(t testing.TB, kind string, env []string, files []*os.File, args ...string) *proxy {
	t.Helper()
	p := newProxyCommand(t, kind, args...)
	p.command.Env = append(p.command.Env, env...)
	p.command.ExtraFiles = files
	p.start(t)
	return p
}

// newProxyCommand prepares a proxy that start will start.
func newProxyCommand(t testing.TB, kind string, args ...string) *proxy {
	t.Helper()
	dir, err := os.MkdirTemp("", "ap") // short: a socket's path is limited to about 100 bytes
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	self, err := os.Executable()
	require.NoError(t, err)
	p := &proxy{dir: filepath.Join(dir, "scratch"), socket: filepath.Join(dir, "s")}
	p.command = exec.Command(self, append([]string{"--kind", kind, "--listen", "unix:" + p.socket, "--dir", p.dir, "--ready-fd", "3"}, args...)...)
	p.command.Env = append(os.Environ(), asProxy+"=1")
	p.Client = &runtimetest.Client{
		HTTP:   &http.Client{Transport: p.transport()},
		URL:    "http://runtime",
		Stdout: runtimetest.NewStream(),
		Stderr: runtimetest.NewStream(),
	}
	p.command.Stdout, p.command.Stderr = p.Stdout, p.Stderr
	// Own group, so that whatever user code leaves behind goes with it.
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return p
}

// start starts the proxy and waits until it says that it is ready.
func (p *proxy) start(t testing.TB) {
	t.Helper()
	readiness, theirs, err := os.Pipe()
	require.NoError(t, err)
	p.command.ExtraFiles = append([]*os.File{theirs}, p.command.ExtraFiles...)
	require.NoError(t, p.command.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
		_ = p.command.Wait()
		p.HTTP.CloseIdleConnections()
	})
	require.NoError(t, theirs.Close())
	line, err := bufio.NewReader(readiness).ReadString('\n')
	require.NoError(t, err, "the proxy did not become ready")
	require.Equal(t, "ready\n", line)
	require.NoError(t, readiness.Close())
}

func (p *proxy) transport() *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", p.socket)
	}}
}
