// Package chaos kills servers under load and counts: every accepted activation
// has exactly one record, and none ran twice (durability.md sections 2 and 6).
package chaos

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { harness.Main(m) }

const (
	kills = 25
	// workers is more than the containers that there is memory for, so that some
	// activations run while others wait in the queue.
	workers = 12
	memory  = "1024"
)

// TestKilledServerLosesNothing kills the server at random moments under load
// and starts it again on the same directory. Afterwards it compares three
// views: what clients were told, what the list of activations has, and what ran.
func TestKilledServerLosesNothing(t *testing.T) {
	s := harness.Start(t, harness.Options{Flags: []string{"--memory", memory}})
	recorder := harness.NewRecorder(t)
	n := harness.NewNamespace(t, s, "chaos")
	for name, action := range actions(recorder.URL()) {
		n.PutAction(t, name, action)
	}

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	told := newLedger()
	for round := range kills {
		// Each client lives as long as the server that it was made for.
		ctx, stop := context.WithCancel(t.Context())
		load := startLoad(ctx, s.Client(n.Key), told, random.Uint64())
		// The moment is counted in answers, not in time: early ones hit cold
		// starts and, after the first round, recovery; late ones the warm path.
		load.waitForAnswers(t, random.IntN(120))
		s.Kill(t)
		stop()
		load.wait()
		s.Restart(t)
		t.Logf("kill %d of %d: %d accepted so far", round+1, kills, told.accepted())
	}

	client := s.Client(n.Key)
	compare(t, client, told, recorder)
	s.Stop(t)
	require.Empty(t, harness.Leftovers(t, s.Dir()), "processes that use the data directory")
}

// actions are short and longer ones in both languages. Each tells the recorder
// which activation runs, once per run.
func actions(recorder string) map[string]harness.Action {
	node := harness.NodeCalling(`async function main({pause}) {
  await call("` + recorder + `/hit?key=" + process.env.__OW_ACTIVATION_ID)
  if (pause) await new Promise(done => setTimeout(done, pause))
  return {id: process.env.__OW_ACTIVATION_ID}
}`)
	python := harness.PythonCalling(`import os, time
def main(args):
    call("` + recorder + `/hit?key=" + os.environ["__OW_ACTIVATION_ID"])
    time.sleep(args.get("pause", 0) / 1000)
    return {"id": os.environ["__OW_ACTIVATION_ID"]}
`)
	return map[string]harness.Action{
		"node-a": node, "node-b": node.With(harness.Limits{Memory: 128}),
		"python-a": python, "python-b": python.With(harness.Limits{Memory: 128}),
	}
}

// names of the actions, in the order in which the load takes them.
var names = []string{"node-a", "python-a", "node-b", "python-b"}
