package cluster

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/test/harness"
)

// requireDocumented checks that docs/metrics.md has every metric of ours that the
// members serve.
func requireDocumented(t *testing.T, c *harness.Cluster) {
	t.Helper()
	page, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	for _, m := range []*harness.Member{c.Controllers[0], c.Invokers[0]} {
		answer, err := http.Get("http://" + m.Private + "/metrics")
		require.NoError(t, err)
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		answer.Body.Close()
		found := 0
		for line := range strings.Lines(string(text)) {
			name, ok := strings.CutPrefix(line, "# TYPE gowhisk_")
			if !ok {
				continue
			}
			name, _, _ = strings.Cut(name, " ")
			found++
			if !strings.Contains(string(page), "`gowhisk_"+name+"`") {
				t.Errorf("docs/metrics.md lacks gowhisk_%s", name)
			}
		}
		require.Greater(t, found, 5)
	}
}
