package overflow

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/local"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The overflow queue is another queue of the local bus.
const overflowQueue entity.InvokerID = 1000

// scene is a dispatcher over the local bus, with a fleet that has as many places as the
// test gives it.
type scene struct {
	t       *testing.T
	db      *sqlite.DB
	bus     *local.Bus
	queue   bus.Queue
	invoker *invoke.Invoker
	now     time.Time

	mu                          sync.Mutex
	places                      int                   // guarded by mu, as all that follows
	chosen                      []invoke.Placement    // in the order of Choose
	outcomes                    []invoke.Outcome      // in the order of Release
	sendErrs                    []error               // of the next dispatches
	actionErrs                  []error               // of the next looks at actions
	inFlight                    int                   // Begin less End
	sent                        []entity.ActivationID // in the order of their appends
	dispatched, failed, expired int
	freed                       chan struct{}
}

func (s *scene) Choose(_ context.Context, p invoke.Placement) (entity.InvokerID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places == 0 {
		return 0, invoke.ErrNoRoom
	}
	s.places--
	s.chosen = append(s.chosen, p)
	return 1, nil
}

func (s *scene) Release(_ entity.InvokerID, _ invoke.Placement, o invoke.Outcome) {
	s.mu.Lock()
	s.outcomes = append(s.outcomes, o)
	s.mu.Unlock()
	s.give(1)
}

func (s *scene) Freed() <-chan struct{} { return s.freed }

// give makes room.
func (s *scene) give(n int) {
	s.mu.Lock()
	s.places += n
	s.mu.Unlock()
	select {
	case s.freed <- struct{}{}:
	default:
	}
}

func (s *scene) Overflow(ctx context.Context, _ entity.ControllerID, m *bus.ActivationMessage) error {
	return s.bus.Publish(ctx, overflowQueue, m)
}

func (s *scene) Dispatch(ctx context.Context, i entity.InvokerID, m *bus.ActivationMessage) error {
	s.mu.Lock()
	if len(s.sendErrs) > 0 {
		err := s.sendErrs[0]
		s.sendErrs = s.sendErrs[1:]
		s.mu.Unlock()
		return err
	}
	s.sent = append(s.sent, m.ActivationID)
	s.mu.Unlock()
	return s.bus.Publish(ctx, i, m)
}

func (s *scene) Begin(*entity.Identity) error { s.BeginComponent(nil); return nil }
func (s *scene) BeginComponent(*entity.Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight++
}

func (s *scene) End(string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
}

func (s *scene) Entity(context.Context, entity.DocID) (entity.Entity, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.actionErrs) > 0 {
		err := s.actionErrs[0]
		s.actionErrs = s.actionErrs[1:]
		return nil, err
	}
	return &entity.Action{Header: entity.Header{Namespace: "ns", Name: "a"}, Limits: entity.ActionLimits{Memory: 512, Concurrency: 1}}, nil
}

func (s *scene) count(n *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}

func (s *scene) Accepted(bool)              {}
func (s *scene) Refused()                   {}
func (s *scene) WaitExpired()               {}
func (s *scene) LostActivation()            {}
func (s *scene) Overflowed()                {}
func (s *scene) Dispatched(_ time.Duration) { s.count(&s.dispatched) }
func (s *scene) DispatchFailed()            { s.count(&s.failed) }
func (s *scene) Expired()                   { s.count(&s.expired) }

func newScene(t *testing.T) *scene {
	db, err := sqlite.Open(t.Context(), sqlite.Options{InMemory: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s := &scene{t: t, db: db, bus: local.New(db, local.Options{}), now: time.Now(), freed: make(chan struct{}, 1)}
	s.queue, err = s.bus.Queue(overflowQueue)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.queue.Close()) })
	s.invoker = s.life()
	return s
}

// life is the invoke part of a controller that begins.
func (s *scene) life() *invoke.Invoker {
	return invoke.New(invoke.Config{Controller: "0", LostFactor: 2, StdTimeout: time.Minute, MaxWaitingTime: time.Hour}, invoke.Deps{
		Balancer: s, Publisher: s.bus, Overflow: s, InFlight: s, Records: s.db.Activations(), Metrics: s, Log: zaptest.NewLogger(s.t), Now: time.Now,
	})
}

// run runs a dispatcher; the function that it returns stops it.
func (s *scene) run(change ...func(*Config)) (stop func()) {
	cfg := Config{
		Controller: "0", MaxHeld: 100, MaxSending: 8, MaxAge: time.Hour, Patience: time.Minute, SendTimeout: time.Minute, StopTimeout: time.Minute,
	}
	for _, f := range change {
		f(&cfg)
	}
	d := New(cfg, Deps{
		Queue: s.queue, Overflow: s, Balancer: s, Flights: s.invoker, Actions: s, Metrics: s, Log: zaptest.NewLogger(s.t), Now: time.Now,
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(s.t, <-done)
		require.Zero(s.t, d.Held())
	})
	s.t.Cleanup(stop)
	return stop
}

// push puts activations of an action into the overflow queue.
func (s *scene) push(namespace, action string, n int) (ids []entity.ActivationID) {
	for range n {
		id := entity.NewActivationID()
		require.NoError(s.t, s.bus.Publish(s.t.Context(), overflowQueue, &bus.ActivationMessage{
			Transid: bus.Transid{ID: "t", Start: s.now}, Action: entity.FQN{Path: entity.Path(namespace), Name: entity.Name(action)}, Version: entity.FirstVersion,
			User:         entity.Identity{Subject: "alice", Namespace: namespace, Key: entity.AuthKey{UUID: "u"}},
			ActivationID: id, Controller: "0", Content: json.RawMessage(`{}`),
		}))
		ids = append(ids, id)
	}
	return ids
}

// backlog is how many wait in a queue.
func (s *scene) backlog(invoker entity.InvokerID) int {
	if invoker == overflowQueue {
		n, err := s.queue.Backlog(s.t.Context())
		require.NoError(s.t, err)
		return n
	}
	q, err := s.bus.Queue(invoker)
	require.NoError(s.t, err)
	defer q.Close()
	n, err := q.Backlog(s.t.Context())
	require.NoError(s.t, err)
	return n
}

func (s *scene) eventually(f func() bool) {
	s.t.Helper()
	require.Eventually(s.t, f, 20*time.Second, time.Millisecond)
}

func (s *scene) read(n *int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *n
}

// tried reports whether all errors of dispatches have come.
func (s *scene) tried() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sendErrs) == 0
}

func TestWhatWaitsGoesToAnInvokerWhenThereIsRoom(t *testing.T) {
	s := newScene(t)
	ids := s.push("ns", "a", 3)
	stop := s.run()
	s.give(2)
	s.eventually(func() bool { return s.read(&s.dispatched) == 2 })
	require.Equal(t, 1, s.invoker.Waiting())
	s.invoker.Completed(&bus.Completion{Kind: bus.Combined, ActivationID: ids[0]})
	s.eventually(func() bool { return s.read(&s.dispatched) == 3 })
	require.Equal(t, entity.Megabytes(512), s.chosen[0].Memory)
	for _, id := range ids[1:] {
		s.invoker.Completed(&bus.Completion{Kind: bus.Combined, ActivationID: id})
	}
	stop()
	require.Zero(t, s.inFlight)
	require.Equal(t, 2, s.places)
	require.Zero(t, s.backlog(overflowQueue))
	require.Equal(t, 3, s.backlog(1))
}

func TestAnInvokerIsToldThatItMayHaveHadItBefore(t *testing.T) {
	s := newScene(t)
	s.push("ns", "a", 1)
	s.run()
	s.give(1)
	s.eventually(func() bool { return s.read(&s.dispatched) == 1 })
	q, err := s.bus.Queue(1)
	require.NoError(t, err)
	defer q.Close()
	got, err := q.Claim(t.Context(), 1)
	require.NoError(t, err)
	require.True(t, got[0].Message.Republished, "its invoker looks for a record first")
	require.Equal(t, entity.ControllerID("0"), got[0].Message.Controller)
}

func TestAFailedSendIsRepeatedAndBooksNothing(t *testing.T) {
	s := newScene(t)
	s.push("ns", "a", 1)
	s.sendErrs = []error{errors.New("no broker"), errors.New("no broker")}
	stop := s.run()
	s.give(1)
	s.eventually(func() bool { return s.read(&s.dispatched) == 1 })
	require.Equal(t, 2, s.read(&s.failed))
	stop()
	require.Equal(t, []invoke.Outcome{invoke.NotSent, invoke.NotSent}, s.outcomes)
	require.Zero(t, s.places)
}

func TestWhatWasSentBeforeIsSettledAndFreesItsRoom(t *testing.T) {
	s := newScene(t)
	s.push("ns", "a", 1)
	s.sendErrs = []error{bus.ErrDuplicate}
	s.run()
	s.give(1)
	s.eventually(func() bool {
		return s.tried() && s.invoker.InFlight() == 0 && s.read(&s.inFlight) == 0 && s.read(&s.places) == 1
	})
	require.Zero(t, s.backlog(overflowQueue))
	require.Equal(t, 1, s.read(&s.places))
}

func TestWhatWaitedTooLongGetsARecord(t *testing.T) {
	s := newScene(t)
	s.now = time.Now().Add(-2 * time.Hour)
	ids := s.push("ns", "a", 1)
	s.run()
	var record *entity.Activation
	s.eventually(func() bool {
		var err error
		record, err = s.db.Activations().Activation(t.Context(), "ns", ids[0])
		return err == nil && s.invoker.InFlight() == 0
	})
	require.JSONEq(t, `{"error":"The activation waited longer than 1h0m0s to be run and was given up."}`, string(record.Response.Result))
	require.Equal(t, 1, s.read(&s.expired))
	require.Empty(t, s.sent)
}

func TestAMessageTooLargeForAnInvokerEndsWithARecord(t *testing.T) {
	s := newScene(t)
	ids := s.push("ns", "a", 1)
	s.sendErrs = []error{bus.ErrTooLarge}
	s.run()
	s.give(1)
	s.eventually(func() bool {
		_, err := s.db.Activations().Activation(t.Context(), "ns", ids[0])
		return err == nil && s.invoker.InFlight() == 0
	})
}

func TestAStopGivesBackWhatIsHeld(t *testing.T) {
	s := newScene(t)
	s.push("ns", "a", 5)
	stop := s.run()
	s.eventually(func() bool { return s.invoker.Waiting() == 5 })
	stop()
	require.Equal(t, 5, s.backlog(overflowQueue))
	require.Empty(t, s.sent)
}

func TestTheNextLifeGoesOn(t *testing.T) {
	s := newScene(t)
	s.push("ns", "a", 4)
	_, err := s.queue.Claim(t.Context(), 3) // an earlier life took them out and died
	require.NoError(t, err)
	require.NoError(t, s.queue.Close())
	s.queue, err = s.bus.Queue(overflowQueue)
	require.NoError(t, err)
	s.run()
	s.give(4)
	s.eventually(func() bool { return s.read(&s.dispatched) == 4 })
}

func TestNoMoreIsHeldThanAllowed(t *testing.T) {
	s := newScene(t)
	s.push("ns", "a", 9)
	s.run(func(c *Config) { c.MaxHeld = 2 })
	s.eventually(func() bool { return s.invoker.Waiting() == 2 })
	require.Equal(t, 7, s.backlog(overflowQueue))
	s.give(9)
	s.eventually(func() bool { return s.read(&s.dispatched) == 9 })
}

func TestAnActionThatIsGoneGoesToAnyInvoker(t *testing.T) {
	s := newScene(t)
	s.push("ns", "a", 1)
	s.actionErrs = []error{errors.New("the store is down"), store.ErrNotFound}
	s.run()
	s.give(1)
	s.eventually(func() bool { return s.read(&s.dispatched) == 1 })
	require.Equal(t, entity.Megabytes(256), s.chosen[0].Memory)
}

func TestNamespacesTakeTurns(t *testing.T) {
	s := newScene(t)
	s.push("busy", "a", 20)
	other := s.push("other", "a", 1)
	s.run(func(c *Config) { c.MaxSending = 1 })
	s.eventually(func() bool { return s.invoker.Waiting() == 21 })
	s.give(2)
	s.eventually(func() bool { return s.read(&s.dispatched) == 2 })
	require.Contains(t, s.sent, other[0])
}

// lost is a queue that another process takes.
type lost struct {
	bus.Queue
	taken chan struct{}
}

func (l *lost) Claim(ctx context.Context, n int) ([]bus.Delivery, error) {
	select {
	case <-l.taken:
		return nil, bus.ErrOwned
	default:
		return l.Queue.Claim(ctx, n)
	}
}

func TestALostQueueEndsTheDispatcher(t *testing.T) {
	s := newScene(t)
	q := &lost{Queue: s.queue, taken: make(chan struct{})}
	close(q.taken)
	d := New(Config{Controller: "0", MaxHeld: 1, MaxSending: 1, StopTimeout: time.Minute}, Deps{
		Queue: q, Overflow: s, Balancer: s, Flights: s.invoker, Actions: s, Metrics: s, Log: zaptest.NewLogger(t), Now: time.Now,
	})
	require.ErrorIs(t, d.Run(t.Context()), bus.ErrOwned)
}
