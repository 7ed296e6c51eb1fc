package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/gowhisk/gowhisk/test/ledger"
)

const compositionKills = 12

// TestKilledServerFinishesWhatItBegan kills the server in the middle of sequences,
// compositions and trigger fires. Afterwards each that was accepted has a record,
// whose parts have theirs, and no action of any of them ran twice
// (durability.md section 3, "Controller crash").
func TestKilledServerFinishesWhatItBegan(t *testing.T) {
	s := harness.Start(t, harness.Options{Flags: []string{"--memory", memory}})
	recorder := harness.NewRecorder(t)
	n := harness.NewNamespace(t, s, "chain")
	putCompositions(t, n, recorder.URL())

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	told := ledger.New()
	for range compositionKills {
		ctx, stop := context.WithCancel(t.Context())
		load := startCompositions(ctx, s.Client(n.Key), told)
		load.WaitForAnswers(t, random.IntN(40))
		s.Kill(t)
		stop()
		load.Wait()
		s.Restart(t)
	}

	client := s.Client(n.Key)
	outcomes := map[string]int{}
	steps := 0
	for _, id := range told.IDs() {
		record := client.Activation(t, id)
		outcomes[record.Get("name").String()+": "+record.Get("response.status").String()]++
		steps += partsOf(t, client, record)
	}
	refused, unknown, surprise := told.Failures()
	require.Empty(t, surprise, "answers that no client should see")
	for id, runs := range recorder.Counts() {
		require.Equalf(t, 1, runs, "runs of activation %s", id)
		client.Activation(t, id)
	}
	t.Logf("%d kills: %d accepted, %d requests cut off, %v refused; %d parts; %v", compositionKills, told.Accepted(), unknown, refused, steps, outcomes)
}

// putCompositions makes a sequence with another in it, a composition, and a trigger
// with a rule for each of them. Every action tells the recorder that it runs.
func putCompositions(t *testing.T, n *harness.Namespace, recorder string) {
	t.Helper()
	hit := `await call("` + recorder + `/hit?key=" + process.env.__OW_ACTIVATION_ID)`
	step := harness.NodeCalling(`async function main(args) { ` + hit + `; return args }`).With(harness.Limits{Memory: 128})
	for _, name := range []string{"a", "b", "c"} {
		n.PutAction(t, name, step)
	}
	n.PutAction(t, "conductor", harness.NodeCalling(`async function main({turn = 0}) {
  `+hit+`
  return turn < 2 ? {action: "b", params: {}, state: {turn: turn + 1}} : {params: {turn}}
}`).With(harness.Limits{Memory: 128}).Annotated("conductor", true))
	put := func(path string, body any) {
		t.Helper()
		n.Put(t, path+"?overwrite=true", body).Is(t, http.StatusOK)
	}
	sequence := func(components ...string) map[string]any {
		return map[string]any{"exec": map[string]any{"kind": "sequence", "components": components}}
	}
	put("_/actions/inner", sequence("/_/b", "/_/c"))
	put("_/actions/sequence", sequence("/_/a", "/_/inner", "/_/c"))
	put("_/triggers/trigger", map[string]any{})
	for _, action := range []string{"a", "sequence", "conductor"} {
		put("_/rules/to-"+action, map[string]string{"trigger": "/_/trigger", "action": "/_/" + action})
	}
}

// startCompositions runs clients that wait for every other answer, so that a handful
// of each kind is under way at any time.
func startCompositions(ctx context.Context, client *harness.Client, told *ledger.Ledger) *ledger.Load {
	l := ledger.NewLoad()
	for _, paths := range [][2]string{
		{"_/actions/sequence", "_/actions/conductor?blocking=true"},
		{"_/actions/conductor", "_/actions/sequence?blocking=true"},
		{"_/triggers/trigger", "_/actions/inner?blocking=true"},
	} {
		l.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				r, err := client.Try(context.WithoutCancel(ctx), http.MethodPost, paths[i%2], fmt.Sprintf(`{"i":%d}`, i))
				told.Note(r, err)
				if err != nil {
					return // the server is gone
				}
				l.Answered()
			}
		})
	}
	return l
}

// partsOf checks that every activation that a record names has a record of its own,
// all the way down, and returns how many there are.
func partsOf(t *testing.T, client *harness.Client, record gjson.Result) int {
	t.Helper()
	parts := 0
	for _, line := range record.Get("logs").Array() {
		id := line.String()
		switch {
		case gjson.Valid(id) && gjson.Parse(id).IsObject(): // a trigger's line about a rule
			rule := gjson.Parse(id)
			require.Truef(t, rule.Get("success").Bool(), "a rule of an accepted fire: %s", id)
			id = rule.Get("activationId").String()
		case harness.Annotation(record.Get("annotations"), "kind").String() != "sequence":
			continue // what an action printed
		}
		parts += 1 + partsOf(t, client, client.Activation(t, id))
	}
	return parts
}
