package membership

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// cluster is everything around a Members, in memory.
type cluster struct {
	mu       sync.Mutex
	beats    []*bus.Heartbeat   // guarded by mu, as all that follows
	offline  []entity.InvokerID //
	told     []int              // what SetControllers heard
	drained  []entity.InvokerID // whose queues were drained
	overflow []entity.ControllerID
	journals []entity.ControllerID
	records  []*entity.Activation
	err      error         // of what the mover does next
	gate     chan struct{} // if set, drains wait for it or their context
	ended    int           // drains whose context ended
	action   entity.Entity
	readErr  error
	left     []bus.Delivery // of the dead invoker
	done     map[Kind]int
}

func (c *cluster) Beat(_ context.Context, h *bus.Heartbeat) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.beats = append(c.beats, h)
	return nil
}

func (c *cluster) Offline(time.Time, time.Duration) []entity.InvokerID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offline
}

func (c *cluster) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *cluster) DrainInvoker(ctx context.Context, i entity.InvokerID, _ entity.ControllerID, _ func(entity.ControllerID) bool, crashed func(context.Context, bus.Delivery) (*entity.Activation, error)) (bus.Drained, error) {
	c.mu.Lock()
	gate, left, err := c.gate, c.left, c.err
	c.err = nil
	c.drained = append(c.drained, i)
	c.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			c.set(func() { c.ended++ })
			return bus.Drained{}, ctx.Err()
		}
	}
	for _, d := range left {
		record, err := crashed(ctx, d)
		if err != nil {
			return bus.Drained{}, err
		}
		c.set(func() { c.records = append(c.records, record) })
	}
	return bus.Drained{Ended: len(left)}, err
}

func (c *cluster) DrainOverflow(_ context.Context, dead, _ entity.ControllerID) (bus.Drained, error) {
	c.set(func() { c.overflow = append(c.overflow, dead) })
	return bus.Drained{}, nil
}

func (c *cluster) TakeJournal(ctx context.Context, _, _ entity.ControllerID, work func(context.Context) error) error {
	return work(ctx)
}

func (c *cluster) RecoverFrom(_ context.Context, dead entity.ControllerID) error {
	c.set(func() { c.journals = append(c.journals, dead) })
	return nil
}

func (c *cluster) Entity(context.Context, entity.DocID) (entity.Entity, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.action, c.readErr
}

func (c *cluster) DutyDone(k Kind, err error) {
	c.set(func() {
		if err == nil {
			c.done[k]++
		}
	})
}
func (c *cluster) Drained(bus.Drained) {}
func (c *cluster) BeatFailed()         {}

// members returns a Members named self, in c.
func members(t *testing.T, c *cluster, self, unique string) *Members {
	cfg := DefaultConfig()
	cfg.Controller, cfg.UniqueName = entity.ControllerID(self), unique
	c.done = make(map[Kind]int)
	return New(cfg, Deps{
		Beater: c, Mover: c, Fleet: c, Journals: c, Actions: c, Metrics: c, Log: zaptest.NewLogger(t), Now: time.Now,
		SetControllers: func(n int) { c.set(func() { c.told = append(c.told, n) }) },
	})
}

// run runs m until the function that it returns is called.
func run(t *testing.T, m *Members) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	return func() {
		cancel()
		require.NoError(t, <-done)
	}
}

// pass lets virtual time pass, and all happen that is due then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// beatFor sends another controller's heartbeats for a while.
func beatFor(m *Members, d time.Duration, id entity.ControllerID) {
	for ; d > 0; d -= time.Second {
		m.Beat(&bus.Heartbeat{Controller: id, UniqueName: "peer" + string(id)})
		pass(time.Second)
	}
}

func TestAHeartbeatGoesOutEachSecondAndSaysWhenItIsTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{}
		m := members(t, c, "0", "a")
		stop := run(t, m)
		pass(4500 * time.Millisecond)
		require.Len(t, c.beats, 5)
		require.False(t, c.beats[4].Leaving)
		m.Leave(t.Context())
		pass(time.Second)
		stop()
		require.Len(t, c.beats, 7)
		require.True(t, c.beats[5].Leaving)
		require.True(t, c.beats[6].Leaving, "it says so until it is gone, lest its journal be taken before")
		require.Equal(t, "a", c.beats[5].UniqueName)
	})
}

func TestSharesFollowTheNumberOfControllers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{}
		m := members(t, c, "0", "a")
		stop := run(t, m)
		beatFor(m, 10*time.Second, "1")
		require.Equal(t, []int{2}, c.told)
		require.Equal(t, 2, m.Controllers())
		require.Equal(t, []entity.ControllerID{"0", "1"}, m.Peers())
		pass(20 * time.Second)
		require.Equal(t, []int{2, 1}, c.told)
		pass(20 * time.Second)
		stop()
		require.Equal(t, []entity.ControllerID{"1"}, c.journals)
		require.Equal(t, []entity.ControllerID{"1"}, c.overflow)
	})
}

func TestADeadInvokersRunningActivationsGetARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{offline: []entity.InvokerID{4}, readErr: errors.New("the store is down")}
		m := &bus.ActivationMessage{Action: entity.FQN{Path: "ns", Name: "a"}, ActivationID: "id", User: entity.Identity{Namespace: "ns"}}
		c.left = []bus.Delivery{{Message: m}, {Raw: []byte("?")}}
		stop := run(t, members(t, c, "0", "a"))
		pass(10500 * time.Millisecond)
		require.Empty(t, c.records, "a store that is down says nothing about the action")
		c.set(func() { c.readErr = store.ErrNotFound })
		pass(2 * time.Second)
		stop()
		require.Len(t, c.records, 2)
		require.Contains(t, string(c.records[0].Response.Result), "The server stopped while the activation was running.")
		require.Equal(t, entity.StatusWhiskError, c.records[0].Response.StatusCode)
		require.Nil(t, c.records[1])
		require.Equal(t, 1, c.done[DrainInvoker])
	})
}

func TestADutyEndsWhenItsTargetIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{offline: []entity.InvokerID{4}, gate: make(chan struct{})}
		stop := run(t, members(t, c, "0", "a"))
		pass(11 * time.Second)
		require.Len(t, c.drained, 1)
		c.set(func() { c.offline = nil })
		pass(2 * time.Second)
		require.Equal(t, 1, c.ended)
		c.set(func() { c.offline = []entity.InvokerID{4} })
		pass(3 * time.Second)
		stop()
		require.Len(t, c.drained, 2)
		require.Equal(t, 2, c.ended, "a stop ends it too")
	})
}

func TestWhatSomebodyElseOwnsIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{offline: []entity.InvokerID{4}, err: bus.ErrOwned}
		stop := run(t, members(t, c, "0", "a"))
		pass(15 * time.Second)
		stop()
		require.Len(t, c.drained, 2)
		require.Equal(t, 1, c.done[DrainInvoker])
	})
}

func TestALaterControllerWithTheSameIDRefusesToStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := members(t, &cluster{}, "0", "a")
		m.Beat(&bus.Heartbeat{Controller: "0", UniqueName: "a"}) // an earlier life's
		m.Beat(&bus.Heartbeat{Controller: "0", UniqueName: "c", Leaving: true})
		require.NoError(t, m.Join(t.Context()))
		m.Beat(&bus.Heartbeat{Controller: "0", UniqueName: "b"})
		err := m.Join(t.Context())
		require.ErrorIs(t, err, ErrTwin)
		require.ErrorContains(t, err, `"b" calls itself controller 0, as this process, "a", does`)
	})
}

func TestOfTwoThatStartTogetherOneStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := members(t, &cluster{}, "0", "a"), members(t, &cluster{}, "0", "b")
		stop := run(t, first)
		defer stop()
		first.Beat(&bus.Heartbeat{Controller: "0", UniqueName: "b"})
		second.Beat(&bus.Heartbeat{Controller: "0", UniqueName: "a"})
		require.ErrorIs(t, second.Run(t.Context()), ErrTwin)
		pass(time.Minute)
	})
}

func TestAnOldControllerKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := members(t, &cluster{}, "0", "b")
		stop := run(t, m)
		pass(11 * time.Second)
		m.Beat(&bus.Heartbeat{Controller: "0", UniqueName: "a"})
		pass(time.Minute)
		stop()
	})
}
