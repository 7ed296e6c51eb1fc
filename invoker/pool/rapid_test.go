package pool

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// world performs effects as the outside would, in a random order, and keeps its
// own books, which know nothing of the pool's.
type world struct {
	t          *rapid.T
	pool       *Pool
	now        time.Time
	limit      entity.Megabytes
	containers map[ContainerID]*worldContainer
	jobs       map[string]*worldJob
	lastJob    int
	draining   bool
	// calm: nothing fails any more.
	calm bool
}

type worldContainer struct {
	Effect
	phase   string // starting, up, pausing, paused, resuming, removing
	warmFor string // reuse key
	initing bool
	jobs    []string
}

type worldJob struct {
	Job
	ends int
	runs int
}

func newWorld(t *rapid.T) *world {
	memory := entity.Megabytes(rapid.IntRange(2, 10).Draw(t, "memory") * 128)
	cfg := DefaultConfig(memory)
	cfg.ReserveAfter = time.Duration(rapid.IntRange(0, 2000).Draw(t, "reserveAfter")) * time.Millisecond
	cfg.MaxParallelUserStarts = rapid.IntRange(0, 2).Draw(t, "userStarts")
	cfg.StemCellRate = float64(rapid.IntRange(0, 3).Draw(t, "stemCellRate"))
	if rapid.Bool().Draw(t, "noPause") {
		cfg.PauseGrace = 0
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "stemCells") {
		cell := StemCellConfig{Kind: kinds[i], Memory: 128, InitialCount: rapid.IntRange(1, 3).Draw(t, "count")}
		if rapid.Bool().Draw(t, "reactive") {
			cell.Reactive = &ReactiveConfig{MinCount: 0, MaxCount: 3, TTL: time.Minute, Threshold: 1, Increment: 1}
		}
		cfg.StemCells = append(cfg.StemCells, cell)
	}
	w := &world{
		t: t, pool: New(cfg), now: epoch, limit: memory,
		containers: map[ContainerID]*worldContainer{}, jobs: map[string]*worldJob{},
	}
	w.step(Tick{})
	return w
}

var kinds = []string{"nodejs:20", "python:3.11"}

func (w *world) step(e Event) {
	for _, effect := range w.pool.Step(w.now, e) {
		w.perform(effect)
	}
}

func (w *world) perform(e Effect) {
	t, c := w.t, w.containers[e.Container]
	mustBe := func(phase string) {
		require.NotNil(t, c, "%v", e)
		require.Equal(t, phase, c.phase, "%v", e)
	}
	switch e.Op {
	case Start:
		require.Nil(t, c, "%v", e)
		w.containers[e.Container] = &worldContainer{Effect: e, phase: "starting"}
		var sum entity.Megabytes
		for _, c := range w.containers {
			sum += c.Memory
		}
		require.LessOrEqual(t, sum, w.limit, "memory is over-committed")
	case Run:
		mustBe("up")
		w.run(c, e)
	case Pause:
		mustBe("up")
		require.Empty(t, c.jobs)
		c.phase = "pausing"
	case Resume:
		mustBe("paused")
		c.phase = "resuming"
	case Remove:
		require.NotNil(t, c, "%v", e)
		require.Contains(t, []string{"up", "paused", "pausing", "resuming"}, c.phase)
		require.Empty(t, c.jobs, "removed under a running job")
		c.phase = "removing"
	case Abandon:
		w.end(e.Job.ActivationID)
	case Refuse:
		t.Fatalf("refused: %v", e)
	}
}

func (w *world) run(c *worldContainer, e Effect) {
	t, job := w.t, w.jobs[e.Job.ActivationID]
	require.NotNil(t, job)
	require.Zero(t, job.ends, "runs after its end")
	require.Equal(t, job.Kind, c.Kind)
	require.Equal(t, job.Memory, c.Memory)
	require.GreaterOrEqual(t, c.Concurrency, max(1, job.Concurrency))
	if e.Initialise {
		require.Empty(t, c.warmFor, "a container is initialised once")
		require.False(t, c.initing)
		c.initing = true
	} else {
		require.Equal(t, job.ReuseKey, c.warmFor)
	}
	for _, other := range w.containers {
		require.NotContains(t, other.jobs, job.ActivationID, "a job is in one place")
	}
	c.jobs = append(c.jobs, job.ActivationID)
	require.LessOrEqual(t, len(c.jobs), max(1, job.Concurrency), "the concurrency limit is exceeded")
	job.runs++
}

func (w *world) end(id string) {
	w.jobs[id].ends++
	require.Equal(w.t, 1, w.jobs[id].ends, "a job ends once")
}

// pick returns a container for which fits holds, or nil.
func (w *world) pick(t *rapid.T, fits func(*worldContainer) bool) *worldContainer {
	var found []*worldContainer
	for _, c := range w.containers {
		if fits(c) {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.SortFunc(found, func(a, b *worldContainer) int { return int(a.Container) - int(b.Container) })
	return rapid.SampledFrom(found).Draw(t, "container")
}

func (w *world) failure(t *rapid.T) error {
	if w.calm || rapid.IntRange(0, 3).Draw(t, "luck") > 0 {
		return nil
	}
	return errors.New("it failed")
}

func (w *world) submit(t *rapid.T) {
	if w.draining {
		return
	}
	w.lastJob++
	n := rapid.IntRange(0, 7).Draw(t, "action")
	job := Job{
		ActivationID: fmt.Sprintf("a%d", w.lastJob), Action: fmt.Sprintf("action%d", n),
		Namespace: fmt.Sprintf("ns%d", n%3), Kind: kinds[n%2], Memory: entity.Megabytes(128 * (1 + n%4)),
		Concurrency: 1 + n%5/3*2, StemCells: n != 6,
	}
	job.ReuseKey = job.Namespace + "/" + job.Action
	w.jobs[job.ActivationID] = &worldJob{Job: job}
	w.step(Submit{Job: &job})
}

func (w *world) answerStart(t *rapid.T) {
	c := w.pick(t, func(c *worldContainer) bool { return c.phase == "starting" })
	if c == nil {
		return
	}
	err := w.failure(t)
	if err == nil {
		c.phase = "up"
		w.step(Started{Container: c.Container})
		return
	}
	delete(w.containers, c.Container)
	if rapid.Bool().Draw(t, "user's fault") {
		err = &container.StartError{Text: "no such image"}
	}
	w.step(StartFailed{Container: c.Container, Err: err})
}

func (w *world) answerInit(t *rapid.T) {
	c := w.pick(t, func(c *worldContainer) bool { return c.initing })
	if c == nil {
		return
	}
	c.initing, c.warmFor = false, w.jobs[c.jobs[0]].ReuseKey
	w.step(Initialised{Container: c.Container})
}

func (w *world) answerRun(t *rapid.T) {
	c := w.pick(t, func(c *worldContainer) bool { return len(c.jobs) > 0 })
	if c == nil {
		return
	}
	i := rapid.IntRange(0, len(c.jobs)-1).Draw(t, "job")
	id := c.jobs[i]
	c.jobs = slices.Delete(c.jobs, i, i+1)
	outcome := Keep
	if !w.calm {
		outcome = rapid.SampledFrom([]Outcome{Keep, Keep, Keep, Destroy, Reschedule}).Draw(t, "outcome")
	}
	if c.initing && outcome == Keep {
		c.warmFor = w.jobs[id].ReuseKey
	}
	c.initing = false
	if outcome != Reschedule {
		w.end(id)
	}
	w.step(Finished{Container: c.Container, ActivationID: id, Outcome: outcome})
}

func (w *world) answerPause(t *rapid.T) {
	c := w.pick(t, func(c *worldContainer) bool { return c.phase == "pausing" })
	if c == nil {
		return
	}
	err := w.failure(t)
	c.phase = "paused"
	w.step(PauseDone{Container: c.Container, Err: err})
}

func (w *world) answerResume(t *rapid.T) {
	c := w.pick(t, func(c *worldContainer) bool { return c.phase == "resuming" })
	if c == nil {
		return
	}
	err := w.failure(t)
	c.phase = "up"
	w.step(ResumeDone{Container: c.Container, Err: err})
}

func (w *world) answerRemove(t *rapid.T) {
	c := w.pick(t, func(c *worldContainer) bool { return c.phase == "removing" })
	if c == nil {
		return
	}
	delete(w.containers, c.Container)
	w.step(Removed{Container: c.Container})
}

func (w *world) advance(d time.Duration) {
	end := w.now.Add(d)
	for ticks := 0; ; ticks++ {
		at, ok := w.pool.Deadline()
		if !ok || at.After(end) {
			break
		}
		require.True(w.t, at.After(w.now), "the deadline %v is not ahead of %v", at, w.now)
		require.Less(w.t, ticks, 10_000, "the pool asks for ticks without end")
		w.now = at
		w.step(Tick{})
	}
	w.now = end
}

// settle answers everything, without failures, until nothing is under way.
func (w *world) settle() {
	w.calm = true
	for steps := 0; ; steps++ {
		require.Less(w.t, steps, 100_000, "the pool does not come to rest")
		event := w.nextAnswer()
		if event == nil {
			if w.pool.waiting == 0 {
				return
			}
			at, ok := w.pool.Deadline()
			require.True(w.t, ok, "jobs wait, and nothing will ever happen")
			w.now = at
			event = Tick{}
		}
		w.step(event)
		checkInvariants(w.t, w.pool)
	}
}

func (w *world) nextAnswer() Event {
	ids := make([]ContainerID, 0, len(w.containers))
	for id := range w.containers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		c := w.containers[id]
		switch {
		case c.phase == "starting":
			c.phase = "up"
			return Started{Container: id}
		case c.phase == "pausing":
			c.phase = "paused"
			return PauseDone{Container: id}
		case c.phase == "resuming":
			c.phase = "up"
			return ResumeDone{Container: id}
		case c.phase == "removing":
			delete(w.containers, id)
			return Removed{Container: id}
		case len(c.jobs) > 0:
			job := c.jobs[0]
			c.jobs = c.jobs[1:]
			c.initing, c.warmFor = false, w.jobs[job].ReuseKey
			w.end(job)
			return Finished{Container: id, ActivationID: job}
		}
	}
	return nil
}

// TestRandomHistories: whatever happens in whatever order, memory is never
// over-committed, limits hold, every job ends exactly once, none waits for ever,
// and after draining nothing is left.
func TestRandomHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		actions := map[string]func(*rapid.T){
			"submit": w.submit, "submit again": w.submit, "start": w.answerStart, "init": w.answerInit,
			"run": w.answerRun, "pause": w.answerPause, "resume": w.answerResume, "remove": w.answerRemove,
			"advance a little": func(t *rapid.T) {
				w.advance(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * time.Millisecond)
			},
			"advance": func(t *rapid.T) {
				w.advance(time.Duration(rapid.IntRange(1, 900).Draw(t, "s")) * time.Second)
			},
			"": func(t *rapid.T) {
				w.t = t
				checkInvariants(t, w.pool)
			},
		}
		t.Repeat(actions)
		w.t = t
		w.settle()
		for id, job := range w.jobs {
			require.Equal(t, 1, job.ends, "job %s has not ended", id)
		}
		w.draining = true
		w.step(Drain{HandBack: rapid.Bool().Draw(t, "handBack")})
		w.settle()
		require.Empty(t, w.containers, "containers are left after draining")
		require.True(t, w.pool.IsDrained())
	})
}

// TestRandomDrains: draining in the middle of everything ends every job once and
// leaves nothing.
func TestRandomDrains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		actions := map[string]func(*rapid.T){
			"submit": w.submit, "start": w.answerStart, "init": w.answerInit, "run": w.answerRun,
			"pause": w.answerPause, "resume": w.answerResume, "remove": w.answerRemove,
			"advance": func(t *rapid.T) {
				w.advance(time.Duration(rapid.IntRange(1, 30).Draw(t, "s")) * time.Second)
			},
			"drain": func(t *rapid.T) {
				w.draining = true
				w.step(Drain{HandBack: rapid.IntRange(0, 3).Draw(t, "handBack") == 0})
			},
			"": func(t *rapid.T) {
				w.t = t
				checkInvariants(t, w.pool)
			},
		}
		t.Repeat(actions)
		w.t, w.draining = t, true
		w.step(Drain{})
		w.settle()
		for id, job := range w.jobs {
			require.Equal(t, 1, job.ends, "job %s has not ended", id)
		}
		require.Empty(t, w.containers)
		require.True(t, w.pool.IsDrained())
	})
}
