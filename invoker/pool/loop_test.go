package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// job returns a job of guest/<action> of 256 MB.
func job(id, action string, perform func(context.Context) Outcome) Job {
	return Job{
		ActivationID: id, ReuseKey: "guest/" + action, Namespace: "guest", Action: action,
		Kind: "nodejs:20", Memory: 256, Concurrency: 1, StemCells: true, Payload: perform,
	}
}

func takes(d time.Duration) func(context.Context) Outcome {
	return func(ctx context.Context) Outcome {
		if pass(ctx, d) != nil {
			return Destroy
		}
		return Keep
	}
}

func yields(o Outcome) func(context.Context) Outcome {
	return func(context.Context) Outcome { return o }
}

// elapse lets the bubble's clock go on, and everything come to rest.
func elapse(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// rig is a loop with fakes, inside a bubble of synctest.
type rig struct {
	*Loop
	factory *fakeFactory
	runner  *fakeRunner
}

func newRig(t *testing.T, cfg Config, factory *fakeFactory) *rig {
	t.Helper()
	runner := newFakeRunner()
	r := &rig{NewLoop(cfg, factory, runner, SystemClock{}, zap.NewNop()), factory, runner}
	t.Cleanup(func() {
		require.NoError(t, r.Close(context.Background()))
		require.Empty(t, factory.faults)
		_, live := factory.counts()
		require.Zero(t, live, "containers are left")
		require.LessOrEqual(t, factory.peak, cfg.Memory, "memory was over-committed")
		for id, times := range runner.ended {
			require.Equal(t, 1, times, id)
		}
	})
	return r
}

func (r *rig) submit(t *testing.T, jobs ...Job) {
	t.Helper()
	for _, j := range jobs {
		require.NoError(t, r.Submit(j))
	}
}

func TestLoop(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"a_warm_container_is_reused":                  warmReuse,
		"stem_cells_start_by_themselves":              stemCellsStart,
		"concurrent_runs_share_a_container":           concurrentRuns,
		"idle_containers_are_paused_and_removed":      pauseAndRemove,
		"a_removal_that_fails_is_retried":             removalRetried,
		"a_removal_that_never_succeeds_ends":          removalGivenUp,
		"a_users_start_failure_abandons_the_job":      usersStartFailure,
		"the_platforms_start_failures_are_retried":    platformStartFailure,
		"a_job_that_was_not_accepted_runs_elsewhere":  rescheduled,
		"a_spoilt_container_is_destroyed":             spoilt,
		"duplicates_and_late_jobs_are_refused":        refusals,
		"close_waits_for_running_and_waiting_jobs":    gracefulClose,
		"close_hands_back_when_its_patience_ends":     impatientClose,
		"a_fast_action_needs_one_container":           fastAction,
		"a_slow_action_gets_as_many_as_memory_allows": slowAction,
		"a_feed_claims_what_the_pool_wants":           feed,
		"random_work_under_memory_pressure":           randomWork,
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
	}
}

func warmReuse(t *testing.T) {
	r := newRig(t, DefaultConfig(512), &fakeFactory{startTakes: 200 * time.Millisecond})
	r.submit(t, job("a1", "hello", nil))
	r.runner.wait(1)
	synctest.Wait()
	r.submit(t, job("a2", "hello", nil))
	r.runner.wait(1)
	require.Equal(t, []ran{
		{"a1", "wsk_1_guest_hello", true, Cold},
		{"a2", "wsk_1_guest_hello", false, Warmed},
	}, r.runner.runs)
}

func stemCellsStart(t *testing.T) {
	cfg := DefaultConfig(1024)
	cfg.NamePrefix, cfg.Env = "wsk0", []string{"__OW_API_HOST=http://localhost"}
	cfg.StemCells = []StemCellConfig{{Kind: "nodejs:20", Image: "n", Memory: 256, InitialCount: 3}}
	r := newRig(t, cfg, &fakeFactory{startTakes: 200 * time.Millisecond})
	synctest.Wait()
	require.Equal(t, 2, r.Snapshot().Containers[Starting], "two at a time")
	elapse(time.Second)
	synctest.Wait()
	require.Equal(t, 3, r.Snapshot().Containers[StemCell])
	require.Contains(t, r.factory.started, container.Spec{
		Name: "wsk0_1_prewarm_nodejs20", Kind: "nodejs:20", Image: "n", Memory: 256, Concurrency: 1,
		Env: []string{"__OW_API_HOST=http://localhost"},
	})
	j := job("a1", "hello", nil)
	j.Image = "n"
	r.submit(t, j)
	r.runner.wait(1)
	require.Equal(t, Prewarmed, r.runner.runs[0].start)
}

func concurrentRuns(t *testing.T) {
	r := newRig(t, DefaultConfig(256), &fakeFactory{startTakes: 200 * time.Millisecond})
	r.runner.initTakes = 100 * time.Millisecond
	all := make(chan struct{})
	together := func(ctx context.Context) Outcome {
		select {
		case <-all:
		case <-ctx.Done():
		}
		return Keep
	}
	for i := range 5 {
		j := job(fmt.Sprint("a", i), "io", together)
		j.Concurrency = 4
		r.submit(t, j)
	}
	elapse(250 * time.Millisecond)
	require.Equal(t, 1, r.Snapshot().Running, "jobs wait for the initialisation")
	elapse(250 * time.Millisecond)
	require.Equal(t, 4, r.Snapshot().Running, "then as many as the limit run at once")
	close(all)
	r.runner.wait(5)
	started, _ := r.factory.counts()
	require.Equal(t, 1, started)
}

func pauseAndRemove(t *testing.T) {
	r := newRig(t, DefaultConfig(512), &fakeFactory{engineTakes: 10 * time.Millisecond})
	r.submit(t, job("a1", "hello", nil))
	elapse(11 * time.Second)
	require.Equal(t, 1, r.Snapshot().Containers[Paused])
	r.submit(t, job("a2", "hello", nil))
	elapse(time.Second)
	require.Equal(t, ran{"a2", "wsk_1_guest_hello", false, Warmed}, r.runner.runs[1])
	elapse(9*time.Second + 15*time.Millisecond)
	require.Equal(t, 1, r.Snapshot().Containers[Pausing])
	r.submit(t, job("a3", "hello", nil))
	elapse(time.Second)
	require.Equal(t, 1, r.runner.ended["a3"], "a call during the pause")
	elapse(11 * time.Minute)
	require.Zero(t, r.Snapshot().Total())
	require.Equal(t, []string{"pause", "resume", "pause", "resume", "pause", "resume", "destroy"}, r.factory.log())
}

func removalRetried(t *testing.T) {
	f := &fakeFactory{}
	f.failDestroys.Store(2)
	r := newRig(t, DefaultConfig(512), f)
	r.submit(t, job("a1", "hello", yields(Destroy)))
	elapse(10 * time.Second)
	require.Zero(t, r.Snapshot().Total())
	require.Equal(t, []string{"destroy", "destroy", "destroy"}, f.log())
}

func removalGivenUp(t *testing.T) {
	f := &fakeFactory{}
	f.failDestroys.Store(removeAttempts)
	r := newRig(t, DefaultConfig(512), f)
	r.submit(t, job("a1", "hello", yields(Destroy)))
	elapse(10 * time.Second)
	require.Zero(t, r.Snapshot().Total())
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Len(t, f.live, 1)
	clear(f.live)
}

func usersStartFailure(t *testing.T) {
	fault := &container.StartError{Text: "Failed to pull container image 'x'."}
	r := newRig(t, DefaultConfig(512), &fakeFactory{fail: func(container.Spec) error { return fault }})
	r.submit(t, job("a1", "box", nil))
	r.runner.wait(1)
	require.Equal(t, fault, r.runner.abandoned["a1"])
	require.Empty(t, r.runner.runs)
}

func platformStartFailure(t *testing.T) {
	broken := errors.New("the engine does not answer")
	tries := 0
	r := newRig(t, DefaultConfig(512), &fakeFactory{fail: func(container.Spec) error {
		if tries++; tries%3 != 0 {
			return broken
		}
		return nil
	}})
	r.submit(t, job("a1", "hello", nil))
	r.runner.wait(1)
	require.Empty(t, r.runner.abandoned, "the third start succeeded")
	r.factory.fail = func(container.Spec) error { return broken }
	r.submit(t, job("a2", "other", nil))
	r.runner.wait(1)
	require.ErrorIs(t, r.runner.abandoned["a2"], broken)
}

func rescheduled(t *testing.T) {
	r := newRig(t, DefaultConfig(512), &fakeFactory{})
	refusals := 0
	r.submit(t, job("a1", "hello", func(context.Context) Outcome {
		if refusals++; refusals <= 2 {
			return Reschedule
		}
		return Keep
	}))
	r.runner.wait(1)
	require.Len(t, r.runner.runs, 3)
	require.Empty(t, r.runner.abandoned)
	r.submit(t, job("a2", "hello", yields(Reschedule)))
	r.runner.wait(1)
	require.ErrorIs(t, r.runner.abandoned["a2"], ErrUnreachable)
}

func spoilt(t *testing.T) {
	r := newRig(t, DefaultConfig(512), &fakeFactory{})
	r.submit(t, job("a1", "hello", yields(Destroy)))
	r.runner.wait(1)
	synctest.Wait()
	_, live := r.factory.counts()
	require.Zero(t, live)
}

func refusals(t *testing.T) {
	r := newRig(t, DefaultConfig(512), &fakeFactory{})
	r.submit(t, job("a1", "hello", takes(time.Second)))
	require.ErrorIs(t, r.Submit(job("a1", "hello", nil)), ErrDuplicate)
	r.runner.wait(1)
	synctest.Wait()
	r.submit(t, job("a1", "hello", nil)) // an id is free again after its end
	r.runner.wait(1)
	r.runner.ended["a1"] = 1
	require.NoError(t, r.Close(t.Context()))
	require.ErrorIs(t, r.Submit(job("a2", "hello", nil)), ErrClosed)
	require.Zero(t, r.Wants())
}

func gracefulClose(t *testing.T) {
	r := newRig(t, DefaultConfig(256), &fakeFactory{startTakes: 200 * time.Millisecond})
	for i := range 5 {
		r.submit(t, job(fmt.Sprint("a", i), fmt.Sprint("action", i), takes(time.Second)))
	}
	require.NoError(t, r.Close(t.Context()))
	require.Len(t, r.runner.runs, 5)
	require.Empty(t, r.runner.abandoned)
}

func impatientClose(t *testing.T) {
	r := newRig(t, DefaultConfig(256), &fakeFactory{startTakes: 200 * time.Millisecond})
	r.submit(t, job("runs", "hello", takes(time.Hour)), job("waits", "other", nil))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.ErrorIs(t, r.Close(ctx), context.DeadlineExceeded)
	require.Len(t, r.runner.runs, 1)
	require.Equal(t, map[string]error{"waits": ErrHandedBack}, r.runner.abandoned)
}

func fastAction(t *testing.T) {
	r := newRig(t, DefaultConfig(4096), &fakeFactory{startTakes: 200 * time.Millisecond})
	for i := range 32 {
		r.submit(t, job(fmt.Sprint("a", i), "fast", takes(400*time.Microsecond)))
	}
	r.runner.wait(32)
	for i := range 32 {
		r.submit(t, job(fmt.Sprint("b", i), "fast", takes(400*time.Microsecond)))
	}
	r.runner.wait(32)
	started, _ := r.factory.counts()
	require.Equal(t, 1, started)
}

func slowAction(t *testing.T) {
	r := newRig(t, DefaultConfig(2048), &fakeFactory{startTakes: 200 * time.Millisecond})
	for i := range 8 {
		r.submit(t, job(fmt.Sprint("a", i), "slow", takes(2*time.Second)))
	}
	r.runner.wait(8)
	started, _ := r.factory.counts()
	require.GreaterOrEqual(t, started, 7)
	for i := range 8 {
		r.submit(t, job(fmt.Sprint("b", i), "slow", takes(2*time.Second)))
	}
	elapse(time.Second)
	require.Equal(t, 8, r.Snapshot().Running)
	r.runner.wait(8)
}

func feed(t *testing.T) {
	cfg := DefaultConfig(1024)
	r := newRig(t, cfg, &fakeFactory{startTakes: 100 * time.Millisecond})
	const total = 500
	for sent := 0; sent < total; {
		n := min(r.Wants(), total-sent)
		if n == 0 {
			<-r.Capacity()
			continue
		}
		for range n {
			r.submit(t, job(fmt.Sprint("a", sent), fmt.Sprint("action", sent%7), takes(20*time.Millisecond)))
			sent++
		}
		require.LessOrEqual(t, r.Snapshot().Waiting, cfg.LookAhead+4, "the pool asked for more than it can use")
	}
	r.runner.wait(total)
}

func randomWork(t *testing.T) {
	cfg := DefaultConfig(1024)
	cfg.StemCells = []StemCellConfig{{Kind: "nodejs:20", Memory: 256, InitialCount: 2}}
	cfg.PauseGrace = 50 * time.Millisecond
	random := rand.New(rand.NewPCG(1, 2))
	r := newRig(t, cfg, &fakeFactory{startTakes: 50 * time.Millisecond, engineTakes: 10 * time.Millisecond})
	const total = 2000
	for i := range total {
		j := job(fmt.Sprint("a", i), fmt.Sprint("action", random.IntN(12)), takes(time.Duration(random.IntN(30))*time.Millisecond))
		n := len(j.Action) + int(j.Action[len(j.Action)-1])
		j.Namespace = fmt.Sprint("ns", n%3)
		j.Memory = []entity.Megabytes{128, 256, 256, 512}[n%4]
		j.Concurrency = 1 + n%3
		j.ReuseKey = j.Namespace + "/" + j.Action
		if random.IntN(20) == 0 {
			j.Payload = yields(Destroy)
		}
		r.submit(t, j)
		if random.IntN(3) == 0 {
			elapse(time.Duration(random.IntN(50)) * time.Millisecond)
		}
	}
	r.runner.wait(total)
	require.Empty(t, r.runner.abandoned)
	require.True(t, slices.Contains(r.factory.log(), "resume"))
}
