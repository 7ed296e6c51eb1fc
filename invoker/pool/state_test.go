package pool

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// TestTransitions: exactly the transitions of the table are possible. That each of
// them happens is shown by the scripts.
func TestTransitions(t *testing.T) {
	for from := range stateCount {
		for to := range stateCount {
			if slices.Contains(transitions[from], to) {
				require.NotPanics(t, func() { to.mustFollow(from, 1) })
				continue
			}
			require.PanicsWithValue(t, "pool: c1 cannot go from "+from.String()+" to "+to.String(),
				func() { to.mustFollow(from, 1) })
		}
	}
}

// TestEventsOutOfPlaceAreIgnored: an event about a container that is unknown, or
// in another state, changes nothing.
func TestEventsOutOfPlaceAreIgnored(t *testing.T) {
	p := New(DefaultConfig(512))
	j := job("a1", "hello", nil)
	p.Step(epoch, Submit{&j})
	before := p.Snapshot()
	for _, id := range []ContainerID{0, 1, 2} {
		for _, e := range []Event{
			Initialised{id}, Finished{Container: id, ActivationID: "a1"}, Finished{Container: id, ActivationID: "a2"},
			PauseDone{Container: id}, ResumeDone{Container: id}, Removed{id},
		} {
			require.Empty(t, p.Step(epoch, e), "%#v", e)
			require.Equal(t, before, p.Snapshot(), "%#v", e)
		}
	}
	require.Empty(t, p.Step(epoch, Started{2}))
	require.Empty(t, p.Step(epoch, StartFailed{Container: 2}))
	require.Equal(t, before, p.Snapshot())
}

// TestDesiredStemCells holds the vectors of openwhisk-invoker.md 11.6.
func TestDesiredStemCells(t *testing.T) {
	r := ReactiveConfig{MinCount: 1, MaxCount: 4, TTL: time.Minute, Threshold: 2, Increment: 1}
	for coldStarts, want := range map[int]int{0: 1, 2: 1, 4: 2, 9: 4} {
		require.Equal(t, want, r.Desired(coldStarts), "%d cold starts", coldStarts)
	}
	r.MinCount = 0
	require.Equal(t, 0, r.Desired(0))
	require.Equal(t, 0, r.Desired(1), "less than the threshold")
}

func TestEvictionOrder(t *testing.T) {
	candidates := []Candidate{
		{Container: 1, State: Idle, LastUsed: epoch},
		{Container: 2, State: StemCell, LastUsed: epoch.Add(time.Second)},
		{Container: 3, State: Paused, LastUsed: epoch.Add(3 * time.Second)},
		{Container: 4, State: Paused, LastUsed: epoch.Add(2 * time.Second)},
		{Container: 5, State: Idle, LastUsed: epoch.Add(-time.Second)},
		{Container: 6, State: Idle, LastUsed: epoch},
	}
	slices.SortFunc(candidates, LeastRecentlyUsed)
	var order []ContainerID
	for _, c := range candidates {
		order = append(order, c.Container)
	}
	require.Equal(t, []ContainerID{4, 3, 2, 5, 1, 6}, order)
}

// TestEvictionPolicyIsConfigurable: another order decides who goes.
func TestEvictionPolicyIsConfigurable(t *testing.T) {
	cfg := DefaultConfig(512)
	cfg.Eviction = func(a, b Candidate) int { return int(a.Container) - int(b.Container) } // the first that started
	p := New(cfg)
	run := func(id, action string, container ContainerID) {
		j := job(id, action, nil)
		p.Step(epoch, Submit{&j})
		p.Step(epoch, Started{container})
		p.Step(epoch, Finished{Container: container, ActivationID: id})
	}
	run("a1", "often", 1)
	run("a2", "often", 1)
	run("b1", "once", 2)
	j := job("c1", "new", nil)
	effects := p.Step(epoch, Submit{&j})
	require.Len(t, effects, 1)
	require.Equal(t, "remove c1", effects[0].String())
}

// TestDormantActionsAreForgotten: the records of actions that are not used any
// more do not pile up.
func TestDormantActionsAreForgotten(t *testing.T) {
	cfg := DefaultConfig(256)
	p := New(cfg)
	now := epoch
	for i := range 1000 {
		j := job("a", string(rune('0'+i)), nil)
		p.Step(now, Submit{&j})
		p.Step(now, Started{ContainerID(i + 1)})
		p.Step(now, Finished{Container: ContainerID(i + 1), ActivationID: "a", Outcome: Destroy})
		p.Step(now, Removed{ContainerID(i + 1)})
	}
	require.Len(t, p.actions, 1000)
	for range 10 {
		at, ok := p.Deadline()
		if !ok {
			break
		}
		now = at
		p.Step(now, Tick{})
	}
	require.Empty(t, p.actions)
	_, ok := p.Deadline()
	require.False(t, ok, "an empty pool has nothing to wait for")
}

// TestWants: a feed is asked for what can start now and a bounded number to choose
// from, less what waits.
func TestWants(t *testing.T) {
	cfg := DefaultConfig(1024)
	cfg.LookAhead, cfg.TypicalMemory = 2, 256
	p := New(cfg)
	require.Equal(t, 4+2, p.Wants(), "an empty pool: room for four, and two more")
	submit := func(id, action string, memory entity.Megabytes, concurrency int) {
		j := job(id, action, nil)
		j.Memory, j.Concurrency = memory, concurrency
		p.Step(epoch, Submit{&j})
	}
	submit("a", "wide", 512, 10)
	require.Equal(t, 2+2-1, p.Wants(), "half of the memory is taken, one job waits")
	p.Step(epoch, Started{1})
	require.Equal(t, 2+2, p.Wants())
	p.Step(epoch, Initialised{1})
	require.Equal(t, 2+9+2, p.Wants(), "and nine more fit into the running container")
	p.Step(epoch, Finished{Container: 1, ActivationID: "a"})
	require.Equal(t, 4+2, p.Wants(), "an idle container can make room")
	p.Step(epoch, Drain{})
	require.Zero(t, p.Wants())
}

func TestNamesOfOutcomes(t *testing.T) {
	require.Equal(t, "keep destroy reschedule", Keep.String()+" "+Destroy.String()+" "+Reschedule.String())
}
