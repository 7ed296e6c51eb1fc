package service_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/gowhisk/gowhisk/controller/balancer"
	"github.com/gowhisk/gowhisk/controller/service"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/local"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

// world is a controller over a real store and bus, with an invoker that answers
// from a table, and two namespaces: "ns" of A and "other" of B.
type world struct {
	t        *testing.T
	db       *sqlite.DB
	bus      *local.Bus
	service  *service.Service
	registry *prometheus.Registry
	worker   *worker
	clock    *clock
	cfg      service.Config
	entities store.EntityStore
	records  store.ActivationStore
	journal  bus.Journal
	base     string // URL of the server
	a, b     *client
}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// newWorld starts a world whose configuration is the default with generous rates,
// changed by configure.
func newWorld(t *testing.T, configure ...func(*service.Config)) *world {
	t.Helper()
	return newWorldOver(t, func(s store.EntityStore) store.EntityStore { return s }, configure...)
}

// newWorldOver is newWorld with something between controller and entities.
func newWorldOver(t *testing.T, wrap func(store.EntityStore) store.EntityStore, configure ...func(*service.Config)) *world {
	t.Helper()
	ctx := t.Context()
	db, err := sqlite.Open(ctx, sqlite.Options{InMemory: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	w := &world{
		t: t, db: db, bus: local.New(db, local.Options{}), registry: prometheus.NewRegistry(),
		clock: &clock{now: time.Date(2024, 11, 21, 8, 0, 0, 0, time.UTC)},
	}
	cfg := service.Default()
	cfg.Throttle = service.Throttle{InvocationsPerMinute: 10_000, ConcurrentInvocations: 1000, FiresPerMinute: 10_000}
	cfg.Caches.IdentityTTL = time.Nanosecond // tests change subjects and look at once
	for _, f := range configure {
		f(&cfg)
	}
	w.cfg, w.entities, w.records, w.journal = cfg, wrap(db.Entities()), db.Activations(), w.bus
	w.worker = startWorker(t, w.bus)
	w.live()
	w.a, w.b = w.subject("alice", "ns"), w.subject("bobby", "other")
	return w
}

// live starts a controller, or after the death of one its next life, over the same
// store and bus.
func (w *world) live() {
	w.t.Helper()
	var err error
	w.service, err = service.New(w.cfg, service.Deps{
		Entities: w.entities, Activations: w.records, Subjects: w.db.Subjects(), Deliveries: w.db.Deliveries(), Publisher: w.bus, Journal: w.journal,
		Balancer: balancer.Single(0), Manifest: runtimes.Default(), Log: zaptest.NewLogger(w.t), Registry: w.registry, Now: w.clock.Now,
	})
	require.NoError(w.t, err)
	w.t.Cleanup(w.service.Close)
	w.t.Cleanup(w.bus.HandleCompletions(entity.ControllerID(w.cfg.Controller), w.service.Completed))
	w.base = listen(w.t, w.service.Handler())
	for _, c := range []*client{w.a, w.b} {
		if c != nil {
			c.base = w.base
		}
	}
}

// die ends the controller between any two steps of what it does.
func (w *world) die() {
	w.service.Close()
	w.registry = prometheus.NewRegistry()
}

// listen serves a handler and returns its URL.
func listen(t *testing.T, h http.Handler) string {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// subject makes a subject with one namespace and returns a client with its key.
func (w *world) subject(name, namespace string) *client {
	w.t.Helper()
	key := entity.NewAuthKey()
	subject := &entity.Subject{Name: name, Namespaces: []entity.SubjectNamespace{{Name: namespace, AuthKey: key}}}
	require.NoError(w.t, w.db.Subjects().PutSubject(w.t.Context(), subject))
	return &client{t: w.t, base: w.base, key: key, subject: subject}
}

// limit sets the limits of a namespace, as JSON.
func (w *world) limit(namespace, limits string) {
	w.t.Helper()
	var l entity.UserLimits
	require.NoError(w.t, json.Unmarshal([]byte(limits), &l))
	require.NoError(w.t, w.db.Subjects().PutLimits(w.t.Context(), namespace, &l))
}

// client sends requests with one key; its zero key sends none.
type client struct {
	t       *testing.T
	base    string
	key     entity.AuthKey
	subject *entity.Subject
	header  http.Header
}

// with returns a client that sends another header too.
func (c *client) with(name, value string) *client {
	other := *c
	other.header = c.header.Clone()
	if other.header == nil {
		other.header = http.Header{}
	}
	other.header.Set(name, value)
	return &other
}

// anonymous returns a client without credentials.
func (c *client) anonymous() *client {
	other := *c
	other.key = entity.AuthKey{}
	return &other
}

// reply is an answer, read.
type reply struct {
	t      *testing.T
	status int
	header http.Header
	body   string
}

const api = "/api/v1/namespaces/"

// do sends a request; a path that does not begin with a slash is below
// /api/v1/namespaces/. A body is sent as JSON unless a header says otherwise.
func (c *client) do(method, path, body string) reply {
	c.t.Helper()
	if !strings.HasPrefix(path, "/") {
		path = api + path
	}
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, c.base+path, reader)
	require.NoError(c.t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.key.UUID != "" {
		r.SetBasicAuth(c.key.UUID, c.key.Key)
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	answer, err := http.DefaultClient.Do(r)
	require.NoError(c.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(c.t, err)
	return reply{c.t, answer.StatusCode, answer.Header, string(text)}
}

func (c *client) get(path string) reply        { c.t.Helper(); return c.do("GET", path, "") }
func (c *client) put(path, body string) reply  { c.t.Helper(); return c.do("PUT", path, body) }
func (c *client) post(path, body string) reply { c.t.Helper(); return c.do("POST", path, body) }
func (c *client) delete(path string) reply     { c.t.Helper(); return c.do("DELETE", path, "") }

// action creates an action of the default kind, with other fields of the request.
func (c *client) action(path string, fields ...string) reply {
	c.t.Helper()
	body := strings.Join(append([]string{`"exec":{"kind":"nodejs:default","code":"function main(){}"}`}, fields...), ",")
	return c.put("_/actions/"+path, "{"+body+"}").is(200)
}

// is checks the status.
func (r reply) is(status int) reply {
	r.t.Helper()
	require.Equal(r.t, status, r.status, r.body)
	return r
}

// fails checks that the answer is an error with exactly this text.
func (r reply) fails(status int, text string) {
	r.t.Helper()
	r.is(status)
	require.Equal(r.t, text, r.errorText())
}

// failsWith checks that the answer is an error that contains a text.
func (r reply) failsWith(status int, text string) {
	r.t.Helper()
	r.is(status)
	require.Contains(r.t, r.errorText(), text)
}

// errorText checks the envelope of an error and returns its text.
func (r reply) errorText() string {
	r.t.Helper()
	var e struct{ Error, Code string }
	r.into(&e)
	require.Equal(r.t, r.header.Get("X-Request-Id"), e.Code)
	require.NotEmpty(r.t, e.Code)
	return e.Error
}

// into decodes the body.
func (r reply) into(v any) {
	r.t.Helper()
	require.Equal(r.t, "application/json", r.header.Get("Content-Type"))
	require.NoError(r.t, json.Unmarshal([]byte(r.body), v), r.body)
}

// object decodes the body as an object.
func (r reply) object() map[string]any {
	r.t.Helper()
	var o map[string]any
	r.into(&o)
	return o
}

// list decodes the body as an array of objects.
func (r reply) list() []map[string]any {
	r.t.Helper()
	var l []map[string]any
	r.into(&l)
	require.NotNil(r.t, l)
	return l
}

// json checks the body.
func (r reply) json(want string) {
	r.t.Helper()
	require.JSONEq(r.t, want, r.body)
}
