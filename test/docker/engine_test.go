// Package docker tests the platform over a Docker engine, as far as the suites of
// every kind of containers do not.
package docker

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/gowhisk/gowhisk/test/ledger"
)

func TestMain(m *testing.M) { harness.Main(m) }

// engineKills is how often the engine is killed.
const engineKills = 4

// TestKilledEngineLosesNothing kills the engine at random moments under load and starts
// it again: every accepted activation has its record, none ran twice, work goes on, and
// no container is left behind.
func TestKilledEngineLosesNothing(t *testing.T) {
	t.Setenv("GOWHISK_TEST_CONTAINERS", "docker")
	engine := harness.StartEngine(t, "gowhisk/action-nodejs-v20:1", "gowhisk/action-python-v3.11:1")
	s := harness.Start(t, harness.Options{Flags: []string{"--memory", "1024"}})
	recorder := harness.NewRecorder(t)
	n := harness.NewNamespace(t, s, "engine")
	for name, action := range ledger.Actions(recorder.URL()) {
		n.PutAction(t, name, action)
	}
	client := s.Client(n.Key)

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	told := ledger.New()
	for range engineKills {
		ctx, stop := context.WithCancel(t.Context())
		load := ledger.Start(ctx, ledger.Options{Client: client, Ledger: told, Seed: random.Uint64(), Workers: 8})
		load.WaitForAnswers(t, 20+random.IntN(100))
		engine.Kill(t)
		load.WaitForAnswers(t, random.IntN(20))
		engine.Start(t)
		engine.WaitReady(t)
		stop()
		load.Wait()
		for name := range ledger.Actions("") {
			client.Invoke(t, name, `{}`).Is(t, 200)
		}
	}
	ledger.Compare(t, client, told, recorder, engineKills)
	s.Stop(t)
	require.Empty(t, harness.ActionContainers(t), "containers of a server that has ended")
}
