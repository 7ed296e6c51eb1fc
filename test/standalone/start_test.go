package standalone

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
)

// refusesToStart checks that the server exits with a message, not a stack trace,
// that contains the parts.
func refusesToStart(t *testing.T, o harness.Options, parts ...string) {
	t.Helper()
	p := harness.Launch(t, o)
	code := p.WaitExit(t)
	require.NotZero(t, code, "exit status")
	for _, part := range parts {
		require.Containsf(t, p.Log(), part, "the message of a server that cannot start")
	}
	require.NotContains(t, p.Log(), "goroutine ", "a stack trace is no message")
}

func TestStart(t *testing.T) {
	t.Run("port_in_use", func(t *testing.T) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer taken.Close()
		addr := taken.Addr().String()
		refusesToStart(t, harness.Options{Addr: addr, Dir: filepath.Join(harness.TempDir(t), "data")}, addr, "in use")
	})

	t.Run("data_directory_cannot_be_made", func(t *testing.T) {
		file := filepath.Join(harness.TempDir(t), "file")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		dir := filepath.Join(file, "data")
		refusesToStart(t, harness.Options{Dir: dir}, file, "--data-dir")
	})

	t.Run("data_directory_belongs_to_another_server", func(t *testing.T) {
		first := harness.Start(t, harness.Options{})
		refusesToStart(t, harness.Options{Dir: first.Dir()}, first.Dir())
		first.Guest().Get(t, "/ping").Is(t, 200)
		first.Stop(t)

		second := harness.Start(t, harness.Options{Dir: first.Dir()})
		second.Guest().Get(t, "/ping").Is(t, 200)
	})

	t.Run("no_runtime_on_an_empty_path", func(t *testing.T) {
		refusesToStart(t, harness.Options{Ephemeral: true, Env: []string{"PATH="}}, "Node.js", "Python", "PATH")
	})

	t.Run("less_memory_than_an_action_may_have", func(t *testing.T) {
		refusesToStart(t, harness.Options{Ephemeral: true, Flags: []string{"--memory", "256"}}, "--memory", "--max-memory")
	})

	t.Run("unknown_flag", func(t *testing.T) {
		refusesToStart(t, harness.Options{Ephemeral: true, Flags: []string{"--no-such-flag"}}, "--no-such-flag")
	})

	t.Run("data_directory_with_a_long_path", func(t *testing.T) {
		// Sockets below it would not fit in the 108 bytes of a Unix address.
		dir := filepath.Join(harness.TempDir(t), strings.Repeat("long", 25), strings.Repeat("path", 25))
		guest := harness.Start(t, harness.Options{Dir: dir}).Guest()
		guest.PutAction(t, "a", harness.Node(`function main() { return {} }`))
		guest.Invoke(t, "a", `{}`).Is(t, 200)
	})

	t.Run("published_credentials_work", func(t *testing.T) {
		s := harness.Start(t, harness.Options{Ephemeral: true})
		require.Equal(t, `["guest"]`, string(s.Guest().Get(t, "/api/v1/namespaces").Is(t, 200).Body))
		require.Equal(t, `["whisk.system"]`, string(s.Client(harness.SystemKey).Get(t, "/api/v1/namespaces").Is(t, 200).Body))
	})
}
