package harness

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// KafkaOptions say what an Apache Kafka is to be. The zero value is one node.
type KafkaOptions struct {
	// Nodes is how many there are, each broker and controller; 0 is one.
	Nodes int
	// Properties are added to each node's configuration.
	Properties map[string]string
	// Env has KEY=VALUE entries for the nodes' environment.
	Env []string
}

// Kafka is a real Apache Kafka on this machine. Its data outlives kill -9.
type Kafka struct {
	Nodes []*KafkaNode
}

// KafkaNode is one node of it.
type KafkaNode struct {
	dir     string
	address string
	env     []string
	process *Child
}

// StartKafka starts an Apache Kafka that ends with the test. What it is made of comes
// from `scripts/provision kafka`.
func StartKafka(t testing.TB, o KafkaOptions) *Kafka {
	t.Helper()
	lib := filepath.Join(root(t), "build", "kafka", "lib")
	if jars, _ := filepath.Glob(filepath.Join(lib, "kafka_*.jar")); len(jars) == 0 {
		t.Fatalf("Apache Kafka is not in %s: run scripts/provision kafka", lib)
	}
	count := max(1, o.Nodes)
	ports := FreePorts(t, 2*count)
	var voters []string
	for n := range count {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", n+1, ports[2*n+1]))
	}
	k := &Kafka{}
	for n := range count {
		node := &KafkaNode{dir: TempDir(t), address: fmt.Sprintf("127.0.0.1:%d", ports[2*n]), env: o.Env}
		properties := map[string]string{
			"process.roles": "broker,controller", "node.id": strconv.Itoa(n + 1),
			"controller.quorum.voters":   strings.Join(voters, ","),
			"listeners":                  fmt.Sprintf("PLAINTEXT://%s,CONTROLLER://127.0.0.1:%d", node.address, ports[2*n+1]),
			"advertised.listeners":       "PLAINTEXT://" + node.address,
			"controller.listener.names":  "CONTROLLER",
			"inter.broker.listener.name": "PLAINTEXT",
			"log.dirs":                   filepath.Join(node.dir, "data"),
			"auto.create.topics.enable":  "false",

			"offsets.topic.num.partitions": "4", "offsets.topic.replication.factor": strconv.Itoa(count),
			"transaction.state.log.num.partitions": "1", "transaction.state.log.replication.factor": strconv.Itoa(count), "transaction.state.log.min.isr": "1",
			"group.initial.rebalance.delay.ms": "0",
			"num.network.threads":              "2", "num.io.threads": "4", "log.cleaner.threads": "1", "background.threads": "2",
			"log.cleaner.dedupe.buffer.size": "4194304", "log.index.size.max.bytes": "1048576",
			"unclean.leader.election.enable": "false",
		}
		for key, value := range o.Properties {
			properties[key] = value
		}
		node.configure(t, lib, properties)
		k.Nodes = append(k.Nodes, node)
	}
	for _, node := range k.Nodes {
		node.Start(t)
	}
	for _, node := range k.Nodes {
		node.WaitReady(t)
	}
	return k
}

// configure writes a node's configuration and formats its storage.
func (n *KafkaNode) configure(t testing.TB, lib string, properties map[string]string) {
	t.Helper()
	var b strings.Builder
	for key, value := range properties {
		fmt.Fprintf(&b, "%s=%s\n", key, value)
	}
	file := filepath.Join(n.dir, "server.properties")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	// One id for all nodes: they are one cluster.
	const clusterID = "Z293aGlzay10ZXN0cy0tLQ"
	out, err := java(t.Context(), lib, "128m", "kafka.tools.StorageTool", "format", "-t", clusterID, "-c", file).CombinedOutput()
	if err != nil {
		t.Fatalf("format the storage of Kafka: %v\n%s", err, out)
	}

	n.process = NewChild("Kafka "+n.address, func() *exec.Cmd {
		cmd := java(context.Background(), lib, "384m", "kafka.Kafka", file)
		cmd.Env = append(os.Environ(), n.env...)
		return cmd
	})
	// One of several would wait for the others at its end, which have ended.
	n.process.killAtEnd = true
}

func java(ctx context.Context, lib, heap, class string, args ...string) *exec.Cmd {
	// Short lives: quick to start rather than quick in the long run.
	flags := []string{"-Xmx" + heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", filepath.Join(lib, "*"), class}
	return exec.CommandContext(ctx, "java", append(flags, args...)...)
}

// Brokers are the addresses of all nodes.
func (k *Kafka) Brokers() []string {
	var all []string
	for _, n := range k.Nodes {
		all = append(all, n.address)
	}
	return all
}

// Address is where the node answers.
func (n *KafkaNode) Address() string { return n.address }

// Start starts the node, which does not run, and does not wait for it.
func (n *KafkaNode) Start(t testing.TB) { t.Helper(); n.process.Start(t) }

// WaitReady waits until the node takes connections.
func (n *KafkaNode) WaitReady(t testing.TB) {
	t.Helper()
	n.process.WaitListening(t, n.address)
}

// Kill ends the node with SIGKILL.
func (n *KafkaNode) Kill(t testing.TB) { t.Helper(); n.process.Kill(t) }

// Stop ends it in order.
func (n *KafkaNode) Stop(t testing.TB) { t.Helper(); n.process.Stop(t, syscall.SIGTERM) }

// Restart kills the node and starts it again.
func (n *KafkaNode) Restart(t testing.TB) {
	t.Helper()
	n.Kill(t)
	n.Start(t)
	n.WaitReady(t)
}

// FreePorts returns loopback ports that nothing used a moment ago.
func FreePorts(t testing.TB, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // after all are taken, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// root is the project's directory.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for ; err == nil && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("the project's directory was not found above the working directory")
	return ""
}

// settle bounds a wait for something that a healthy machine does in seconds.
const settle = 90 * time.Second

// Faketime is the library with which a program sees another time.
func Faketime(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if len(found) == 0 {
		t.Fatal("libfaketime is not installed: run scripts/provision faketime")
	}
	return found[0]
}
