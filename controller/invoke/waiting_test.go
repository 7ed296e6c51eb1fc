package invoke

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// overflowing is a platform without room, with an overflow queue.
func overflowing(t *testing.T) (*Invoker, *platform) {
	v, p := newInvoker(t)
	v.deps.Overflow, v.cfg.MaxWaiting, v.cfg.MaxWaitingTime = p, 10, time.Hour
	p.chooseErr = ErrNoRoom
	return v, p
}

func (p *platform) Overflow(_ context.Context, _ entity.ControllerID, m *bus.ActivationMessage) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.publishErr == nil {
		p.waiting = append(p.waiting, m)
	}
	return p.publishErr
}

func (p *platform) Dispatch(ctx context.Context, i entity.InvokerID, m *bus.ActivationMessage) error {
	return p.Publish(ctx, i, m)
}

// book books room as the dispatcher does.
func (p *platform) book(t testing.TB, placement Placement) entity.InvokerID {
	p.chooseErr = nil
	i, err := p.Choose(context.Background(), placement)
	require.NoError(t, err)
	return i
}

func TestWithoutAnOverflowQueueNoRoomIsRefused(t *testing.T) {
	v, p := newInvoker(t)
	p.chooseErr = ErrNoRoom
	_, err := v.Invoke(t.Context(), request(t, 0))
	require.ErrorIs(t, err, ErrNoRoom)
	p.free(t, v)
}

func TestNoInvokersIsRefusedAndDoesNotWait(t *testing.T) {
	v, p := overflowing(t)
	p.chooseErr = ErrNoInvokers
	_, err := v.Invoke(t.Context(), request(t, 0))
	require.ErrorIs(t, err, ErrNoInvokers)
	require.Empty(t, p.waiting)
	p.free(t, v)
}

func TestAnActivationWithoutRoomWaitsAndIsThenAssigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, p := overflowing(t)
		var got Result
		go func() { got, _ = v.Invoke(t.Context(), request(t, time.Minute)) }()
		synctest.Wait()
		require.Equal(t, 1, v.Waiting())
		require.Equal(t, 1, p.overflowed)
		w := v.Await(p.waiting[0])
		require.NotNil(t, w)
		v.Assign(w, p.book(t, w.Placement))
		require.Zero(t, v.Waiting())
		record := &entity.Activation{Name: "a"}
		complete(v, bus.Combined, w.Message.ActivationID, record)
		synctest.Wait()
		require.Same(t, record, got.Record)
		p.free(t, v, Completed)
	})
}

func TestNewArrivalsGoBehindThoseThatWait(t *testing.T) {
	v, p := overflowing(t)
	_, err := v.Invoke(t.Context(), request(t, 0))
	require.NoError(t, err)
	p.chooseErr = nil // there is room now
	_, err = v.Invoke(t.Context(), request(t, 0))
	require.NoError(t, err)
	require.Len(t, p.waiting, 2)
	other := request(t, 0)
	other.Identity.Namespace = "other"
	_, err = v.Invoke(t.Context(), other)
	require.NoError(t, err)
	require.Len(t, p.published, 1, "others need not wait for them")
	for _, m := range p.waiting {
		w := v.Await(m)
		v.Assign(w, p.book(t, w.Placement))
	}
	_, err = v.Invoke(t.Context(), request(t, 0))
	require.NoError(t, err)
	require.Len(t, p.published, 2, "nobody waits any more")
}

func TestTooManyWaitingAreRefused(t *testing.T) {
	v, p := overflowing(t)
	v.cfg.MaxWaiting = 1
	_, err := v.Invoke(t.Context(), request(t, 0))
	require.NoError(t, err)
	_, err = v.Invoke(t.Context(), request(t, 0))
	require.ErrorIs(t, err, ErrNoRoom)
	component := request(t, 0)
	component.Cause = entity.NewActivationID()
	_, err = v.Invoke(t.Context(), component)
	require.NoError(t, err, "it belongs to what was accepted")
	require.Len(t, p.waiting, 2)
	require.Equal(t, 2, p.booked["u"])
}

func TestAnUnacceptedOverflowLeavesNothingBehind(t *testing.T) {
	v, p := overflowing(t)
	p.publishErr = errors.New("no broker")
	_, err := v.Invoke(t.Context(), request(t, 0))
	require.ErrorIs(t, err, ErrUnavailable)
	require.Zero(t, v.Waiting())
	p.free(t, v)
}

func TestAWaitingActivationIsNotLostUntilItHasWaitedTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, p := overflowing(t)
		_, err := v.Invoke(t.Context(), request(t, 0))
		require.NoError(t, err)
		time.Sleep(time.Hour)
		v.Reap()
		require.Equal(t, 1, v.InFlight())
		w := v.Await(p.waiting[0])
		v.Assign(w, p.book(t, w.Placement))
		time.Sleep(3 * time.Minute)
		v.Reap()
		require.Equal(t, 1, v.InFlight(), "it is counted from when it was sent")
		time.Sleep(time.Second)
		v.Reap()
		p.free(t, v, Lost)

		p.chooseErr, p.outcomes = ErrNoRoom, nil
		_, err = v.Invoke(t.Context(), request(t, 0))
		require.NoError(t, err)
		time.Sleep(time.Hour + 3*time.Minute + time.Second)
		v.Reap()
		require.Zero(t, v.Waiting())
		p.free(t, v)
	})
}

func TestWhatAnInvokerGaveBackFreesItsRoomThere(t *testing.T) {
	v, p := overflowing(t)
	p.chooseErr = nil
	r, err := v.Invoke(t.Context(), request(t, 0))
	require.NoError(t, err)
	w := v.Await(p.published[0])
	require.Equal(t, 1, v.Waiting())
	require.Zero(t, p.chosen)
	require.NotNil(t, v.Await(p.published[0]), "twice does nothing more")
	require.Equal(t, 1, v.Waiting())
	v.Assign(w, p.book(t, w.Placement))
	complete(v, bus.SlotFree, r.ActivationID, nil)
	p.free(t, v, NotSent, Completed)
}

func TestAMessageOfAnotherLifeIsAdopted(t *testing.T) {
	v, p := overflowing(t)
	m := v.message(request(t, 0), entity.NewActivationID())
	require.Nil(t, v.Await(m))
	w := v.Adopt(m, nil)
	require.Equal(t, entity.Megabytes(256), w.Placement.Memory)
	require.Equal(t, 1, p.booked["u"])
	invoker := p.book(t, w.Placement)
	v.Assign(w, invoker)
	v.Unassign(w, invoker)
	v.Unassign(w, invoker)
	require.Equal(t, 1, v.Waiting())
	v.Assign(w, p.book(t, w.Placement))
	complete(v, bus.Combined, m.ActivationID, nil)
	p.free(t, v, NotSent, Completed)
}

// Whatever the order of what happens to an activation, its room and its place among
// the namespace's are given back once.
func TestBookingsBalanceInAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v, p := overflowing(t)
		var waiters []*Waiter
		for step := range rapid.IntRange(1, 30).Draw(rt, "steps") {
			p.chooseErr = nil
			if rapid.Bool().Draw(rt, "full") {
				p.chooseErr = ErrNoRoom
			}
			switch rapid.IntRange(0, 6).Draw(rt, "step") {
			case 0:
				_, _ = v.Invoke(context.Background(), request(t, 0))
			case 1:
				for _, m := range append(p.waiting, p.published...) {
					if w := v.Await(m); w != nil {
						waiters = append(waiters, w)
					}
				}
			case 2:
				waiters = append(waiters, v.Adopt(v.message(request(t, 0), entity.NewActivationID()), nil))
			case 3, 4:
				if len(waiters) > 0 {
					w := waiters[step%len(waiters)]
					v.Assign(w, p.book(t, w.Placement))
					if rapid.Bool().Draw(rt, "fails") {
						v.Unassign(w, 3)
					}
				}
			case 5:
				for _, id := range v.Activations() {
					complete(v, bus.Combined, id, nil)
					break
				}
			case 6:
				v.deps.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
				v.Reap()
				v.deps.Now = time.Now
			}
			booked := 0
			for i := range v.flights.shards {
				for _, fl := range v.flights.shards[i].m {
					if !fl.waiting {
						booked++
					}
				}
			}
			require.Equal(t, booked, p.chosen)
			require.Equal(t, v.InFlight()-booked, v.Waiting())
			require.Equal(t, v.InFlight(), p.booked["u"])
		}
		for _, id := range v.Activations() {
			complete(v, bus.SlotFree, id, nil)
		}
		require.Zero(t, p.chosen)
		require.Zero(t, p.booked["u"])
		require.Zero(t, v.Waiting())
		require.Empty(t, v.lines.m)
	})
}

func TestBookingsBalanceWhenAllHappensAtOnce(t *testing.T) {
	v, p := overflowing(t)
	v.cfg.MaxWaiting = 1000
	for range 200 {
		_, err := v.Invoke(t.Context(), request(t, 0))
		require.NoError(t, err)
	}
	p.chooseErr = nil
	var wg sync.WaitGroup
	for _, m := range p.waiting {
		wg.Go(func() {
			for range 3 {
				if w := v.Await(m); w != nil {
					i, _ := p.Choose(t.Context(), w.Placement)
					v.Assign(w, i)
					if rand.IntN(2) == 0 {
						v.Unassign(w, i)
					}
				}
			}
		})
		wg.Go(func() { complete(v, bus.Combined, m.ActivationID, nil) })
	}
	wg.Wait()
	for _, id := range v.Activations() {
		complete(v, bus.Combined, id, nil)
	}
	require.Zero(t, p.chosen)
	require.Zero(t, p.booked["u"])
	require.Zero(t, v.Waiting())
}
