package service_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gowhisk/gowhisk/controller/balancer"
	"github.com/gowhisk/gowhisk/controller/service"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/local"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { http.DefaultClient.CloseIdleConnections() }),
		// The default transport keeps connections that no test owns.
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// deps returns what a service needs, over a database in memory.
func deps(t *testing.T) (service.Deps, *sqlite.DB, *local.Bus) {
	db, err := sqlite.Open(t.Context(), sqlite.Options{InMemory: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	b := local.New(db, local.Options{})
	return service.Deps{
		Entities: db.Entities(), Activations: db.Activations(), Subjects: db.Subjects(), Deliveries: db.Deliveries(), Publisher: b, Journal: b,
		Balancer: balancer.Single(0), Manifest: runtimes.Default(), Log: zap.NewNop(), Registry: prometheus.NewRegistry(),
	}, db, b
}

// served is a service that listens, with the means to stop it.
type served struct {
	w    *world
	stop context.CancelFunc
	done chan error
}

func serve(t *testing.T, configure func(*service.Config)) *served {
	d, db, b := deps(t)
	cfg := service.Default()
	configure(&cfg)
	s, err := service.New(cfg, d)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	out := &served{stop: stop, done: make(chan error, 1)}
	go func() { out.done <- s.Serve(ctx, listener) }()
	t.Cleanup(b.HandleCompletions("0", s.Completed))
	w := &world{t: t, db: db, bus: b, service: s, worker: startWorker(t, b), base: "http://" + listener.Addr().String()}
	w.a = w.subject("alice", "ns")
	out.w = w
	return out
}

func TestStoppingLetsWaitingCallsFinish(t *testing.T) {
	s := serve(t, func(*service.Config) {})
	s.w.a.action("slow")
	gate, entered := make(chan struct{}), make(chan struct{})
	s.w.worker.set("slow", func(m *bus.ActivationMessage) entity.Response {
		close(entered)
		<-gate
		return entity.Response{Result: m.Content}
	})
	answered := make(chan reply, 1)
	go func() { answered <- s.w.a.post("_/actions/slow?blocking=true&result=true", `{"x":1}`) }()
	<-entered
	s.stop()
	address := strings.TrimPrefix(s.w.a.base, "http://")
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err != nil
	}, waitAtMost, pollEvery, "it takes no more connections")
	close(gate)
	r := <-answered
	require.Equal(t, `{"x":1}`, r.is(200).body)
	require.NoError(t, <-s.done)
}

func TestStoppingDoesNotWaitForever(t *testing.T) {
	s := serve(t, func(c *service.Config) { c.Times.Shutdown = time.Millisecond })
	s.w.a.action("slow")
	entered := make(chan struct{})
	gate := make(chan struct{})
	s.w.worker.set("slow", func(m *bus.ActivationMessage) entity.Response {
		close(entered)
		<-gate
		return entity.Response{Result: m.Content}
	})
	defer close(gate)
	r, err := http.NewRequest("POST", s.w.a.base+api+"_/actions/slow?blocking=true", nil)
	require.NoError(t, err)
	r.SetBasicAuth(s.w.a.key.UUID, s.w.a.key.Key)
	failed := make(chan error, 1)
	go func() {
		answer, err := http.DefaultClient.Do(r)
		if err == nil {
			answer.Body.Close()
		}
		failed <- err
	}()
	<-entered
	s.stop()
	require.NoError(t, <-s.done)
	require.Error(t, <-failed)
}

func TestRunSaysWhyItCannotListen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	d, _, _ := deps(t)
	cfg := service.Default()
	cfg.Address = taken.Addr().String()
	s, err := service.New(cfg, d)
	require.NoError(t, err)
	defer s.Close()
	require.ErrorContains(t, s.Run(t.Context(), func(net.Addr) { t.Error("it listens") }), "is another process using the port?")
}

func TestTheDefaultConfigurationIsValid(t *testing.T) {
	cfg := service.Default()
	require.NoError(t, cfg.Validate())
}

func TestConfigurationFaultsSayHowToFixThem(t *testing.T) {
	for want, spoil := range map[string]func(*service.Config){
		"give this controller its ordinal": func(c *service.Config) { c.Controller = "" },
		"use 0 to forbid":                  func(c *service.Config) { c.Throttle.FiresPerMinute = -1 },
		"actions.min-memory, std-memory and max-memory are 128, 256 and 1: use 1 <= min <= std <= max": func(c *service.Config) { c.Actions.MaxMemory = 1 },
		"actions.min-timeout":         func(c *service.Config) { c.Actions.MinTimeout = 0 },
		"actions.min-logs":            func(c *service.Config) { c.Actions.MinLogs = -1 },
		"actions.min-concurrency":     func(c *service.Config) { c.Actions.StdConcurrency = 2 },
		"must be at least 1":          func(c *service.Config) { c.Actions.MaxSequenceLength = 0 },
		"every request would be":      func(c *service.Config) { c.Sizes.Payload = 0 },
		"the most there may be":       func(c *service.Config) { c.Sizes.Exec = 49 << 20 },
		"must not be below":           func(c *service.Config) { c.Sizes.Body = 1 << 20 },
		"use 1 <= default <= max":     func(c *service.Config) { c.Lists.Default = 300 },
		"give it a unit":              func(c *service.Config) { c.Times.Wait = 0 },
		"would count as lost":         func(c *service.Config) { c.Times.LostFactor = 0 },
		"small ones rather than none": func(c *service.Config) { c.Caches.Entities = 0 },
	} {
		cfg := service.Default()
		spoil(&cfg)
		require.ErrorContains(t, cfg.Validate(), want)
	}
	cfg := service.Default()
	cfg.Controller, cfg.Lists.Max = "", 0
	_, err := service.New(cfg, service.Deps{})
	require.ErrorContains(t, err, "ordinal")
	require.ErrorContains(t, err, "lists.max")
	require.ErrorContains(t, err, "the controller was built without")
}

// gather returns the metrics by name, summed over their labels.
func gather(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	families, err := g.Gather()
	require.NoError(t, err)
	sums := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			sums[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sums
}

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	w.a.action("echo")
	w.a.action("slow")
	release := w.worker.hold("slow")
	defer release()
	w.a.post("_/actions/echo?blocking=true", "").is(200)
	w.a.post("_/actions/slow?blocking=true&timeout=1", "").is(202)
	w.limit("ns", `{"invocationsPerMinute":0}`)
	w.a.post("_/actions/echo", "").is(429)
	eventually(t, "only the slow one is in flight", func() bool {
		return gather(t, w.registry)["gowhisk_controller_activations_in_flight"] == 1
	})
	m := gather(t, w.registry)
	require.EqualValues(t, 5, m["gowhisk_controller_requests_total"])
	require.EqualValues(t, 5, m["gowhisk_controller_request_duration_seconds"])
	require.EqualValues(t, 2, m["gowhisk_controller_activations_total"])
	require.EqualValues(t, 1, m["gowhisk_controller_waits_expired_total"])
	require.EqualValues(t, 1, m["gowhisk_controller_throttled_total"])
	require.EqualValues(t, 0, m["gowhisk_controller_activations_refused_total"])
}

// brokenStore fails as told.
type brokenStore struct {
	store.EntityStore
	err     error
	panics  bool
	counted atomic.Int64
}

func (s *brokenStore) List(context.Context, store.EntityQuery) (_ []json.RawMessage, err error) {
	s.counted.Add(1)
	if s.panics {
		panic("out of cheese")
	}
	return nil, s.err
}

func TestFaultsOfThePlatform(t *testing.T) {
	d, db, b := deps(t)
	log, entries := func() (*zap.Logger, *observer.ObservedLogs) {
		core, entries := observer.New(zap.InfoLevel)
		return zap.New(core), entries
	}()
	broken := &brokenStore{EntityStore: db.Entities(), err: errors.New("disk on fire")}
	d.Entities, d.Log = broken, log
	s, err := service.New(service.Default(), d)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	w := &world{t: t, db: db, bus: b, base: listen(t, s.Handler())}
	w.a = w.subject("alice", "ns")

	w.a.get("_/actions").fails(500, "There was an internal server error.")
	require.Equal(t, 1, entries.FilterMessage("a request failed for a reason that is not the client's").Len())
	broken.err = fmt.Errorf("read: %w", context.DeadlineExceeded)
	w.a.get("_/actions").fails(503, "The server is currently unavailable (because it is overloaded or down for maintenance).")
	broken.err = fmt.Errorf("read: %w", entity.ErrUnreadable)
	w.a.get("_/actions").fails(500, "Resource is corrupted and cannot be read.")
	broken.panics = true
	w.a.get("_/actions").fails(500, "There was an internal server error.")
	require.Equal(t, 1, entries.FilterMessage("a request handler panicked; please report this").Len())
	w.a.get("/api/v1/namespaces").is(200)

	requests := entries.FilterMessage("request").All()
	require.Len(t, requests, 5)
	require.Equal(t, "/api/v1/namespaces/:ns/actions", requests[0].ContextMap()["route"])
	require.Equal(t, "ns", requests[0].ContextMap()["namespace"])
	for _, e := range entries.All() {
		require.NotContains(t, fmt.Sprint(e), w.a.key.Key, "logs have no secrets")
	}
}

// brokenBus accepts nothing.
type brokenBus struct{ err error }

func (b *brokenBus) Publish(context.Context, entity.InvokerID, *bus.ActivationMessage) error {
	return b.err
}

func TestWhatTheBusDoesNotTakeIsRefusedAndFreed(t *testing.T) {
	d, db, b := deps(t)
	publisher := &brokenBus{errors.New("no broker")}
	d.Publisher = publisher
	cfg := service.Default()
	cfg.Throttle.ConcurrentInvocations = 1
	s, err := service.New(cfg, d)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	w := &world{t: t, db: db, bus: b, base: listen(t, s.Handler())}
	w.a = w.subject("alice", "ns")
	w.a.action("echo")
	for range 3 {
		r := w.a.post("_/actions/echo", "{}")
		r.fails(503, "The server is currently unavailable (because it is overloaded or down for maintenance).")
		require.Empty(t, r.header.Get("x-openwhisk-activation-id"))
	}
	publisher.err = bus.ErrTooLarge
	w.a.post("_/actions/echo", "{}").fails(413, "The request content is larger than the server is willing or able to process.")
}

func TestDeprecatedRuntimes(t *testing.T) {
	d, db, b := deps(t)
	var err error
	d.Manifest, err = runtimes.Parse([]byte(`{"runtimes":{"nodejs":[{"kind":"nodejs:6","image":{"name":"old"},"deprecated":true},
		{"kind":"nodejs:20","default":true,"image":{"name":"new"}}]}}`))
	require.NoError(t, err)
	s, err := service.New(service.Default(), d)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	w := &world{t: t, db: db, bus: b, base: listen(t, s.Handler())}
	w.a = w.subject("alice", "ns")
	old := &entity.Action{Header: entity.Header{Namespace: "ns", Name: "old", Version: entity.FirstVersion}, Exec: entity.Exec{Kind: "nodejs:6", Code: new(string)}}
	require.NoError(t, db.Entities().Put(t.Context(), old))
	const text = "The 'nodejs:6' runtime is no longer supported. You may read and delete but not update or invoke this action."
	w.a.put("_/actions/new", `{"exec":{"kind":"nodejs:6","code":""}}`).fails(400, text)
	w.a.put("_/actions/old?overwrite=true", `{}`).fails(400, text)
	w.a.post("_/actions/old", "").fails(400, text)
	w.a.get("_/actions/old").is(200)
	w.a.put("_/actions/old?overwrite=true", `{"exec":{"kind":"nodejs:20","code":""}}`).is(200)
	w.a.delete("_/actions/old").is(200)
}

// A client that sends its body in chunks does not say how long it is.
func TestChunkedBodies(t *testing.T) {
	w := newWorld(t)
	w.a.action("echo")
	send := func(body io.Reader) (int, string) {
		r, err := http.NewRequest("POST", w.a.base+api+"_/actions/echo?blocking=true&result=true", struct{ io.Reader }{body})
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.SetBasicAuth(w.a.key.UUID, w.a.key.Key)
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(bufio.NewReader(answer.Body))
		require.NoError(t, err)
		return answer.StatusCode, string(text)
	}
	status, body := send(strings.NewReader(`{"x":1}`))
	require.Equal(t, 200, status)
	require.Equal(t, `{"x":1}`, body)
	status, body = send(strings.NewReader(`{"x":"` + strings.Repeat("x", 2<<20) + `"}`))
	require.Equal(t, 413, status)
	require.Contains(t, body, "Request larger than allowed: 1048577 > 1048576 bytes.")
}
