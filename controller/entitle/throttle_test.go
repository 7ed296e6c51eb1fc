package entitle

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hand is a clock that tests move.
type hand struct{ seconds atomic.Int64 }

func (h *hand) now() time.Time { return time.Unix(h.seconds.Load(), 0) }

func caller(uuid string) *entity.Identity {
	return &entity.Identity{Namespace: "ns", Key: entity.AuthKey{UUID: uuid}}
}

func TestRateIsPerCalendarMinute(t *testing.T) {
	h := new(hand)
	h.seconds.Store(59)
	throttle := NewThrottle(Rates{2, 10, 1}, h.now)
	id := caller("u")
	require.NoError(t, throttle.Invocation(id))
	require.NoError(t, throttle.Invocation(id))
	require.Equal(t, &RateError{3, 2}, throttle.Invocation(id))
	require.Equal(t, &RateError{4, 2}, throttle.Invocation(id), "refused requests count")
	require.NoError(t, throttle.Fire(id), "fires are counted apart")
	require.Equal(t, &RateError{2, 1}, throttle.Fire(id))
	require.NoError(t, throttle.Invocation(caller("v")), "keys are counted apart")
	h.seconds.Store(60)
	require.NoError(t, throttle.Invocation(id), "the window does not slide")
	require.NoError(t, throttle.Fire(id))
}

func TestConcurrency(t *testing.T) {
	throttle := NewThrottle(Rates{100, 1, 1}, new(hand).now)
	id := caller("u")
	require.NoError(t, throttle.Invocation(id))
	require.NoError(t, throttle.Begin(id))
	require.Equal(t, &ConcurrencyError{1, 1}, throttle.Invocation(id))
	require.Equal(t, &ConcurrencyError{1, 1}, throttle.Begin(id))
	throttle.BeginComponent(id)
	require.Equal(t, 2, throttle.InFlight("u"), "components are exempt, and count")
	throttle.End("u")
	require.Error(t, throttle.Begin(id))
	throttle.End("u")
	require.NoError(t, throttle.Begin(id))
	throttle.End("u")
	throttle.End("u") // one too many changes nothing
	require.Zero(t, throttle.InFlight("u"))
}

func TestZeroForbids(t *testing.T) {
	throttle := NewThrottle(Rates{100, 100, 100}, new(hand).now)
	zero := 0
	id := caller("u")
	id.Limits.ConcurrentInvocations = &zero
	require.Equal(t, &ConcurrencyError{0, 0}, throttle.Invocation(id))
	id.Limits.InvocationsPerMinute = &zero
	require.Equal(t, &RateError{2, 0}, throttle.Invocation(id), "the rate is checked first")
	id.Limits.FiresPerMinute = &zero
	require.Equal(t, &RateError{1, 0}, throttle.Fire(id))
}

func TestControllersShareALimit(t *testing.T) {
	throttle := NewThrottle(Rates{10, 1, 0}, new(hand).now)
	throttle.SetControllers(3)
	id := caller("u")
	for range 4 { // ceil(10 × 1.2) / 3
		require.NoError(t, throttle.Invocation(id))
	}
	require.Equal(t, &RateError{5, 4}, throttle.Invocation(id))
	require.NoError(t, throttle.Begin(id), "a share is at least one")
	require.Equal(t, &RateError{1, 0}, throttle.Fire(id), "nothing has no shares")
}

func TestCountsAreExactUnderConcurrency(t *testing.T) {
	throttle := NewThrottle(Rates{1000, 7, 0}, new(hand).now)
	id := caller("u")
	var passed, booked, most atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				if throttle.Invocation(id) == nil {
					passed.Add(1)
				}
				if throttle.Begin(id) == nil {
					n := booked.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					booked.Add(-1)
					throttle.End("u")
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, passed.Load(), int64(1000))
	require.LessOrEqual(t, most.Load(), int64(7))
	require.Zero(t, throttle.InFlight("u"))
	require.Equal(t, &RateError{4001, 1000}, throttle.Invocation(id))
}

func TestOldCountersAreDropped(t *testing.T) {
	h := new(hand)
	throttle := NewThrottle(Rates{100, 100, 0}, h.now)
	const namespaces = 1000
	for i := range namespaces {
		require.NoError(t, throttle.Invocation(caller(fmt.Sprint(i))))
	}
	require.NoError(t, throttle.Begin(caller("0")))
	h.seconds.Store(60)
	for i := range namespaces { // one look at each shard is enough
		throttle.InFlight(fmt.Sprint("other", i))
	}
	left := 0
	for i := range throttle.shards {
		left += len(throttle.shards[i].counts)
	}
	require.Equal(t, 1, left, "only what is in flight stays")
	require.Equal(t, 1, throttle.InFlight("0"))
}
