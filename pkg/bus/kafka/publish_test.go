package kafka

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/bustest"
)

// TestADispatchThatWasNotAcknowledgedIsLookedFor: it may have arrived, and must not run
// on two invokers.
func TestADispatchThatWasNotAcknowledgedIsLookedFor(t *testing.T) {
	onEach(t, func(t *testing.T, brokers []string) {
		w := newWorld(t, brokers)
		b := w.open(t, "controller-0")
		openOverflow(t, b, "0")
		first, second := openQueue(t, w.open(t, "invoker-0"), 0), openQueue(t, w.open(t, "invoker-1"), 1)
		arrived, lost := bustest.Message(), bustest.Message()
		require.NoError(t, b.Dispatch(deadline(t), 0, arrived))
		for _, m := range []*bus.ActivationMessage{arrived, lost} {
			failed := make(chan outcome, 1)
			failed <- outcome{err: errors.New("not acknowledged")}
			b.unsure.add(m.ActivationID, failed)
			require.NoError(t, b.Dispatch(deadline(t), 1, m))
			require.Nil(t, b.unsure.of(m.ActivationID))
		}
		require.Contains(t, drainAll(t, first), arrived.ActivationID)
		got := drainAll(t, second)
		require.Len(t, got, 1)
		require.Contains(t, got, lost.ActivationID)
	})
}

// TestADispatchUnderWayComesToItsEndFirst: the producer goes on trying when its caller no
// longer waits, so that a look at the queues would come too early.
func TestADispatchUnderWayComesToItsEndFirst(t *testing.T) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(fake.Close)
	w := newWorld(t, fake.ListenAddrs())
	b := w.open(t, "controller-0")
	openOverflow(t, b, "0")
	first, second := openQueue(t, w.open(t, "invoker-0"), 0), openQueue(t, w.open(t, "invoker-1"), 1)
	m := bustest.Message()
	m.Republished, m.Controller = true, "0"
	tried := make(chan struct{})
	var once sync.Once
	fault := fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: b.full(invokerTopic(0)), Err: kerr.NotEnoughReplicas, Count: -1,
		When: func(kmsg.Request) bool { once.Do(func() { close(tried) }); return true }})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-tried; cancel() }()
	require.ErrorIs(t, b.Dispatch(ctx, 0, m), context.Canceled)
	require.ErrorIs(t, b.Dispatch(ctx, 1, m), context.Canceled, "what is under way is waited for")
	fault.Remove()
	require.NoError(t, b.Dispatch(deadline(t), 1, m))
	require.Contains(t, drainAll(t, first), m.ActivationID)
	require.Empty(t, drainAll(t, second))
	require.Nil(t, b.unsure.of(m.ActivationID))
}

// TestFailedPublishesAreForgotten: their clients were told.
func TestFailedPublishesAreForgotten(t *testing.T) {
	onEach(t, func(t *testing.T, brokers []string) {
		b := newWorld(t, brokers).open(t, "controller-0")
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.Error(t, b.Publish(ended, 0, bustest.Message()))
		require.Empty(t, b.unsure.ids)
	})
}

// TestClaimsEndWhereTheWindowEnds: what is handed out always fits beside the offset, in
// whatever order it ends.
func TestClaimsEndWhereTheWindowEnds(t *testing.T) {
	onEach(t, func(t *testing.T, brokers []string) {
		w := newWorld(t, brokers)
		b := w.open(t, "controller-0")
		q := openQueue(t, w.open(t, "invoker-0"), 0)
		for range 3 * maxHeld {
			require.NoError(t, b.producer.send(deadline(t), b.full(invokerTopic(0)), "", bustest.Message().AppendJSON(nil)))
		}
		var held []bus.Delivery
		for n := 0; n < 2*maxHeld; n++ {
			list, err := q.Claim(deadline(t), maxHeld)
			require.NoError(t, err)
			require.LessOrEqual(t, len(held)+len(list), maxHeld)
			for _, d := range list { // every second one ends
				if held = append(held, d); len(held)%2 == 0 || len(held) == maxHeld {
					last := len(held) - 1
					require.NoError(t, q.Settle(deadline(t), bus.Settlement{Delivery: held[last], Record: bustest.Record(held[last].Message)}))
					held = held[:last]
				}
			}
			n += len(list)
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		read, err := parseWindow(q.window.low, q.window.encode())
		require.NoError(t, err)
		require.Equal(t, q.window.states, read.states)
	})
}
