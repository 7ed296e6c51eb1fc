package service

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/invoker/pool"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/operator"
)

// pings keeps what is sent, and fails while it is told to.
type pings struct {
	mu   sync.Mutex
	sent []bus.Ping // guarded by mu
	err  error      // guarded by mu
}

func (p *pings) Ping(_ context.Context, ping *bus.Ping) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.sent = append(p.sent, *ping)
	}
	return p.err
}

func (p *pings) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *pings) all() []bus.Ping {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

func newTestPresence(to bus.Pinger) *presence {
	snapshot := func() (s pool.Snapshot) {
		s.Memory[pool.Running], s.Memory[pool.Initializing], s.Memory[pool.Idle] = 512, 256, 1024
		s.Waiting = 3
		return s
	}
	cfg := Config{ID: 7, UniqueName: "host-7", DisplayedName: "seven", Pool: pool.DefaultConfig(2048)}
	return newPresence(cfg, to, snapshot, func(context.Context) (int, error) { return 4, nil }, zap.NewNop())
}

func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &pings{}
		p := newTestPresence(to)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { p.run(ctx) })
		synctest.Wait()
		sent := to.all()
		require.Len(t, sent, 1, "at once")
		require.Equal(t, bus.Ping{
			Invoker: 7, UniqueName: "host-7", DisplayedName: "seven", UserMemory: 2048, BusyMemory: 768,
			Enabled: true, Waiting: 7, Sent: sent[0].Sent,
		}, sent[0])
		// Between two pings, so that nothing happens at the same instant.
		time.Sleep(3*pingInterval + pingInterval/2)
		require.Len(t, to.all(), 4, "each second")

		to.fail(errors.New("no broker"))
		time.Sleep(2 * pingInterval)
		to.fail(nil)
		time.Sleep(pingInterval)
		require.Len(t, to.all(), 5, "a bus that was down is tried again")

		p.disable()
		synctest.Wait()
		require.False(t, to.all()[5].Enabled, "a change is told at once")
		p.enable()
		synctest.Wait()
		require.True(t, to.all()[6].Enabled)
		p.leave()
		synctest.Wait()
		require.False(t, to.all()[7].Enabled)
		p.enable()
		synctest.Wait()
		require.False(t, to.all()[8].Enabled, "who leaves takes no work whatever an operator says")
		stop()
		running.Wait()
	})
}

func TestPrivateAnswers(t *testing.T) {
	s := &Service{deps: Deps{Log: zap.NewNop()}, operator: operator.Credentials{User: "u", Password: "p"}, presence: newTestPresence(nil)}
	ask := func(method, path, user string) (int, string) {
		r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		if user != "" {
			r.SetBasicAuth(user, "p")
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	expect := func(status int, body string) func(int, string) {
		return func(gotStatus int, gotBody string) {
			t.Helper()
			require.Equal(t, status, gotStatus, gotBody)
			require.Equal(t, body, gotBody)
		}
	}
	expect(200, "pong")(ask("GET", "/ping", ""))
	expect(503, "invoker7 takes no work")(ask("GET", "/ready", ""))
	s.feeding.Store(true)
	expect(200, "invoker7 takes work")(ask("GET", "/ready", ""))
	for _, path := range []string{"/disable", "/enable"} {
		for _, user := range []string{"", "v"} {
			expect(401, "username or password are wrong.")(ask("POST", path, user))
		}
		status, _ := ask("GET", path, "u")
		require.Equal(t, http.StatusMethodNotAllowed, status)
	}
	expect(200, `{"enabled":true}`)(ask("GET", "/isEnabled", "u"))
	expect(200, "invoker7 is now disabled.")(ask("POST", "/disable", "u"))
	expect(200, `{"enabled":false}`)(ask("GET", "/isEnabled", "u"))
	expect(503, "invoker7 takes no work")(ask("GET", "/ready", ""))
	expect(200, "invoker7 is now enabled.")(ask("POST", "/enable", "u"))
	expect(200, "invoker7 takes work")(ask("GET", "/ready", ""))
}

func TestPoolTotals(t *testing.T) {
	var s pool.Snapshot
	s.Containers[pool.Planned], s.Containers[pool.Starting], s.Containers[pool.Initializing] = 1, 2, 3
	s.Containers[pool.StemCell], s.Containers[pool.Running], s.Containers[pool.Paused], s.Containers[pool.Idle] = 4, 5, 6, 7
	require.Equal(t, poolTotals{TotalContainers: 28, InProgressCount: 6, PrewarmedPool: 4, BusyPool: 5, PausedPool: 6}, totals(s))
}
