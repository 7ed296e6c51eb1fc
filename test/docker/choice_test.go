package docker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/test/harness"
)

// TestDockerIsChosen where an engine answers that has the images, and actions in its
// containers reach the API.
func TestDockerIsChosen(t *testing.T) {
	s := harness.Start(t, harness.Options{Flags: []string{"--containers", "auto"}})
	require.Contains(t, s.Process().Log(), "actions run in containers of a Docker engine")
	c := s.Guest()
	c.PutAction(t, "ask", harness.NodeCalling(`async function main() { return {status: await call(process.env.__OW_API_HOST + "/api/v1")} }`))
	require.EqualValues(t, 200, c.Invoke(t, "ask", `{}`).Is(t, 200).Field("response.result.status").Int())
	require.NotEmpty(t, harness.ActionContainers(t))
}
