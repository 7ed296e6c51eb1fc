package standalone

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

func TestManyCallsQueueForFewSlots(t *testing.T) {
	const calls, slots = 1000, 4
	s := harness.Start(t, harness.Options{Flags: []string{"--memory", fmt.Sprint(slots * 256)}})
	recorder := harness.NewRecorder(t)
	guest := s.Guest()
	guest.PutAction(t, "node", harness.NodeCalling(`async function main({n}) {
  await call("`+recorder.URL()+`/enter?key=running")
  await call("`+recorder.URL()+`/leave?key=running")
  return {n}
}`))
	guest.PutAction(t, "python", harness.Python("def main(args):\n    return {'n': args['n']}\n"))

	group, ctx := errgroup.WithContext(context.Background())
	for i := range calls {
		group.Go(func() error {
			name := []string{"node", "node", "node", "python"}[i%4]
			r, err := guest.Try(ctx, http.MethodPost, "_/actions/"+name+"?blocking=true", fmt.Sprintf(`{"n":%d}`, i))
			if err != nil {
				return fmt.Errorf("call %d of %s: %w", i, name, err)
			}
			if r.Status != http.StatusOK || r.Field("response.result.n").Raw != fmt.Sprint(i) {
				return fmt.Errorf("call %d of %s: status %d, body %.500s", i, name, r.Status, r.Body)
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	require.LessOrEqual(t, recorder.Peak("running"), slots, "containers that run at the same time")
	harness.Until(t, "all records", func() bool {
		return guest.Get(t, "_/activations?count=true").Is(t, 200).Field("activations").Int() == calls
	})
}

func TestConcurrentCallsShareANodeContainer(t *testing.T) {
	const calls = 5
	// There is memory for one container only.
	s := harness.Start(t, harness.Options{Flags: []string{"--max-concurrency", "10", "--memory", "256", "--max-memory", "256"}})
	recorder := harness.NewRecorder(t)
	guest := s.Guest()
	guest.PutAction(t, "shared", harness.NodeCalling(instance+`async function main({n}) {
  await call("`+recorder.URL()+`/gate?key=inside")
  return {n, instance}
}`).With(harness.Limits{Concurrency: calls}))

	answers := make([]*harness.Response, calls)
	group, ctx := errgroup.WithContext(context.Background())
	for i := range calls {
		group.Go(func() (err error) {
			answers[i], err = guest.Try(ctx, http.MethodPost, "_/actions/shared?blocking=true", fmt.Sprintf(`{"n":%d}`, i))
			return err
		})
	}
	recorder.Wait(t, "inside", calls) // all run, none has ended
	recorder.Open("inside")
	require.NoError(t, group.Wait())

	containers := map[string]bool{}
	for i, r := range answers {
		r.Is(t, 200)
		require.Equal(t, fmt.Sprint(i), r.Field("response.result.n").Raw, "everybody gets the own answer")
		containers[r.Field("response.result.instance").String()] = true
	}
	require.Len(t, containers, 1, "containers")
}
