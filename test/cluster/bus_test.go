package cluster

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/test/harness"
)

// TestBusOnApacheKafka runs the tests of the bus on a real Kafka; beside it they run on
// one that only speaks its protocol.
func TestBusOnApacheKafka(t *testing.T) {
	kafka := harness.StartKafka(t, harness.KafkaOptions{})
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-run", "/Real", "../../pkg/bus/kafka")
	cmd.Env = append(os.Environ(), "GOWHISK_TEST_KAFKA="+strings.Join(kafka.Brokers(), ","))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "ok")
}
