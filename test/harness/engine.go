package harness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Containers is what the servers' actions run in: processes, or what the environment
// variable GOWHISK_TEST_CONTAINERS says.
func Containers() string {
	if c := os.Getenv("GOWHISK_TEST_CONTAINERS"); c != "" {
		return c
	}
	return "process"
}

// actionsNetwork is where Docker containers are.
const actionsNetwork = "gowhisk-actions"

// listenForActions listens where actions can call. A server has been started, which
// made the network of its containers.
func listenForActions(t testing.TB) net.Listener {
	t.Helper()
	host := "127.0.0.1"
	if Containers() == "docker" {
		host = docker(t, "network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", actionsNetwork)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatalf("listen for calls of actions: %v", err)
	}
	return l
}

// docker runs the command line's client and returns what it prints.
func docker(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			err = fmt.Errorf("%w: %s", err, failed.Stderr)
		}
		t.Fatalf("docker %s: %v; scripts/provision docker docker-images makes what the tests need", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// ActionContainers are the containers of actions that the engine has.
func ActionContainers(t testing.TB) []string {
	t.Helper()
	return strings.Fields(docker(t, "ps", "--all", "--quiet", "--filter", "label=org.gowhisk.owner"))
}

// Engine is a Docker engine of a test's own, which it may kill. It shares no files with
// the machine's, and changes no rules of iptables.
type Engine struct {
	*Child
	dir string
}

// StartEngine starts an engine with copies of the images of the machine's, and makes it
// the one that this test's servers and functions use. It ends with the test.
func StartEngine(t *testing.T, images ...string) *Engine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("a test that starts an engine of its own needs root")
	}
	archive := filepath.Join(TempDir(t), "images.tar")
	docker(t, append([]string{"save", "--output", archive}, images...)...)
	dir, err := os.MkdirTemp("", "gwe") // short: paths of sockets are
	if err != nil {
		t.Fatal(err)
	}
	// A default network of its own: without one the engine would remove the machine's.
	bridge := filepath.Base(dir)
	ip(t, "link", "add", bridge, "type", "bridge")
	e := &Engine{dir: dir}
	t.Cleanup(func() { // after the engine's own end
		e.cleanUp(t)
		ip(t, "link", "del", bridge)
	})
	e.Child = NewChild("Docker engine", func() *exec.Cmd {
		return exec.Command("dockerd", "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid",
			"--host", e.host(), "--bridge", bridge, "--iptables=false", "--ip-forward=false")
	})
	e.Start(t)
	t.Setenv("DOCKER_HOST", e.host())
	e.WaitReady(t)
	docker(t, "load", "--quiet", "--input", archive)
	t.Cleanup(func() { docker(t, "network", "rm", actionsNetwork) }) // or its interface would stay
	return e
}

// ip changes this machine's interfaces.
func ip(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Errorf("ip %s (needs iproute2): %v: %s", strings.Join(args, " "), err, out)
	}
}

func (e *Engine) host() string { return "unix://" + e.dir + "/sock" }

// WaitReady waits until the engine answers.
func (e *Engine) WaitReady(t testing.TB) {
	t.Helper()
	e.Until(t, "the engine answers", func() bool { return exec.Command("docker", "--host", e.host(), "version").Run() == nil })
}

// Kill ends the engine as a crash does. Its containerd is killed with it, by the kernel, a
// moment later; a new engine must not meet that.
func (e *Engine) Kill(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile(e.dir + "/exec/containerd/containerd.pid")
	if err != nil {
		t.Fatal(err)
	}
	e.Child.Kill(t)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	Until(t, "the engine's containerd ends", func() bool { return syscall.Kill(pid, 0) != nil })
}

// cleanUp removes what the engine leaves when it has ended: a shim whose containerd died
// in the midst of a start serves nobody.
func (e *Engine) cleanUp(t testing.TB) {
	Until(t, "the engine's processes end", func() bool {
		left := Leftovers(t, e.dir)
		for _, p := range left {
			for _, child := range append(Descendants(p.PID), p) {
				_ = syscall.Kill(child.PID, syscall.SIGKILL) // or it is gone
			}
		}
		return len(left) == 0
	})
	for _, m := range Mounts(e.dir) { // the engine's upon itself, and networks
		_ = exec.Command("umount", "--lazy", m).Run() // or it went with another
	}
	if err := os.RemoveAll(e.dir); err != nil {
		t.Errorf("remove the engine's directory: %v", err)
	}
}
