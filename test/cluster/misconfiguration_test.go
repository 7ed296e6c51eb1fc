package cluster

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/test/harness"
)

// refuses starts a program that has to stop by itself with status 1, and returns the
// line in which it says why.
func refuses(t *testing.T, program string, args ...string) string {
	t.Helper()
	var out strings.Builder
	cmd := exec.CommandContext(t.Context(), harness.Program(t, program), args...)
	cmd.Stderr = &out
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		require.Error(t, err)
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		<-ended
		t.Fatalf("%s %v did not stop:\n%s", program, args, out.String())
	}
	require.Equal(t, 1, cmd.ProcessState.ExitCode(), out.String())
	for line := range strings.Lines(out.String()) {
		if text, ok := strings.CutPrefix(line, program+": "); ok {
			return strings.TrimSpace(text)
		}
	}
	t.Fatalf("%s does not say why it stops:\n%s", program, out.String())
	return ""
}

// TestMisconfiguration: what cannot work stops at its start and says what to change.
func TestMisconfiguration(t *testing.T) {
	kafka, couchdb := harness.StartKafka(t, harness.KafkaOptions{}), harness.StartCouchDB(t)
	c := harness.StartCluster(t, harness.ClusterOptions{Kafka: kafka, CouchDB: couchdb, Controllers: 1, Invokers: 1})
	ports := harness.FreePorts(t, 3)
	address := func(n int) string { return fmt.Sprintf("127.0.0.1:%d", ports[n]) }
	controller := func(flags ...string) []string {
		return append([]string{"--addr", address(0), "--metrics-addr", address(1), "--id", "7"}, flags...)
	}
	invoker := func(flags ...string) []string {
		return append([]string{"--addr", address(0), "--id", "7", "--data-dir", filepath.Join(harness.TempDir(t), "data")}, flags...)
	}
	for program, args := range map[string]func(...string) []string{"controller": controller, "invoker": invoker} {
		t.Run(program, func(t *testing.T) {
			flags := c.Flags() // brokers first
			// A list is made longer by each flag that names it: the broker that works goes.
			with := func(more ...string) []string {
				kept := flags
				if more[0] == "--kafka-brokers" {
					kept = flags[2:]
				}
				return args(append(append([]string{}, kept...), more...)...)
			}

			require.Contains(t, refuses(t, program, with("--kafka-brokers", address(2))...), "does not answer: start it, or correct --kafka-brokers")
			silent := stranger(t)
			require.Contains(t, refuses(t, program, with("--kafka-brokers", silent)...), "--kafka-brokers")
			require.Contains(t, refuses(t, program, with("--kafka-tls")...), "leave --kafka-tls out")
			require.Contains(t, refuses(t, program, with("--kafka-replication-factor", "3", "--kafka-topic-prefix", "other_")...), "lower --kafka-replication-factor")
			require.Contains(t, refuses(t, program, with("--couchdb-url", "http://"+address(2))...), "does not answer: start it, or correct --couchdb-url")
			require.Contains(t, refuses(t, program, with("--couchdb-prefix", "nothing_")...), `run "gowhisk admin db init"`)
			password := filepath.Join(t.TempDir(), "password")
			require.NoError(t, os.WriteFile(password, []byte("wrong"), 0o600))
			require.Contains(t, refuses(t, program, with("--couchdb-url", locked(t), "--couchdb-user", "gowhisk", "--couchdb-password-file", password)...),
				"refuses the user or the password: correct --couchdb-user")
			require.Contains(t, refuses(t, program, with("--couchdb-user", "gowhisk", "--couchdb-password-file", password+"-none")...), "--couchdb-password-file")
			require.Contains(t, refuses(t, program, with("--id", "0", "--unique-name", "somebody-else")...), "--id")
			require.Contains(t, refuses(t, program, with("--addr", c.Controllers[0].Address)...), "name another with --addr")
		})
	}
}

// stranger listens and hangs up on everybody.
func stranger(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return l.Addr().String()
}

// locked is a database server that lets nobody in.
func locked(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"unauthorized","reason":"Name or password is incorrect."}`))
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return "http://" + l.Addr().String()
}

// TestClocksThatDisagree: the broker's clock goes wrong, since a test cannot turn the
// machine's.
func TestClocksThatDisagree(t *testing.T) {
	library := harness.Faketime(t)
	kafka := harness.StartKafka(t, harness.KafkaOptions{Env: []string{"LD_PRELOAD=" + library, "FAKETIME=-10m", "FAKETIME_DONT_FAKE_MONOTONIC=1"}})
	couchdb := harness.StartCouchDB(t)
	harness.InitDatabases(t, couchdb, "skew_")
	ports := harness.FreePorts(t, 2)
	said := refuses(t, "controller", "--addr", fmt.Sprintf("127.0.0.1:%d", ports[0]), "--metrics-addr", fmt.Sprintf("127.0.0.1:%d", ports[1]),
		"--kafka-brokers", strings.Join(kafka.Brokers(), ","), "--couchdb-url", couchdb.URL(), "--couchdb-prefix", "skew_")
	require.Contains(t, said, "ahead of that of Kafka's broker: synchronise both (NTP)")
}
