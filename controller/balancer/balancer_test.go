package balancer

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

// fleet returns a balancer over n healthy invokers of 1024 MB.
func fleet(n int, change ...func(*Config)) (*Balancer, *clock) {
	c := &clock{time.UnixMilli(1700000000000)}
	cfg := DefaultConfig()
	cfg.Now = func() time.Time { return c.now }
	for _, f := range change {
		f(&cfg)
	}
	b := New(cfg)
	for id := range n {
		b.up(entity.InvokerID(id))
	}
	return b, c
}

func ping(id entity.InvokerID, memory entity.Megabytes) *bus.Ping {
	return &bus.Ping{Invoker: id, UniqueName: fmt.Sprintf("u%d", id), DisplayedName: fmt.Sprintf("d%d", id), UserMemory: memory, Enabled: true}
}

// up makes an invoker healthy.
func (b *Balancer) up(id entity.InvokerID) {
	b.Pinged(ping(id, 1024))
	b.TestOutcome(id, invoke.Completed)
}

func of(action string, memory entity.Megabytes) invoke.Placement {
	return invoke.Placement{Namespace: "guest", Action: entity.FQN{Path: "guest", Name: entity.Name(action)}, Memory: memory, Concurrency: 1, Kind: "nodejs:20"}
}

func choose(t testing.TB, b *Balancer, p invoke.Placement) entity.InvokerID {
	t.Helper()
	id, err := b.Choose(t.Context(), p)
	require.NoError(t, err)
	return id
}

// Values of Java's String.hashCode.
func TestHash(t *testing.T) {
	for text, want := range map[string]int32{
		"": 0, "a": 97, "hello": 99162322, "guest/hello": 86723035, "polygenelubricants": -2147483648, "é": 233, "😀": 1772899, "日本": 835047,
	} {
		require.Equal(t, want, javaHash(text), text)
	}
	require.Equal(t, 2147483648, home("", "polygenelubricants"), "never negative")
}

func TestSteps(t *testing.T) {
	for size, want := range map[int][]int{1: {1}, 2: {1}, 3: {1, 2}, 6: {1, 5}, 9: {1, 2, 5, 7}, 10: {1, 3, 7}} {
		require.Equal(t, want, steps(size), size)
	}
	for size := 1; size < 200; size++ {
		for _, step := range steps(size) {
			seen := map[int]bool{}
			for i, at := 0, 0; i < size; i, at = i+1, (at+step)%size {
				seen[at] = true
			}
			require.Len(t, seen, size, "step %d of %d visits all", step, size)
		}
	}
}

func TestActionsGoHome(t *testing.T) {
	b, c := fleet(10)
	at := choose(t, b, of("hello", 256))
	require.Equal(t, entity.InvokerID(home("guest", "guest/hello")%9), at, "managed is nine tenths")
	b.Release(at, of("hello", 256), invoke.Completed)
	for range 20 {
		c.advance(time.Millisecond)
		again := choose(t, b, of("hello", 256))
		require.Equal(t, at, again)
		b.Release(at, of("hello", 256), invoke.Completed)
	}
}

func TestWorkGoesOnWhereThereIsRoom(t *testing.T) {
	b, c := fleet(4, func(c *Config) { c.ManagedFraction = 1 })
	seen := map[entity.InvokerID]int{}
	for range 16 {
		seen[choose(t, b, of("slow", 256))]++
	}
	require.Equal(t, map[entity.InvokerID]int{0: 4, 1: 4, 2: 4, 3: 4}, seen, "never more than there is memory for")
	_, err := b.Choose(t.Context(), of("slow", 256))
	require.ErrorIs(t, err, invoke.ErrNoRoom)
	<-b.Freed()
	c.advance(time.Minute)
	b.Release(2, of("slow", 256), invoke.Completed)
	<-b.Freed()
	require.Equal(t, entity.InvokerID(2), choose(t, b, of("slow", 256)))
}

func TestShortActionsWaitAtHome(t *testing.T) {
	b, c := fleet(4)
	p := of("short", 256)
	at := choose(t, b, p)
	c.advance(2 * time.Millisecond)
	b.Release(at, p, invoke.Completed)
	// Each takes 2 ms; a container elsewhere takes 100 ms to start.
	for range 40 {
		require.Equal(t, at, choose(t, b, p))
	}
	totals := b.Totals()
	require.Equal(t, entity.Megabytes(256), totals.Booked, "they wait for one container")
	require.Equal(t, 40, totals.InFlight)
	for range 60 {
		choose(t, b, p)
	}
	require.Greater(t, b.Totals().Booked, entity.Megabytes(256), "until that takes longer than to start another")
}

func TestConcurrentActivationsShareMemory(t *testing.T) {
	b, _ := fleet(1)
	p := of("many", 512)
	p.Concurrency = 3
	for range 6 {
		choose(t, b, p)
	}
	require.Equal(t, entity.Megabytes(1024), b.Totals().Booked)
	_, err := b.Choose(t.Context(), p)
	require.ErrorIs(t, err, invoke.ErrNoRoom)
	for range 3 {
		b.Release(0, p, invoke.Completed)
	}
	require.Equal(t, entity.Megabytes(512), b.Totals().Booked)
}

func TestBlackboxImages(t *testing.T) {
	b, _ := fleet(10, func(c *Config) { c.IsManaged = func(image string) bool { return image == "ours" } })
	p := of("box", 256)
	p.Kind, p.Image = entity.KindBlackbox, "mine"
	require.Equal(t, entity.InvokerID(9), choose(t, b, p), "a tenth of the invokers, the last")
	p.Image = "ours"
	require.Less(t, choose(t, b, p), entity.InvokerID(9))
}

func TestSharesAreRecomputedAndBookingsKept(t *testing.T) {
	b, c := fleet(1)
	p := of("slow", 256)
	for range 4 {
		choose(t, b, p)
	}
	b.SetControllers(2)
	require.Equal(t, entity.Megabytes(512), b.Totals().Capacity)
	require.Equal(t, entity.Megabytes(1024), b.Totals().Booked)
	c.advance(time.Minute)
	b.Release(0, p, invoke.Completed)
	_, err := b.Choose(t.Context(), p)
	require.ErrorIs(t, err, invoke.ErrNoRoom)
	b.SetControllers(1)
	choose(t, b, p)
	b.Pinged(ping(0, 2048))
	require.Equal(t, entity.Megabytes(2048), b.Totals().Capacity, "an invoker may grow")
	for range 4 {
		choose(t, b, p)
	}
	for range 8 {
		b.Release(0, p, invoke.Completed)
	}
	require.Zero(t, b.Totals().Booked)
	b.SetControllers(100)
	require.Equal(t, entity.Megabytes(128), b.Totals().Capacity, "at least what the least action needs")
	choose(t, b, p)
	_, err = b.Choose(t.Context(), of("other", 256))
	require.ErrorIs(t, err, invoke.ErrNoRoom, "one container each, however many they are")
	b.Release(0, p, invoke.Completed)
	busy := ping(0, 2048)
	busy.BusyMemory = 1900
	b.Pinged(busy)
	_, err = b.Choose(t.Context(), of("other", 256))
	require.ErrorIs(t, err, invoke.ErrNoRoom, "unless the others use it all")
}

func TestGapsAndStrangers(t *testing.T) {
	b, _ := fleet(0)
	_, err := b.Choose(t.Context(), of("a", 256))
	require.ErrorIs(t, err, invoke.ErrNoInvokers)
	b.up(3)
	for range 4 {
		require.Equal(t, entity.InvokerID(3), choose(t, b, of("a", 256)))
	}
	require.Equal(t, map[string]string{"invoker3/u3/d3": "up"}, b.Invokers())
	up, known := b.Healthy()
	require.Equal(t, []int{1, 1}, []int{up, known})
	b.Pinged(&bus.Ping{Invoker: 3, UserMemory: 1024})
	_, err = b.Choose(t.Context(), of("a", 256))
	require.ErrorIs(t, err, invoke.ErrNoInvokers, "one that is disabled gets nothing")
}

// TestHistories: whatever happens, no healthy invoker is booked beyond its share, none
// that is not healthy gets anything, and all that was booked can be given back.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, c := fleet(rapid.IntRange(1, 12).Draw(t, "invokers"), func(c *Config) { c.IsManaged = func(string) bool { return false } })
		type booking struct {
			at entity.InvokerID
			p  invoke.Placement
		}
		var flying []booking
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			c.advance(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				b.SetControllers(rapid.IntRange(0, 5).Draw(t, "controllers"))
			case 1:
				b.Pinged(ping(entity.InvokerID(rapid.IntRange(0, 15).Draw(t, "id")), entity.Megabytes(rapid.SampledFrom([]int{256, 1024, 4096}).Draw(t, "memory"))))
			case 2:
				for _, id := range b.Tick(c.now) {
					b.TestOutcome(id, rapid.SampledFrom([]invoke.Outcome{invoke.Completed, invoke.SystemError, invoke.Lost}).Draw(t, "outcome"))
				}
			case 3, 4, 5:
				if len(flying) > 0 {
					n := rapid.IntRange(0, len(flying)-1).Draw(t, "which")
					b.Release(flying[n].at, flying[n].p, rapid.SampledFrom([]invoke.Outcome{invoke.Completed, invoke.SystemError, invoke.Lost, invoke.NotSent}).Draw(t, "outcome"))
					flying = append(flying[:n], flying[n+1:]...)
				}
			default:
				p := of(fmt.Sprint(rapid.IntRange(0, 5).Draw(t, "action")), 0)
				p.Memory = entity.Megabytes(128 << (len(p.Action.Name) % 2)) // one memory for each action
				if p.Action.Name == "3" {
					p.Kind, p.Image = entity.KindBlackbox, "x"
				}
				before := b.Totals()
				id, err := b.Choose(context.Background(), p)
				if err != nil {
					continue
				}
				i := b.invokers[id]
				if i.health.state != Healthy {
					t.Fatalf("%v is %v and got work", id, i.health.state)
				}
				if i.booked > max(i.capacity, p.Memory) && b.Totals().Booked > before.Booked {
					t.Fatalf("%v has booked %d of %d MB", id, i.booked, i.capacity)
				}
				flying = append(flying, booking{id, p})
			}
			if got := b.Totals().InFlight; got != len(flying) {
				t.Fatalf("%d in flight, want %d", got, len(flying))
			}
		}
		for _, f := range flying {
			b.Release(f.at, f.p, invoke.Completed)
		}
		totals := b.Totals()
		if totals.InFlight != 0 || totals.Booked != 0 {
			t.Fatalf("left: %+v", totals)
		}
		for key, d := range b.actions.by {
			if d.serving != 0 {
				t.Fatalf("%v: %d are still served", key, d.serving)
			}
		}
	})
}

func TestWhatWasNotSentSaysNothingOfTheAction(t *testing.T) {
	b, c := fleet(4)
	p := of("slow", 256)
	at := choose(t, b, p)
	c.advance(10 * time.Second)
	b.Release(at, p, invoke.Completed)
	for range 400 {
		b.Release(choose(t, b, p), p, invoke.NotSent)
	}
	for range 3 {
		choose(t, b, p)
	}
	require.Equal(t, entity.Megabytes(3*256), b.Totals().Booked, "none waits for 10 s")
}

func TestNamespacesShareNoContainers(t *testing.T) {
	b, c := fleet(4)
	p := of("short", 256)
	b.Release(choose(t, b, p), p, invoke.Completed)
	c.advance(time.Millisecond)
	choose(t, b, p)
	other := p
	other.Namespace = "other"
	choose(t, b, other)
	require.Equal(t, entity.Megabytes(512), b.Totals().Booked)
}

func TestWhatIsLargerThanAnyInvoker(t *testing.T) {
	b, _ := fleet(3)
	_, err := b.Choose(t.Context(), of("huge", 2048))
	require.ErrorIs(t, err, invoke.ErrNoInvokers, "it need not wait for room")
	b.Release(99, of("huge", 2048), invoke.Completed) // harmless
}
