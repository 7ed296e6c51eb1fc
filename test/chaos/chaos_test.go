// Package chaos kills servers under load and counts: every accepted activation
// has exactly one record, and none ran twice (durability.md sections 2 and 6).
package chaos

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/gowhisk/gowhisk/test/ledger"
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
	for name, action := range ledger.Actions(recorder.URL()) {
		n.PutAction(t, name, action)
	}

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	told := ledger.New()
	for round := range kills {
		// Each client lives as long as the server that it was made for.
		ctx, stop := context.WithCancel(t.Context())
		load := ledger.Start(ctx, ledger.Options{Client: s.Client(n.Key), Ledger: told, Seed: random.Uint64(), Workers: workers})
		// The moment is counted in answers, not in time: early ones hit cold
		// starts and, after the first round, recovery; late ones the warm path.
		load.WaitForAnswers(t, random.IntN(120))
		s.Kill(t)
		stop()
		load.Wait()
		s.Restart(t)
		t.Logf("kill %d of %d: %d accepted so far", round+1, kills, told.Accepted())
	}

	client := s.Client(n.Key)
	ledger.Compare(t, client, told, recorder, kills)
	s.Stop(t)
	require.Empty(t, harness.Leftovers(t, s.Dir()), "processes that use the data directory")
}
