package kafka

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/bustest"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

func TestClaimAhead(t *testing.T) {
	now := time.Unix(1000, 0)
	var a claimAhead
	require.False(t, a.has(now, 0))
	for n := range int64(50) {
		a.handed(now, 1, n+1)
	}
	require.EqualValues(t, 50, a.begin(now, 50), "as many as came of late")
	require.False(t, a.has(now, 50), "before the commit is acknowledged")
	a.committed()
	require.True(t, a.has(now, 99))
	require.False(t, a.has(now, 100))
	require.False(t, a.handed(now, 10, 60))
	require.True(t, a.handed(now, 10, 80), "half of it is used up")

	later := now.Add(aheadLease)
	require.True(t, a.has(later.Add(-1), 99))
	require.False(t, a.has(later, 99), "another may own the queue by now")

	// A commit that leaves open what waits takes effect when it begins.
	a.none(now, 90)
	require.True(t, a.has(now, 89))
	require.False(t, a.has(now, 90))
	a.committed()
	require.False(t, a.isIdle(89))
	require.True(t, a.isIdle(90))

	require.EqualValues(t, 0, a.begin(now.Add(time.Minute), 100), "nothing came for long")
}

// begun hands out messages one after the other, as a steady stream of callers would send
// them, until some are claimed ahead.
func begun(t *testing.T, b *Bus, q *Queue) (handed []bus.Delivery) {
	t.Helper()
	for {
		require.NoError(t, b.Publish(deadline(t), 0, bustest.Message()))
		list, err := q.Claim(deadline(t), 1)
		require.NoError(t, err)
		handed = append(handed, list...)
		q.mu.Lock()
		isAhead := q.ahead.to >= q.next+3 && time.Now().Before(q.ahead.leaseEnd.Add(-aheadLease/2))
		q.mu.Unlock()
		if isAhead {
			return handed
		}
	}
}

// TestAStreamSharesCommits: once messages come in a stream, most are handed out without
// a commit of their own.
func TestAStreamSharesCommits(t *testing.T) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(fake.Close)
	w := newWorld(t, fake.ListenAddrs())
	b := w.open(t, "controller-0")
	q := openQueue(t, w.open(t, "invoker-0"), 0)
	begun(t, b, q)
	var commits atomic.Int64
	fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Observe: true, Count: -1,
		When: func(kmsg.Request) bool { commits.Add(1); return true }})
	const stream = 300
	for range stream {
		require.NoError(t, b.Publish(deadline(t), 0, bustest.Message()))
		list, err := q.Claim(deadline(t), 1)
		require.NoError(t, err)
		require.NoError(t, q.Settle(deadline(t), bus.Settlement{Delivery: list[0], Record: bustest.Record(list[0].Message)}))
	}
	require.Less(t, commits.Load(), int64(stream/2))
}

// TestWhatWasClaimedAheadDoesNotRunTwice: after a crash what arrived in the range that was
// claimed ahead counts as handed out, whether it was or not; what came later runs.
func TestWhatWasClaimedAheadDoesNotRunTwice(t *testing.T) {
	onEach(t, func(t *testing.T, brokers []string) {
		w := newWorld(t, brokers)
		b := w.open(t, "controller-0")
		q := openQueue(t, w.open(t, "invoker-0"), 0)
		handed := begun(t, b, q)
		later := send(t, b, 0, "0", 2*maxAhead)
		// The owner dies: another life of it takes the queue.
		after := openQueue(t, w.open(t, "invoker-0"), 0)
		left, err := after.Recover(deadline(t))
		require.NoError(t, err)
		seen := map[entity.ActivationID]bool{}
		for _, d := range left {
			require.False(t, seen[d.Message.ActivationID])
			seen[d.Message.ActivationID] = true
		}
		for _, d := range handed {
			require.True(t, seen[d.Message.ActivationID], "what was handed out may have run")
		}
		require.Less(t, len(left), len(handed)+maxAhead+1)
		for open := len(handed) + len(later) - len(left); open > 0; {
			list, err := after.Claim(deadline(t), open)
			require.NoError(t, err)
			for _, d := range list {
				require.False(t, seen[d.Message.ActivationID])
				seen[d.Message.ActivationID] = true
			}
			open -= len(list)
		}
	})
}

// TestNothingIsClaimedAheadForLong: when the stream ends, what comes next is certain not
// to have been handed out before it is.
func TestNothingIsClaimedAheadForLong(t *testing.T) {
	onEach(t, func(t *testing.T, brokers []string) {
		w := newWorld(t, brokers)
		q := openQueue(t, w.open(t, "invoker-0"), 0)
		begun(t, w.open(t, "controller-0"), q)
		require.Eventually(t, func() bool {
			c, err := q.bus.fetchCommitted(q.topic)
			require.NoError(t, err)
			read, err := parseWindow(c.offset, c.metadata)
			require.NoError(t, err)
			return read.ahead == 0
		}, time.Minute, 10*time.Millisecond)
	})
}
