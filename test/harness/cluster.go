package harness

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// ClusterOptions say what a cluster is to be. Kafka and CouchDB are needed; the zero
// value of the rest is two controllers and three invokers behind nginx.
type ClusterOptions struct {
	Kafka   *Kafka
	CouchDB *CouchDB
	// CouchDBFlags replace CouchDB where another database is to be used.
	CouchDBFlags          []string
	Controllers, Invokers int
	// DefaultLimits leaves the product's throttles as they are.
	DefaultLimits bool
	// ControllerFlags and InvokerFlags are added to the command lines.
	ControllerFlags, InvokerFlags []string
	// Replication of the topics; 0 is one.
	Replication int
}

// Cluster is a running platform of many processes.
type Cluster struct {
	Controllers []*Member
	Invokers    []*Member
	Nginx       *Nginx
	options     ClusterOptions
	prefix      string
}

// Member is a controller or an invoker.
type Member struct {
	*Child
	// Address is a controller's API, Private what operators ask.
	Address, Private string
	ready            int // how often it has been ready
}

// StartCluster starts a cluster with databases and topics of its own, which ends with
// the test.
func StartCluster(t testing.TB, o ClusterOptions) *Cluster {
	t.Helper()
	if o.Controllers == 0 {
		o.Controllers = 2
	}
	if o.Invokers == 0 {
		o.Invokers = 3
	}
	c := &Cluster{options: o, prefix: "c" + strings.ToLower(rand.Text()[:8]) + "_"}
	c.Admin(t, "db", "init").OK(t)
	c.createSubject(t, "guest", GuestKey)
	c.createSubject(t, "whisk.system", SystemKey)
	ports := FreePorts(t, 2*o.Controllers+o.Invokers)
	var upstreams []string
	for n := range o.Controllers {
		m := c.controller(t, n, ports[2*n], ports[2*n+1])
		c.Controllers = append(c.Controllers, m)
		upstreams = append(upstreams, m.Address)
	}
	c.Nginx = StartNginx(t, upstreams)
	for n := range o.Invokers {
		c.Invokers = append(c.Invokers, c.NewInvoker(t, n, ports[2*o.Controllers+n]))
	}
	members := append(append([]*Member{}, c.Controllers...), c.Invokers...)
	for _, m := range members {
		m.Start(t)
	}
	for _, m := range members {
		m.WaitReady(t)
	}
	c.WaitHealthy(t, o.Invokers)
	return c
}

func (c *Cluster) createSubject(t testing.TB, name, key string) {
	t.Helper()
	c.Admin(t, "user", "create", name, "-u", key).OK(t)
}

// Flags are those that all members have.
func (c *Cluster) Flags() []string {
	flags := []string{
		"--kafka-brokers", strings.Join(c.options.Kafka.Brokers(), ","), "--kafka-topic-prefix", c.prefix,
		"--log-format", "console",
	}
	if r := c.options.Replication; r > 1 {
		flags = append(flags, "--kafka-replication-factor", fmt.Sprint(r), "--kafka-min-insync", "2")
	}
	return append(flags, c.database()...)
}

func (c *Cluster) database() []string {
	flags := c.options.CouchDBFlags
	if flags == nil {
		flags = []string{"--couchdb-url", c.options.CouchDB.URL()}
	}
	return append(append([]string{}, flags...), "--couchdb-prefix", c.prefix)
}

func (c *Cluster) controller(t testing.TB, n, port, private int) *Member {
	m := &Member{Address: fmt.Sprintf("127.0.0.1:%d", port), Private: fmt.Sprintf("127.0.0.1:%d", private)}
	args := append([]string{"--addr", m.Address, "--metrics-addr", m.Private, "--id", fmt.Sprint(n)}, c.Flags()...)
	if !c.options.DefaultLimits {
		args = append(args, "--invocations-per-minute", "1000000", "--concurrent-invocations", "100000", "--fires-per-minute", "1000000")
	}
	args = append(args, c.options.ControllerFlags...)
	binary := Program(t, "controller")
	m.Child = NewChild(fmt.Sprintf("controller %d", n), func() *exec.Cmd { return exec.Command(binary, args...) })
	return m
}

// NewInvoker returns another invoker, which is not started. Its containers call the API
// through nginx.
func (c *Cluster) NewInvoker(t testing.TB, n, port int) *Member {
	t.Helper()
	dir := filepath.Join(TempDir(t), "data")
	m := &Member{Private: fmt.Sprintf("127.0.0.1:%d", port)}
	args := append([]string{
		"--addr", m.Private, "--id", fmt.Sprint(n), "--data-dir", dir, "--api-host", c.URL(), "--containers", "process",
	}, c.Flags()...)
	args = append(args, c.options.InvokerFlags...)
	binary := Program(t, "invoker")
	m.Child = NewChild(fmt.Sprintf("invoker %d", n), func() *exec.Cmd { return exec.Command(binary, args...) })
	return m
}

const readyText = "is ready on "

// WaitReady waits until the member has said once more that it is ready.
func (m *Member) WaitReady(t testing.TB) {
	t.Helper()
	m.Until(t, "to be ready", func() bool { return strings.Count(m.Log(), readyText) > m.ready })
	m.ready = strings.Count(m.Log(), readyText)
}

// Restart starts a member again that has ended.
func (m *Member) Restart(t testing.TB) {
	t.Helper()
	m.Start(t)
	m.WaitReady(t)
}

// StopInOrder ends a member as an operator does and fails the test unless its exit
// status is 0.
func (m *Member) StopInOrder(t testing.TB) {
	t.Helper()
	m.Stop(t, syscall.SIGTERM)
	if code := m.ExitCode(); code != 0 {
		t.Errorf("status %d after SIGTERM, want 0\n%s", code, tail(m.Log(), 4<<10))
	}
}

// URL is the cluster's front door.
func (c *Cluster) URL() string { return c.Nginx.URL() }

// ControllerCount is how many controllers share the limits of namespaces.
func (c *Cluster) ControllerCount() int { return len(c.Controllers) }

// Guest returns a client for the namespace guest.
func (c *Cluster) Guest() *Client { return NewClient(c.URL(), GuestKey) }

// WaitHealthy waits until every controller that runs has so many healthy invokers.
func (c *Cluster) WaitHealthy(t testing.TB, invokers int) {
	t.Helper()
	for _, m := range c.Controllers {
		if !m.Runs() {
			continue
		}
		m.Until(t, fmt.Sprintf("to have %d healthy invokers", invokers), func() bool {
			answer, err := http.Get("http://" + m.Private + "/invokers/healthy/count")
			if err != nil {
				return false
			}
			defer answer.Body.Close()
			var n int
			_, err = fmt.Fscan(answer.Body, &n)
			return err == nil && n >= invokers
		})
	}
}

// Admin runs `gowhisk admin …` on the cluster.
func (c *Cluster) Admin(t testing.TB, args ...string) AdminResult {
	t.Helper()
	args = append(append([]string{"admin"}, args...), c.database()...)
	if len(c.Controllers) > 0 { // before, there is nobody to be told
		args = append(args, "--kafka-brokers", strings.Join(c.options.Kafka.Brokers(), ","), "--kafka-topic-prefix", c.prefix)
	}
	cmd := exec.CommandContext(t.Context(), Binary(t), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("gowhisk %s: %v", strings.Join(args, " "), err)
	}
	return AdminResult{Stdout: strings.TrimSpace(stdout.String()), Stderr: strings.TrimSpace(stderr.String()), Code: cmd.ProcessState.ExitCode()}
}

var builds sync.Map

// Program is the path of one of the project's programs, which is built if the test is
// the first to ask for it.
func Program(t testing.TB, name string) string {
	t.Helper()
	if dir := os.Getenv("GOWHISK_BIN_DIR"); dir != "" {
		return filepath.Join(dir, name)
	}
	build, _ := builds.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		path := filepath.Join(root(t), "build", "test", name)
		cmd := exec.Command("go", "build", "-o", path, "./"+name)
		cmd.Dir, cmd.Env = root(t), append(os.Environ(), "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("go build ./%s: %w\n%s", name, err, out)
		}
		return path, nil
	}))
	path, err := build.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
