package balancer

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Each letter is an event: p a ping, d a ping of one that takes no work, s an outcome
// of success, e a system error, l a loss, z eleven seconds of silence.
func TestHealthTransitions(t *testing.T) {
	for events, want := range map[string]State{
		"":                 Offline,
		"p":                Unhealthy,
		"d":                Offline,
		"ps":               Healthy,
		"pe":               Unhealthy,
		"pl":               Unresponsive,
		"psd":              Offline,
		"psdp":             Unhealthy,
		"psz":              Offline,
		"pszp":             Unhealthy,
		"pszps":            Healthy,
		"pse":              Unhealthy, // there is little to judge by
		"psssse":           Healthy,   // one of many
		"psssseee":         Healthy,
		"psssseeee":        Unhealthy,
		"pssssllll":        Unresponsive,
		"psssseeeess":      Unhealthy,
		"psssseeeessssss":  Unhealthy,
		"psssseeeesssssss": Healthy, // pushed out one by one
		"pess":             Healthy,
		"pls":              Healthy,
		"zs":               Offline,
		"ds":               Offline,
		"pssssnnnnnn":      Healthy, // the bus's faults
	} {
		now := time.UnixMilli(0).Add(time.Hour)
		var h health
		for _, e := range events {
			now = now.Add(time.Second)
			h.ticked(now)
			switch e {
			case 'p':
				h.pinged(now, true)
			case 'd':
				h.pinged(now, false)
			case 's':
				h.lastPing = now
				h.ended(invoke.Completed, now)
			case 'e':
				h.lastPing = now
				h.ended(invoke.SystemError, now)
			case 'l':
				h.lastPing = now
				h.ended(invoke.Lost, now)
			case 'n':
				h.lastPing = now
				h.ended(invoke.NotSent, now)
			case 'z':
				now = now.Add(11 * time.Second)
				h.ticked(now)
			}
		}
		require.Equal(t, want, h.state, "after %q it is %v", events, h.state)
	}
}

func TestTestActions(t *testing.T) {
	b, c := fleet(0)
	b.Pinged(ping(0, 1024))
	tick := func() string {
		var names []string
		for _, id := range b.Tick(c.now) {
			names = append(names, id.String())
		}
		return strings.Join(names, " ")
	}
	heard := func(d time.Duration) {
		for ; d > 0; d -= time.Second {
			c.advance(time.Second)
			b.Pinged(ping(0, 1024))
		}
	}
	require.Equal(t, "invoker0", tick(), "a new invoker is tried at once")
	require.Empty(t, tick())
	heard(10 * time.Second)
	require.Equal(t, "invoker0", tick(), "and again if nothing is heard of that")
	b.TestOutcome(0, invoke.SystemError)
	require.Empty(t, tick())
	heard(time.Minute)
	require.Equal(t, "invoker0", tick(), "a sick one each minute")
	for range 4 {
		b.TestOutcome(0, invoke.SystemError)
	}
	b.TestOutcome(0, invoke.Completed)
	require.Equal(t, "invoker0", tick(), "one that recovers, at each success")
	for range 10 {
		b.TestOutcome(0, invoke.Completed)
	}
	require.Empty(t, tick(), "a healthy one is not tried")
	require.Empty(t, b.Offline(c.now, 0))
	c.advance(20 * time.Second)
	tick()
	c.advance(21 * time.Second)
	require.Len(t, b.Offline(c.now, 20*time.Second), 1)
	require.Empty(t, b.Offline(c.now, 30*time.Second))
}

// TestInvokersThatNeverCame: their queues are looked after, and nothing else is.
func TestInvokersThatNeverCame(t *testing.T) {
	b, c := fleet(1)
	b.Expect([]entity.InvokerID{0, 2})
	c.advance(31 * time.Second)
	b.Pinged(ping(0, 1024))
	b.TestOutcome(0, invoke.Completed)
	require.Equal(t, []entity.InvokerID{2}, b.Offline(c.now, 30*time.Second))
	require.Len(t, b.Invokers(), 1)
	up, known := b.Healthy()
	require.Equal(t, []int{1, 1}, []int{up, known})
	b.Pinged(ping(2, 1024))
	require.Empty(t, b.Offline(c.now, 30*time.Second))
}
