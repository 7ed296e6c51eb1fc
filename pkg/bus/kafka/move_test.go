package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/bustest"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// send publishes n messages of a controller to an invoker.
func send(t *testing.T, b *Bus, invoker entity.InvokerID, controller entity.ControllerID, n int) []*bus.ActivationMessage {
	t.Helper()
	list := make([]*bus.ActivationMessage, n)
	for i := range list {
		list[i] = bustest.Message()
		list[i].Controller = controller
		require.NoError(t, b.Publish(deadline(t), invoker, list[i]))
	}
	return list
}

func openQueue(t *testing.T, b *Bus, invoker entity.InvokerID) *Queue {
	t.Helper()
	q, err := b.Queue(deadline(t), invoker)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	return q
}

func openOverflow(t *testing.T, b *Bus, c entity.ControllerID) *Queue {
	t.Helper()
	q, err := b.OverflowQueue(deadline(t), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	return q
}

// drainAll claims everything that is in a queue now.
func drainAll(t *testing.T, q *Queue) map[entity.ActivationID]*bus.ActivationMessage {
	t.Helper()
	found := map[entity.ActivationID]*bus.ActivationMessage{}
	for {
		n, err := q.Backlog(deadline(t))
		require.NoError(t, err)
		if n == 0 {
			return found
		}
		list, err := q.Claim(deadline(t), n)
		require.NoError(t, err)
		for _, d := range list {
			require.NotContains(t, found, d.Message.ActivationID, "twice in the queue")
			found[d.Message.ActivationID] = d.Message
		}
	}
}

// TestDrainOfADeadInvoker: what may have run ends with a record, the rest moves to the
// controllers that sent it, or to the drainer.
func TestDrainOfADeadInvoker(t *testing.T) {
	onEach(t, func(t *testing.T, brokers []string) {
		w := newWorld(t, brokers)
		sender := w.open(t, "controller-0")
		dead := w.open(t, "invoker-0")
		// A dead member is one whose session the broker has ended; leaving at once spares
		// the test that wait.
		q, err := dead.Queue(deadline(t), 0)
		require.NoError(t, err)
		mine := send(t, sender, 0, "0", 6)
		orphaned := send(t, sender, 0, "9", 2)
		claimed, err := q.Claim(deadline(t), 3)
		require.NoError(t, err)
		require.Len(t, claimed, 3)
		_, err = w.records.Record(deadline(t), bustest.Record(claimed[0].Message))
		require.NoError(t, err, "it died between the record and the commit")
		require.NoError(t, q.Close())

		completed := make(chan *bus.Completion, 10)
		_, err = sender.HandleCompletions(deadline(t), "0", func(c *bus.Completion) { completed <- c })
		require.NoError(t, err)
		overflow := openOverflow(t, sender, "0")
		crashed := func(_ context.Context, d bus.Delivery) (*entity.Activation, error) {
			r := bustest.Record(d.Message)
			r.Response = entity.ErrorResponse(entity.StatusWhiskError, bus.TextCrashed)
			return r, nil
		}
		alive := func(c entity.ControllerID) bool { return c == "0" }
		drained, err := sender.DrainInvoker(deadline(t), 0, "0", alive, crashed)
		require.NoError(t, err)
		require.Equal(t, bus.Drained{Moved: 5, Ended: 2}, drained)
		heard := map[entity.ActivationID]bool{}
		for range 3 {
			heard[(<-completed).ActivationID] = true
		}
		for i, d := range claimed {
			require.True(t, heard[d.Message.ActivationID])
			record, err := w.records.Activation(deadline(t), "guest", d.Message.ActivationID)
			require.NoError(t, err)
			require.Equal(t, i == 0, record.Response.StatusCode == entity.StatusSuccess)
		}
		moved := drainAll(t, overflow)
		require.Len(t, moved, 5)
		for _, m := range append(mine[3:], orphaned...) {
			got := moved[m.ActivationID]
			require.NotNil(t, got)
			require.True(t, got.Republished)
			require.Equal(t, entity.ControllerID("0"), got.Controller, "the drainer has adopted those whose controller is dead")
		}
		// The invoker comes back and finds nothing.
		again := openQueue(t, w.open(t, "invoker-0"), 0)
		left, err := again.Recover(deadline(t))
		require.NoError(t, err)
		require.Empty(t, left)
		n, err := again.Backlog(deadline(t))
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

// TestALivingOwnerIsNotDrained: neither the drainer nor an invoker of another name gets
// the queue of one that lives.
func TestALivingOwnerIsNotDrained(t *testing.T) {
	onEach(t, func(t *testing.T, brokers []string) {
		w := newWorld(t, brokers)
		owner := openQueue(t, w.open(t, "invoker-0"), 0)
		_, err := owner.Recover(deadline(t))
		require.NoError(t, err)
		other := w.open(t, "other")
		_, err = other.DrainInvoker(deadline(t), 0, "0", func(entity.ControllerID) bool { return true }, nil)
		require.ErrorIs(t, err, bus.ErrOwned)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err = other.Queue(ctx, 0)
		require.ErrorIs(t, err, bus.ErrOwned)
		require.ErrorContains(t, err, "belongs to another process, invoker-0")
		require.ErrorContains(t, err, "give this one another --id")
	})
}

// TestTheLaterOfTwinsFencesTheEarlier: two processes with one name.
func TestTheLaterOfTwinsFencesTheEarlier(t *testing.T) {
	onEach(t, func(t *testing.T, brokers []string) {
		w := newWorld(t, brokers)
		first := openQueue(t, w.open(t, "twin"), 0)
		_, err := first.Recover(deadline(t))
		require.NoError(t, err)
		second := openQueue(t, w.open(t, "twin"), 0)
		_, err = second.Recover(deadline(t))
		require.NoError(t, err)
		sender := w.open(t, "controller-0")
		m := send(t, sender, 0, "0", 1)[0]
		list, err := second.Claim(deadline(t), 1)
		require.NoError(t, err)
		require.Equal(t, m.ActivationID, list[0].Message.ActivationID)
		_, err = first.Claim(deadline(t), 1)
		require.ErrorIs(t, err, bus.ErrOwned)
		require.ErrorContains(t, err, "taken over by another process with the unique name twin")
	})
}

// TestHandBack: who stops in order leaves nothing behind.
func TestHandBack(t *testing.T) {
	onEach(t, func(t *testing.T, brokers []string) {
		w := newWorld(t, brokers)
		sender := w.open(t, "controller-0")
		overflow := openOverflow(t, sender, "0")
		q := openQueue(t, w.open(t, "invoker-0"), 0)
		sent := send(t, sender, 0, "0", 7)
		claimed, err := q.Claim(deadline(t), 3)
		require.NoError(t, err)
		require.NoError(t, q.Settle(deadline(t), bus.Settlement{Delivery: claimed[0], Record: bustest.Record(claimed[0].Message)}))
		require.NoError(t, q.Release(deadline(t), claimed[1:]))
		n, err := q.HandBack(deadline(t))
		require.NoError(t, err)
		require.Equal(t, 6, n)
		moved := drainAll(t, overflow)
		require.Len(t, moved, 6)
		require.NotContains(t, moved, sent[0].ActivationID)
	})
}

// TestWhatWasMovingIsFound: whoever died in the middle of a move left a copy or not; in
// both cases there is one afterwards.
func TestWhatWasMovingIsFound(t *testing.T) {
	onEach(t, func(t *testing.T, brokers []string) {
		w := newWorld(t, brokers)
		sender := w.open(t, "controller-0")
		overflow := openOverflow(t, sender, "0")
		q := openQueue(t, w.open(t, "invoker-0"), 0)
		sent := send(t, sender, 0, "0", 3)
		var items []item
		for len(items) < 3 {
			more, err := q.hand(deadline(t), 3, moving)
			require.NoError(t, err)
			items = append(items, more...)
		}
		arrived := *sent[1]
		arrived.Republished = true
		require.NoError(t, sender.enqueue(deadline(t), overflowTopic("0"), &arrived))
		_, err := w.records.Record(deadline(t), bustest.Record(sent[2]))
		require.NoError(t, err)

		again := openQueue(t, w.open(t, "invoker-0"), 0)
		left, err := again.Recover(deadline(t))
		require.NoError(t, err)
		require.Empty(t, left, "none of it may have run")
		list, err := again.Claim(deadline(t), 3)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, sent[0].ActivationID, list[0].Message.ActivationID)
		moved := drainAll(t, overflow)
		require.Len(t, moved, 1)
		require.Contains(t, moved, sent[1].ActivationID)
	})
}

// TestRepublishedIsLookedFor: in the queues and among the records.
func TestRepublishedIsLookedFor(t *testing.T) {
	onEach(t, func(t *testing.T, brokers []string) {
		w := newWorld(t, brokers)
		before := w.open(t, "controller-0")
		q := openQueue(t, w.open(t, "invoker-0"), 0)
		waits, runs, ended := send(t, before, 0, "0", 1)[0], (*bus.ActivationMessage)(nil), bustest.Message()
		claimed, err := q.Claim(deadline(t), 1)
		require.NoError(t, err)
		runs = claimed[0].Message
		require.Equal(t, waits.ActivationID, runs.ActivationID)
		waits = send(t, before, 0, "0", 1)[0]
		_, err = w.records.Record(deadline(t), bustest.Record(ended))
		require.NoError(t, err)

		after := w.open(t, "controller-0")
		for name, m := range map[string]*bus.ActivationMessage{"waits": waits, "runs": runs, "ended": ended} {
			copied := *m
			copied.Republished = true
			require.ErrorIs(t, after.Publish(deadline(t), 0, &copied), bus.ErrDuplicate, name)
		}
		lost := bustest.Message()
		lost.Republished = true
		require.NoError(t, after.Publish(deadline(t), 0, lost), "what never arrived is sent")
		// And should it have been sent twice all the same, the record decides.
		require.NoError(t, after.Dispatch(deadline(t), 0, lost))
		list, err := q.Claim(deadline(t), 3)
		require.NoError(t, err)
		for _, d := range list[:min(2, len(list))] {
			require.NoError(t, q.Settle(deadline(t), bus.Settlement{Delivery: d, Record: bustest.Record(d.Message)}))
		}
	})
}

// TestJournalsAreTrimmed: a start need not read what has long ended.
func TestJournalsAreTrimmed(t *testing.T) {
	onEach(t, func(t *testing.T, brokers []string) {
		w := newWorld(t, brokers)
		b := w.open(t, "controller-0")
		entry := func() bus.Entry {
			return bus.Entry{Namespace: "guest", ID: entity.NewActivationID(), Body: []byte(`{}`)}
		}
		for range 3 {
			e := entry()
			require.NoError(t, b.Begin(deadline(t), "0", e))
			require.NoError(t, b.End(deadline(t), "0", e, nil))
		}
		open := entry()
		require.NoError(t, b.Begin(deadline(t), "0", open))
		j, err := b.journal(deadline(t), "0")
		require.NoError(t, err)
		j.mu.Lock()
		j.trimmed = -trimEvery
		j.mu.Unlock()
		e := entry()
		require.NoError(t, b.Begin(deadline(t), "0", e))
		require.NoError(t, b.End(deadline(t), "0", e, nil))
		n, err := b.bounds(t.Context(), j.topic)
		require.NoError(t, err)
		require.EqualValues(t, 6, n.oldest, "what is open stays")
		require.Equal(t, []bus.Entry{open}, bustest.Unfinished(t, w.open(t, "controller-0"), "0"))
	})
}

// TestTakenJournal: work ends when its owner comes back.
func TestTakenJournal(t *testing.T) {
	onEach(t, func(t *testing.T, brokers []string) {
		w := newWorld(t, brokers)
		dead, peer := w.open(t, "controller-0"), w.open(t, "controller-1")
		e := bus.Entry{Namespace: "guest", ID: entity.NewActivationID(), Body: []byte(`{}`)}
		require.NoError(t, dead.Begin(deadline(t), "0", e))
		entered := make(chan struct{})
		taken := make(chan error, 1)
		go func() {
			taken <- peer.TakeJournal(deadline(t), "0", "1", func(ctx context.Context) error {
				found := bustest.Unfinished(t, peer, "0")
				if len(found) != 1 || found[0].ID != e.ID {
					t.Errorf("found %v", found)
				}
				close(entered)
				<-ctx.Done()
				return context.Cause(ctx)
			})
		}()
		<-entered
		release, err := dead.HoldJournal(deadline(t), "0", func(error) {})
		require.NoError(t, err)
		require.ErrorIs(t, <-taken, bus.ErrOwned)
		require.ErrorIs(t, peer.TakeJournal(deadline(t), "0", "1", nil), bus.ErrOwned)
		require.NoError(t, release())
	})
}

// TestAnnouncements are answered by those who live.
func TestAnnouncements(t *testing.T) {
	onEach(t, func(t *testing.T, brokers []string) {
		w := newWorld(t, brokers)
		buses := map[entity.ControllerID]*Bus{"0": w.open(t, "c0"), "1": w.open(t, "c1")}
		ears := map[entity.ControllerID]*ear{}
		for id, b := range buses {
			ears[id] = newEar()
			require.NoError(t, b.Listen(deadline(t), id, ears[id]))
		}
		require.NoError(t, buses["0"].Announce(deadline(t), "guest/alone"), "nobody else is known")
		require.Equal(t, entity.DocID("guest/alone"), <-ears["1"].written)
		for id, b := range buses {
			require.NoError(t, b.Beat(deadline(t), &bus.Heartbeat{Controller: id, UniqueName: "c" + string(id), Sent: time.Now()}))
		}
		for _, e := range ears {
			<-e.beats
			<-e.beats
		}
		for range 20 {
			require.NoError(t, buses["0"].Announce(deadline(t), "guest/a"))
			select {
			case id := <-ears["1"].written:
				require.Equal(t, entity.DocID("guest/a"), id)
			default:
				t.Fatal("Announce returned before the other had heard")
			}
		}
		admin := w.open(t, "admin")
		require.NoError(t, admin.Attend(deadline(t)))
		require.NoError(t, admin.AnnounceSubjects(deadline(t)))
		for id, e := range ears {
			select {
			case <-e.subjects:
			default:
				t.Fatalf("AnnounceSubjects returned before %s had heard", id)
			}
		}
		require.NoError(t, buses["1"].Beat(deadline(t), &bus.Heartbeat{Controller: "1", Leaving: true, Sent: time.Now()}))
		<-ears["0"].beats
		require.NoError(t, buses["0"].Announce(deadline(t), "guest/b"), "who has left is not waited for")
	})
}

type ear struct {
	written  chan entity.DocID
	subjects chan struct{}
	beats    chan *bus.Heartbeat
	pings    chan *bus.Ping
}

func newEar() *ear {
	return &ear{make(chan entity.DocID, 100), make(chan struct{}, 100), make(chan *bus.Heartbeat, 100), make(chan *bus.Ping, 100)}
}

func (e *ear) Pinged(p *bus.Ping)         { e.pings <- p }
func (e *ear) Beat(h *bus.Heartbeat)      { e.beats <- h }
func (e *ear) Invalidate(id entity.DocID) { e.written <- id }
func (e *ear) InvalidateSubjects()        { e.subjects <- struct{}{} }

func TestPingsAndIDs(t *testing.T) {
	onEach(t, func(t *testing.T, brokers []string) {
		w := newWorld(t, brokers)
		listener, invoker := w.open(t, "c0"), w.open(t, "host-a")
		e := newEar()
		require.NoError(t, listener.Listen(deadline(t), "0", e))
		sent := &bus.Ping{Invoker: 3, UniqueName: "host-a", DisplayedName: "A", UserMemory: 2048, BusyMemory: 256, Enabled: true, Waiting: 2, Sent: time.UnixMilli(1700000000123)}
		require.NoError(t, invoker.Ping(deadline(t), sent))
		require.Equal(t, sent, <-e.pings)

		for range 2 {
			id, err := invoker.ClaimInvokerID(deadline(t))
			require.NoError(t, err)
			require.Equal(t, entity.InvokerID(0), id, "who comes back has its id")
		}
		require.NoError(t, w.open(t, "host-b").ReserveInvokerID(deadline(t), 1))
		id, err := w.open(t, "host-c").ClaimInvokerID(deadline(t))
		require.NoError(t, err)
		require.Equal(t, entity.InvokerID(2), id, "1 was chosen by another")
		require.ErrorContains(t, w.open(t, "host-d").ReserveInvokerID(deadline(t), 2), "--id 2 belongs to host-c: give this process another --id")
		require.NoError(t, invoker.CheckClock(deadline(t), time.Now))
	})
}

func TestClocksThatDisagree(t *testing.T) {
	now := time.UnixMilli(1700000000000)
	require.NoError(t, compareClocks(now, time.Time{}, now))
	require.NoError(t, compareClocks(now, now.Add(2*time.Second), now.Add(time.Second)))
	require.NoError(t, compareClocks(now, now.Add(-2*time.Second), now.Add(time.Minute)), "a slow answer is no skew")
	require.ErrorContains(t, compareClocks(now, now.Add(-time.Minute), now), "is 1m0s ahead of that of Kafka's broker: synchronise both")
	require.ErrorContains(t, compareClocks(now, now.Add(time.Minute), now), "is 1m0s behind that of Kafka's broker: synchronise both")
}

func TestMembers(t *testing.T) {
	onEach(t, func(t *testing.T, brokers []string) {
		w := newWorld(t, brokers)
		b := w.open(t, "a")
		for _, topic := range []string{invokerTopic(0), invokerTopic(12), overflowTopic("1"), journalTopic("1"), journalTopic("3"), invokerIDsTopic} {
			require.NoError(t, b.ensure(deadline(t), topic, work))
		}
		controllers, invokers, err := b.Members()
		require.NoError(t, err)
		require.ElementsMatch(t, []entity.ControllerID{"1", "3"}, controllers)
		require.ElementsMatch(t, []entity.InvokerID{0, 12}, invokers)
	})
}
