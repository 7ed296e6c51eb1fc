package service_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
	"go.uber.org/zap/zaptest"

	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/controller/service"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/local"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
)

// overflowQueue of the local bus stands for the controller's overflow queue.
const overflowQueue entity.InvokerID = 1000

// fleet is a balancer for one invoker with a number of places, and all else that a
// cluster is for a controller.
type fleet struct {
	bus   *local.Bus
	freed chan struct{}

	mu          sync.Mutex
	places      int                // guarded by mu, as all that follows
	controllers int                // as told
	tests       []entity.InvokerID // wanted
	outcomes    []invoke.Outcome   // of tests
	announced   []entity.DocID     //
	announceErr error              //
	beats       []*bus.Heartbeat   //
	pings       int                //
	events      []bus.Event        //
}

func (f *fleet) Choose(context.Context, invoke.Placement) (entity.InvokerID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.places == 0 {
		return 0, invoke.ErrNoRoom
	}
	f.places--
	return 0, nil
}

func (f *fleet) Release(entity.InvokerID, invoke.Placement, invoke.Outcome) { f.give(1) }

func (f *fleet) give(n int) {
	f.mu.Lock()
	f.places += n
	f.mu.Unlock()
	select {
	case f.freed <- struct{}{}:
	default:
	}
}

func (f *fleet) locked(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func (f *fleet) Freed() <-chan struct{}                              { return f.freed }
func (f *fleet) Invokers() map[string]string                         { return map[string]string{"invoker0/0": "up"} }
func (f *fleet) Pinged(*bus.Ping)                                    { f.locked(func() { f.pings++ }) }
func (f *fleet) SetControllers(n int)                                { f.locked(func() { f.controllers = n }) }
func (f *fleet) Send(e bus.Event)                                    { f.locked(func() { f.events = append(f.events, e) }) }
func (f *fleet) Offline(time.Time, time.Duration) []entity.InvokerID { return nil }

func (f *fleet) Tick(time.Time) (tests []entity.InvokerID) {
	f.locked(func() { tests, f.tests = f.tests, nil })
	return tests
}

func (f *fleet) TestOutcome(_ entity.InvokerID, o invoke.Outcome) {
	f.locked(func() { f.outcomes = append(f.outcomes, o) })
}

func (f *fleet) Overflow(ctx context.Context, _ entity.ControllerID, m *bus.ActivationMessage) error {
	return f.bus.Publish(ctx, overflowQueue, m)
}

func (f *fleet) Dispatch(ctx context.Context, i entity.InvokerID, m *bus.ActivationMessage) error {
	return f.bus.Publish(ctx, i, m)
}

func (f *fleet) Announce(_ context.Context, id entity.DocID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.announced = append(f.announced, id)
	return f.announceErr
}

func (f *fleet) AnnounceSubjects(context.Context) error { return nil }

func (f *fleet) Beat(_ context.Context, h *bus.Heartbeat) error {
	f.locked(func() { f.beats = append(f.beats, h) })
	return nil
}

func (f *fleet) DrainInvoker(context.Context, entity.InvokerID, entity.ControllerID, func(entity.ControllerID) bool, func(context.Context, bus.Delivery) (*entity.Activation, error)) (bus.Drained, error) {
	return bus.Drained{}, bus.ErrOwned
}

func (f *fleet) DrainOverflow(context.Context, entity.ControllerID, entity.ControllerID) (bus.Drained, error) {
	return bus.Drained{}, bus.ErrOwned
}

func (f *fleet) TakeJournal(context.Context, entity.ControllerID, entity.ControllerID, func(context.Context) error) error {
	return bus.ErrOwned
}

// clustered is a world whose controller is one of several, and serves on a listener of
// its own until stop is called.
type clustered struct {
	*world
	fleet *fleet
	stop  func() error
}

func newClustered(t *testing.T, configure ...func(*service.Config)) *clustered {
	w := newWorld(t, configure...)
	w.die()
	f := &fleet{bus: w.bus, freed: make(chan struct{}, 1)}
	q, err := w.bus.Queue(overflowQueue)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	w.registry = prometheus.NewRegistry()
	w.service, err = service.New(w.cfg, service.Deps{
		Entities: w.entities, Activations: w.records, Subjects: w.db.Subjects(), Deliveries: w.db.Deliveries(), Publisher: w.bus, Journal: w.journal,
		Balancer: f, Manifest: runtimes.Default(), Log: zaptest.NewLogger(t), Registry: w.registry, Events: f,
		Cluster: &service.Cluster{
			UniqueName: "here", Fleet: f, Overflow: f, OverflowQueue: q, Announcer: f, Beater: f, Mover: f, BeatInterval: 5 * time.Millisecond,
		},
	})
	require.NoError(t, err)
	t.Cleanup(w.bus.HandleCompletions(entity.ControllerID(w.cfg.Controller), w.service.Completed))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.service.Serve(ctx, listener) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { require.NoError(t, stop()) })
	w.base = "http://" + listener.Addr().String()
	w.a.base, w.b.base = w.base, w.base
	c := &clustered{w, f, stop}
	eventually(t, "the controller to serve", func() bool { return c.internal().get("/ready").status == 200 })
	return c
}

func TestACallWaitsForRoomOnAnInvoker(t *testing.T) {
	c := newClustered(t, func(cfg *service.Config) { cfg.Overflow.Max = 1 })
	c.a.action("echo")
	answer := make(chan reply)
	go func() { answer <- c.a.post("_/actions/echo?blocking=true&result=true", `{"a":1}`) }()
	eventually(t, "the call to wait", func() bool { return c.service.InFlight() == 1 })
	c.a.post("_/actions/echo", `{}`).fails(503, "The server is currently unavailable (because it is overloaded or down for maintenance).")
	c.fleet.give(1)
	(<-answer).is(200).json(`{"a":1}`)
	eventually(t, "its place to be free", func() bool {
		c.fleet.mu.Lock()
		defer c.fleet.mu.Unlock()
		return c.fleet.places == 1
	})
	c.a.post("_/actions/echo?blocking=true&result=true", `{"b":1}`).is(200)
}

func TestWritesAreAnnounced(t *testing.T) {
	c := newClustered(t)
	c.a.action("echo")
	c.a.put("_/triggers/t", "{}").is(200)
	c.fleet.locked(func() { c.fleet.announced = nil })
	c.a.put("_/rules/r", `{"trigger":"/_/t","action":"/_/echo"}`).is(200)
	c.fleet.locked(func() {
		require.ElementsMatch(t, []entity.DocID{"ns/r", "ns/t"}, c.fleet.announced)
		c.fleet.announceErr = errors.New("no broker")
	})
	c.a.delete("_/actions/echo").is(200)
}

func TestNewsOfOtherControllersIsTakenIn(t *testing.T) {
	c := newClustered(t, func(cfg *service.Config) { cfg.Caches.IdentityTTL = time.Hour })
	c.a.action("echo")
	c.a.get("_/actions/echo").is(200)
	e, err := c.db.Entities().Entity(t.Context(), "ns/echo")
	require.NoError(t, err)
	require.NoError(t, c.db.Entities().Delete(t.Context(), e)) // by another controller
	c.service.Invalidate("ns/echo")
	c.a.get("_/actions/echo").is(404)

	c.a.subject.Blocked = true
	require.NoError(t, c.db.Subjects().PutSubject(t.Context(), c.a.subject))
	c.a.get("_/actions").is(200)
	c.service.InvalidateSubjects()
	c.a.get("_/actions").is(401)

	c.service.Pinged(&bus.Ping{})
	require.Equal(t, 1, c.fleet.pings)
	c.service.SetControllers(3)
	require.Equal(t, 3, c.fleet.controllers)
}

func TestInvokersAreTestedThroughTheirQueues(t *testing.T) {
	c := newClustered(t)
	e, err := c.db.Entities().Entity(t.Context(), "whisk.system/invokerHealthTestAction0")
	require.NoError(t, err)
	require.Equal(t, entity.TypeAction, e.Type())
	c.fleet.locked(func() { c.fleet.tests = []entity.InvokerID{0} })
	eventually(t, "the outcome", func() (ended bool) {
		c.fleet.locked(func() { ended = len(c.fleet.outcomes) == 1 })
		return ended
	})
	require.Equal(t, []invoke.Outcome{invoke.Completed}, c.fleet.outcomes)
	require.Zero(t, c.service.InFlight())
}

func TestTheThrottleSendsEvents(t *testing.T) {
	c := newClustered(t)
	c.fleet.give(1)
	c.a.action("echo")
	c.limit("ns", `{"invocationsPerMinute":1}`)
	c.a.post("_/actions/echo", "").is(202)
	c.a.post("_/actions/echo", "").is(429)
	c.fleet.locked(func() {
		require.Len(t, c.fleet.events, 2)
		for i, want := range []string{`{"metricName":"ConcurrentInvocations","metricValue":1}`, `{"metricName":"TimedRateLimit","metricValue":1}`} {
			e := c.fleet.events[i]
			require.JSONEq(t, want, string(e.Body))
			require.Equal(t, "Metric", e.EventType)
			require.Equal(t, "controller0", e.Source)
			require.Equal(t, "ns", e.Namespace)
			require.Equal(t, c.a.key.UUID, e.UserID)
		}
	})
}

// A stop cuts no request short, also on a connection that a proxy keeps.
func TestAStopServesOnConnectionsThatExist(t *testing.T) {
	c := newClustered(t, func(cfg *service.Config) { cfg.Times.Lame = 2 * time.Second })
	address := strings.TrimPrefix(c.base, "http://")
	pooled, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer pooled.Close()
	reader := bufio.NewReader(pooled)
	ask := func() *http.Response {
		_, err := pooled.Write([]byte("GET /api/v1 HTTP/1.1\r\nHost: x\r\n\r\n"))
		require.NoError(t, err)
		r, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		body := new(strings.Builder)
		_, err = bufio.NewReader(r.Body).WriteTo(body)
		require.NoError(t, err)
		require.True(t, gjson.Valid(body.String()))
		return r
	}
	require.False(t, ask().Close)
	stopped := make(chan error, 1)
	go func() { stopped <- c.stop() }()
	eventually(t, "the listener to close", func() bool {
		other, err := net.Dial("tcp", address)
		if err == nil {
			other.Close()
		}
		return err != nil
	})
	require.Equal(t, 503, c.internal().get("/ready").status)
	r := ask()
	require.Equal(t, 200, r.StatusCode)
	require.True(t, r.Close, "the proxy is told not to use it again")
	_, err = reader.ReadByte()
	require.Error(t, err, "the connection is over")
	require.NoError(t, <-stopped)
	c.fleet.locked(func() { require.True(t, c.fleet.beats[len(c.fleet.beats)-1].Leaving) })
}

func TestAStopTellsLoadBalancersFirst(t *testing.T) {
	c := newClustered(t, func(cfg *service.Config) { cfg.Times.Drain = 2 * time.Second })
	require.Equal(t, 200, c.a.get("/ping").status)
	stopped := make(chan error, 1)
	go func() { stopped <- c.stop() }()
	eventually(t, "the ping to fail", func() bool { return c.a.get("/ping").status == 503 })
	c.a.get("_/actions").is(200)
	require.NoError(t, <-stopped)
}

func TestASecondControllerWithTheSameIDDoesNotServe(t *testing.T) {
	w := newWorld(t)
	f := &fleet{bus: w.bus, freed: make(chan struct{}, 1)}
	q, err := w.bus.Queue(overflowQueue)
	require.NoError(t, err)
	defer q.Close()
	s, err := service.New(w.cfg, service.Deps{
		Entities: w.entities, Activations: w.records, Subjects: w.db.Subjects(), Deliveries: w.db.Deliveries(), Publisher: w.bus, Journal: w.journal,
		Balancer: f, Manifest: runtimes.Default(), Log: zaptest.NewLogger(t), Registry: prometheus.NewRegistry(),
		Cluster: &service.Cluster{UniqueName: "here", Fleet: f, Overflow: f, OverflowQueue: q, Announcer: f, Beater: f, Mover: f, BeatInterval: 5 * time.Millisecond},
	})
	require.NoError(t, err)
	s.Beat(&bus.Heartbeat{Controller: "0", UniqueName: "there"})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorContains(t, s.Serve(t.Context(), listener), `"there" calls itself controller 0`)
}

// A peer goes on with a sequence that a dead controller had begun, in the dead one's
// journal, and its own invoker reports to the peer.
func TestAPeerGoesOnWithADeadControllersSequence(t *testing.T) {
	w := newWorld(t)
	w.a.action("slow")
	w.a.put("_/actions/s", sequence(of("/_/slow", "/_/slow"))).is(200)
	release := w.worker.hold("slow")
	defer release()
	id := w.a.post("_/actions/s", `{"a":1}`).is(202).object()["activationId"]
	eventually(t, "slow to run", func() bool { return len(w.runsOf("slow")) == 1 })
	w.die()
	w.cfg.Controller = "1"
	w.live()
	ended := make(chan error, 1)
	go func() { ended <- w.service.RecoverFrom(t.Context(), "0") }()
	release()
	require.NoError(t, <-ended)
	require.Equal(t, "success", gjson.Get(w.record(id).body, "response.status").String())
	require.Len(t, w.runsOf("slow"), 2)
	require.NoError(t, w.journal.Unfinished(t.Context(), "0", func(e bus.Entry) error {
		t.Errorf("%s is still in the journal", e.ID)
		return nil
	}))
}
