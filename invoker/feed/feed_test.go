package feed

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gowhisk/gowhisk/invoker/activation"
	"github.com/gowhisk/gowhisk/invoker/pool"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/local"
	"github.com/gowhisk/gowhisk/pkg/encryption"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a feed over a real queue and store, with a pool that only keeps what
// is submitted.
type world struct {
	t       *testing.T
	db      *sqlite.DB
	bus     *local.Bus
	queue   bus.Queue
	settler *activation.Settler
	feed    *Feed
	stop    func()

	wants     atomic.Int64
	capacity  chan struct{}
	submitted chan pool.Job
	completed chan *bus.Completion
}

// noKeys decrypts nothing.
var noKeys *encryption.Keyring

type noKinds struct{}

func (noKinds) HasSentinels(*entity.Exec) bool { return true }
func (noKinds) Image(*entity.Exec) string      { return "" }

func newWorld(t *testing.T, path string, wants int64) *world {
	w := &world{t: t, capacity: make(chan struct{}, 1), submitted: make(chan pool.Job, 100), completed: make(chan *bus.Completion, 100)}
	var err error
	w.db, err = sqlite.Open(t.Context(), sqlite.Options{Path: path})
	require.NoError(t, err)
	w.bus = local.New(w.db, local.Options{})
	w.bus.HandleCompletions("0", func(c *bus.Completion) { w.completed <- c })
	w.queue, err = w.bus.Queue(0)
	require.NoError(t, err)
	log := zaptest.NewLogger(t)
	w.settler = activation.NewSettler(w.queue, w.bus, 0, time.Millisecond, log)
	actions := NewActions(w.db.Entities(), noKeys)
	w.wants.Store(wants)
	w.feed = New(Config{MaxAge: time.Hour, Limits: entity.DefaultLimitRanges(), Kinds: noKinds{}, Blocked: w.db}, w.queue, actions, w.settler, w, log)
	return w
}

func (w *world) Wants() int                { return int(w.wants.Load()) }
func (w *world) Capacity() <-chan struct{} { return w.capacity }

// finish makes room for one more.
func (w *world) finish() {
	w.wants.Add(1)
	select {
	case w.capacity <- struct{}{}:
	default:
	}
}

func (w *world) Submit(j pool.Job) error {
	w.wants.Add(-1)
	w.submitted <- j
	return nil
}

func (w *world) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.feed.Run(ctx, func() {}) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(w.t, <-done)
		require.NoError(w.t, w.settler.Close(context.Background()))
		w.feed.actions.Close()
		require.NoError(w.t, w.queue.Close())
		require.NoError(w.t, w.db.Close())
	})
	w.t.Cleanup(w.stop)
}

func (w *world) action(name string, annotations ...entity.Parameter) *entity.Action {
	code := "code"
	a := &entity.Action{
		Header:     entity.Header{Namespace: "guest", Name: entity.Name(name), Version: entity.FirstVersion, Annotations: annotations},
		Exec:       entity.Exec{Kind: "nodejs:20", Code: &code},
		Parameters: entity.Parameters{}, Limits: entity.DefaultLimitRanges().Std(),
	}
	require.NoError(w.t, w.db.Entities().Put(w.t.Context(), a))
	return a
}

func (w *world) publish(a *entity.Action, change func(*bus.ActivationMessage)) *bus.ActivationMessage {
	m := &bus.ActivationMessage{
		Transid: bus.Transid{ID: "tid", Start: time.Now()}, Action: a.FQN(), Version: a.Version, Revision: a.Revision,
		User: entity.Identity{Subject: "guest", Namespace: "guest"}, ActivationID: entity.NewActivationID(), Controller: "0", Blocking: true,
	}
	if change != nil {
		change(m)
	}
	require.NoError(w.t, w.bus.Publish(w.t.Context(), 0, m))
	return m
}

// record waits for the completion of m and returns its stored record.
func (w *world) record(m *bus.ActivationMessage) *entity.Activation {
	for {
		select {
		case c := <-w.completed:
			if c.ActivationID != m.ActivationID {
				continue
			}
			a, err := w.db.Activations().Activation(w.t.Context(), entity.Path(m.User.Namespace), m.ActivationID)
			require.NoError(w.t, err)
			return a
		case <-time.After(10 * time.Second):
			w.t.Fatal("no completion arrived")
		}
	}
}

func (w *world) job() pool.Job {
	select {
	case j := <-w.submitted:
		return j
	case <-time.After(10 * time.Second):
		w.t.Fatal("no job was submitted")
		panic("unreachable")
	}
}

func TestFeedClaimsNoMoreThanThePoolWants(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/db", 2)
	a := w.action("hello")
	for range 5 {
		w.publish(a, nil)
	}
	w.start()
	w.job()
	w.job()
	require.Empty(t, w.submitted)
	n, err := w.queue.Backlog(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, n)
	w.finish()
	w.job()
	require.Empty(t, w.submitted)
}

func TestFeedEndsWhatMustNotRun(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/db", 4)
	a := w.action("hello")
	gone := &entity.Action{Header: entity.Header{Namespace: "guest", Name: "gone", Version: entity.FirstVersion, Revision: "1"}}
	trigger := &entity.Trigger{Header: entity.Header{Namespace: "guest", Name: "trig", Version: entity.FirstVersion, Annotations: entity.Parameters{}}, Parameters: entity.Parameters{}}
	require.NoError(t, w.db.Entities().Put(t.Context(), trigger))
	other := &entity.Action{Header: entity.Header{Namespace: "guest", Name: "trig", Version: entity.FirstVersion, Revision: "1"}}
	zero := 0
	small := entity.Megabytes(128)
	w.start()
	for _, c := range []struct {
		name   string
		action *entity.Action
		change func(*bus.ActivationMessage)
		status entity.StatusCode
		text   string
		kind   string
	}{
		{"deleted meanwhile", gone, nil, 1, "Action could not be found or may have been deleted.", "unknown"},
		{"another type meanwhile", other, nil, 3, "Action version is not compatible and cannot be invoked.", "unknown"},
		{"blacklisted", a, func(m *bus.ActivationMessage) { m.User.Limits.InvocationsPerMinute = &zero }, 1, "The action was not invoked due to a blacklisted namespace.", "unknown"},
		{"too old", a, func(m *bus.ActivationMessage) { m.Transid.Start = time.Now().Add(-2 * time.Hour) }, 3, "The activation waited longer than 1h0m0s to be run and was given up.", "unknown"},
		{"limits narrowed meanwhile", a, func(m *bus.ActivationMessage) { m.User.Limits.MaxActionMemory = &small }, 1, "requirement failed: memory size 256 MB exceeds allowed threshold of 128 MB", "nodejs:20"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := w.record(w.publish(c.action, c.change))
			require.Equal(t, c.status, r.Response.StatusCode)
			require.JSONEq(t, string(entity.ErrorResponse(c.status, c.text).Result), string(r.Response.Result))
			kind, _ := r.Annotations.String("kind")
			require.Equal(t, c.kind, kind)
			require.Empty(t, w.submitted)
		})
	}
}

// TestNamespaceThatIsBlockedWhileItsWorkWaits: the message says nothing of it.
func TestNamespaceThatIsBlockedWhileItsWorkWaits(t *testing.T) {
	for name, block := range map[string]func(*world) error{
		"by_its_limits": func(w *world) error {
			zero := 0
			return w.db.Subjects().PutLimits(w.t.Context(), "guest", &entity.UserLimits{ConcurrentInvocations: &zero})
		},
		"by_its_subject": func(w *world) error {
			s := &entity.Subject{Name: "guest", Blocked: true, Namespaces: []entity.SubjectNamespace{{Name: "guest", AuthKey: entity.NewAuthKey()}}}
			return w.db.Subjects().PutSubject(w.t.Context(), s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir()+"/db", 4)
			m := w.publish(w.action("hello"), nil)
			require.NoError(t, block(w))
			w.start()
			r := w.record(m)
			require.Equal(t, entity.StatusApplicationError, r.Response.StatusCode)
			require.Contains(t, string(r.Response.Result), "The action was not invoked due to a blacklisted namespace.")
			require.Empty(t, w.submitted)
		})
	}
}

// TestNamespaceThatIsBlockedRunsNothingAgain: not even what allows it after a crash.
func TestNamespaceThatIsBlockedRunsNothingAgain(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/db", 2)
	m := w.publish(w.action("again", entity.Parameter{Key: "retry", Value: json.RawMessage("true")}), nil)
	claimed, err := w.queue.Claim(t.Context(), 1) // by an earlier owner
	require.NoError(t, err)
	require.Len(t, claimed, 1)
	zero := 0
	require.NoError(t, w.db.Subjects().PutLimits(t.Context(), "guest", &entity.UserLimits{InvocationsPerMinute: &zero}))
	w.start()
	require.Equal(t, entity.StatusApplicationError, w.record(m).Response.StatusCode)
	require.Empty(t, w.submitted)
}

func TestNamespaceThatStoresNothingHasNoRecord(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/db", 4)
	w.start()
	no := false
	gone := &entity.Action{Header: entity.Header{Namespace: "guest", Name: "gone", Version: entity.FirstVersion}}
	m := w.publish(gone, func(m *bus.ActivationMessage) { m.User.Limits.StoreActivations = &no })
	c := <-w.completed
	require.Equal(t, m.ActivationID, c.ActivationID)
	require.NotNil(t, c.Record, "the waiting client is answered all the same")
	_, err := w.db.Activations().Activation(t.Context(), "guest", m.ActivationID)
	require.ErrorIs(t, err, store.ErrNotFound)
}

// TestRecovery: what an earlier owner claimed gets a record that says so, and
// runs again only where the action allows it, a bounded number of times.
func TestRecovery(t *testing.T) {
	path := t.TempDir() + "/db"
	w := newWorld(t, path, 10)
	plain := w.action("plain")
	again := w.action("again", entity.Parameter{Key: "retry", Value: json.RawMessage("true")})
	once, repeated := w.publish(plain, nil), w.publish(again, nil)
	crash := func(w *world) { // nothing is handed back
		require.NoError(t, w.settler.Close(t.Context()))
		require.NoError(t, w.queue.Close())
		require.NoError(t, w.db.Close())
	}
	claimed, err := w.queue.Claim(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, claimed, 2)
	w.feed.actions.Close()
	crash(w)

	for attempt := 1; attempt < maxAttempts; attempt++ {
		w = newWorld(t, path, 10)
		require.NoError(t, w.feed.recover(t.Context()))
		if attempt == 1 {
			r := w.record(once)
			require.Equal(t, entity.StatusWhiskError, r.Response.StatusCode)
			require.Contains(t, string(r.Response.Result), "The server stopped while the activation was running.")
		}
		job := w.job()
		require.Equal(t, string(repeated.ActivationID), job.ActivationID)
		require.Equal(t, attempt, job.Payload.(*activation.Task).Attempt)
		w.feed.actions.Close()
		crash(w)
	}
	w = newWorld(t, path, 10)
	w.start()
	r := w.record(repeated)
	require.Equal(t, entity.StatusWhiskError, r.Response.StatusCode)
	require.Empty(t, w.submitted)
}

// TestStopBeforeTheBeginning is no failure.
func TestStopBeforeTheBeginning(t *testing.T) {
	w := newWorld(t, t.TempDir()+"/db", 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, w.feed.Run(ctx, func() { t.Error("it feeds") }))
	w.start() // and stops with the test
}

func TestStopHandsBackWhatWasNotSubmitted(t *testing.T) {
	path := t.TempDir() + "/db"
	w := newWorld(t, path, 10)
	a := w.action("hello")
	w.start()
	m := w.publish(a, nil)
	job := w.job()
	activation.NewRunner(activation.DefaultConfig(), w.db.Entities(), noKeys, w.settler, zaptest.NewLogger(t)).Abandon(t.Context(), job, pool.ErrHandedBack)
	w.stop()
	w = newWorld(t, path, 10)
	w.start()
	require.Equal(t, string(m.ActivationID), w.job().ActivationID)
}

func TestMessageThatCannotBeRead(t *testing.T) {
	path := t.TempDir() + "/db"
	w := newWorld(t, path, 10)
	m := w.publish(w.action("hello"), func(m *bus.ActivationMessage) {
		m.User.Key = entity.AuthKey{UUID: "uuid", Key: "hush-key"}
		m.Content = json.RawMessage(`{"secret":"hush-argument","deep":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`)
	})
	w.feed.actions.Close()
	require.NoError(t, w.settler.Close(t.Context()))
	require.NoError(t, w.queue.Close())
	require.NoError(t, w.db.Close())
	w = newWorld(t, path, 10) // has no more than what was written
	core, logged := observer.New(zap.ErrorLevel)
	w.feed.log = zap.New(core)
	w.start()
	r := w.record(m)
	require.Equal(t, entity.StatusWhiskError, r.Response.StatusCode)
	require.Contains(t, string(r.Response.Result), "The activation's message could not be read.")
	require.Len(t, logged.All(), 1)
	require.Equal(t, string(m.ActivationID), logged.All()[0].ContextMap()["activationId"])
	require.NotContains(t, fmt.Sprint(logged.All()[0].ContextMap()), "hush")
}
