// Package clients drives a server with unmodified OpenWhisk clients, in the
// versions that the lock file pins. `make test-clients` installs them.
package clients

import (
	"os"
	"os/exec"
	"testing"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { harness.Main(m) }

// TestJavaScriptClient runs openwhisk.mjs, which prints a line per step and ends
// with the first that fails.
func TestJavaScriptClient(t *testing.T) {
	_, err := os.Stat("node_modules/openwhisk")
	require.NoError(t, err, "the npm packages are not installed; run scripts/provision clients")

	s := harness.Start(t, harness.Options{})
	n := harness.NewNamespace(t, s, "client")
	script := exec.CommandContext(t.Context(), "node", "openwhisk.mjs")
	// Nothing else: the client would also read proxies from the environment.
	script.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		"__OW_API_HOST=" + s.URL(), "__OW_API_KEY=" + n.Key,
		"ZIP=" + harness.Zip(t, map[string]string{"index.js": `exports.main = args => ({zip: true, ...args})`}),
	}
	output, err := script.CombinedOutput()
	t.Logf("%s", output)
	require.NoError(t, err)
}
