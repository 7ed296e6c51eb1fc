package activation

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/pool"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// box is a container that answers from a table.
type box struct {
	container.Container
	answers map[string]func(ctx context.Context) (container.Response, error)
	logs    container.Logs
	calls   []string
	bodies  map[string]string // of the calls, if not nil
	asked   []container.LogQuery
	// order is what happened, shared with the ledger.
	order *[]string
}

func (b *box) Call(ctx context.Context, path string, body []byte, _ int64) (container.Response, error) {
	b.calls = append(b.calls, path)
	if b.bodies != nil {
		b.bodies[path] = string(body)
	}
	return b.answers[path](ctx)
}

func (b *box) Logs(_ context.Context, q container.LogQuery) container.Logs {
	*b.order = append(*b.order, "logs")
	b.asked = append(b.asked, q)
	return b.logs
}

func answers(status int, body string) func(context.Context) (container.Response, error) {
	return func(context.Context) (container.Response, error) {
		return container.Response{Status: status, Body: []byte(body), Length: int64(len(body))}, nil
	}
}

func fails(err error) func(context.Context) (container.Response, error) {
	return func(context.Context) (container.Response, error) { return container.Response{}, err }
}

// ledger is a queue, and the controller behind it, that remembers what it is told.
type ledger struct {
	bus.Queue
	mu          sync.Mutex
	order       []string
	records     []*entity.Activation
	released    int
	completions []*bus.Completion
	// refusals is how often Settle fails before it works.
	refusals int
}

func (l *ledger) Settle(_ context.Context, list ...bus.Settlement) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refusals > 0 {
		l.refusals--
		return errors.New("the store is down")
	}
	for _, s := range list {
		l.order = append(l.order, "settled")
		l.records = append(l.records, s.Record)
	}
	return nil
}

func (l *ledger) Release(context.Context, []bus.Delivery) error {
	l.released++
	return nil
}

func (l *ledger) Complete(_ context.Context, _ entity.ControllerID, c *bus.Completion) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.order = append(l.order, map[bus.CompletionKind]string{bus.ResultReady: "answered", bus.SlotFree: "freed", bus.Combined: "ended"}[c.Kind])
	l.completions = append(l.completions, c)
	return nil
}

type source struct {
	code string
	err  error
}

func (s source) Code(context.Context, *entity.Action) (string, error) { return s.code, s.err }

// ran is what one Run did.
type ran struct {
	*ledger
	box     *box
	outcome pool.Outcome
	warm    bool
}

func (r ran) record() *entity.Activation { return r.records[len(r.records)-1] }

func run(t *testing.T, b *box, task *Task, initialise bool, code source) ran {
	l := &ledger{}
	b.order = &l.order
	settler := NewSettler(l, l, 0, time.Millisecond, zaptest.NewLogger(t))
	runner := NewRunner(DefaultConfig(), code, testKeys, settler, zaptest.NewLogger(t))
	r := ran{ledger: l, box: b}
	task.SentinelledLogs = true
	r.outcome = runner.Run(t.Context(), b, pool.Job{Payload: task}, initialise, pool.Cold, func() { r.warm = true })
	require.NoError(t, settler.Close(t.Context()))
	return r
}

type answerTable = map[string]func(context.Context) (container.Response, error)

func blocking(content string) *Task {
	task := testTask(content)
	task.Message().Blocking = true
	return task
}

// TestOrderOfEvents is openwhisk-invoker.md 2.8 and trap 10: the waiting client is
// answered before the logs are read, the record comes next, and the slot is free last.
func TestOrderOfEvents(t *testing.T) {
	b := &box{answers: answerTable{"/init": answers(200, `{}`), "/run": answers(200, `{"a":1}`)}, logs: container.Logs{Lines: []string{"line"}}}
	r := run(t, b, blocking(`{}`), true, source{code: "code"})
	require.Equal(t, []string{"answered", "logs", "settled", "freed"}, r.order)
	require.Equal(t, []string{"/init", "/run"}, b.calls)
	require.Equal(t, pool.Keep, r.outcome)
	require.True(t, r.warm)
	require.Equal(t, []string{"line"}, r.record().Logs)
	require.Empty(t, r.completions[0].Record.Logs, "the answer is not changed by the logs")
	require.Nil(t, r.completions[1].Record)
}

// A component's result does not go ahead of its record: a crash in between would
// replace what the sequence has gone on with.
func TestAComponentsResultGoesWithItsRecord(t *testing.T) {
	b := &box{answers: answerTable{"/run": answers(200, `{"a":1}`)}, logs: container.Logs{Lines: []string{"line"}}}
	task := blocking(`{}`)
	task.Message().Cause = entity.NewActivationID()
	r := run(t, b, task, false, source{})
	require.Equal(t, []string{"logs", "settled", "ended"}, r.order)
	require.Equal(t, `{"a":1}`, string(r.completions[0].Record.Response.Result))
}

func TestNobodyWaitsForANonBlockingResult(t *testing.T) {
	b := &box{answers: answerTable{"/run": answers(200, `{"a":1}`)}}
	r := run(t, b, testTask(`{}`), false, source{})
	require.Equal(t, []string{"logs", "settled", "freed"}, r.order)
	require.Nil(t, r.completions[0].Record, "trap 11: results of non-blocking activations do not travel")
}

func TestWithoutLogsResultAndEndGoTogether(t *testing.T) {
	task := blocking(`{}`)
	task.Action.Limits.Logs = 0
	b := &box{answers: answerTable{"/run": answers(200, `{"a":1}`)}}
	r := run(t, b, task, false, source{})
	require.Equal(t, []string{"settled", "ended"}, r.order)
	require.NotNil(t, r.completions[0].Record)
}

// TestFateOfTheContainer is the end of openwhisk-invoker.md 1.3, and trap 4.
func TestFateOfTheContainer(t *testing.T) {
	for _, c := range []struct {
		name       string
		initialise bool
		answers    answerTable
		logs       container.Logs
		outcome    pool.Outcome
		settled    int
		status     entity.StatusCode
	}{
		{"success", false, answerTable{"/run": answers(200, `{}`)}, container.Logs{}, pool.Keep, 1, 0},
		{"application error", false, answerTable{"/run": answers(200, `{"error":1}`)}, container.Logs{}, pool.Keep, 1, 1},
		{"developer error", false, answerTable{"/run": answers(502, `{"error":1}`)}, container.Logs{}, pool.Destroy, 1, 2},
		{"log limit exceeded", false, answerTable{"/run": answers(200, `{}`)}, container.Logs{Truncated: true}, pool.Destroy, 1, 0},
		{"logs incomplete", false, answerTable{"/run": answers(200, `{}`)}, container.Logs{Incomplete: true}, pool.Destroy, 1, 0},
		{"init fails", true, answerTable{"/init": answers(502, `{"error":1}`)}, container.Logs{}, pool.Destroy, 1, 2},
		{"shutting down at init", true, answerTable{"/init": answers(503, ``)}, container.Logs{}, pool.Reschedule, 0, 0},
		{"shutting down at run", false, answerTable{"/run": answers(503, ``)}, container.Logs{}, pool.Reschedule, 0, 0},
		{"warm container is gone", false, answerTable{"/run": fails(container.ErrNotListening)}, container.Logs{}, pool.Reschedule, 0, 0},
		{"cold container is gone after init", true, answerTable{"/init": answers(200, ``), "/run": fails(container.ErrNotListening)}, container.Logs{}, pool.Destroy, 1, 2},
		{"connection breaks: it may have run", false, answerTable{"/run": fails(container.ErrNoResponse)}, container.Logs{}, pool.Destroy, 1, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, &box{answers: c.answers, logs: c.logs}, blocking(`{}`), c.initialise, source{})
			require.Equal(t, c.outcome, r.outcome)
			require.Len(t, r.records, c.settled)
			if c.settled > 0 {
				require.Equal(t, c.status, r.record().Response.StatusCode)
			}
		})
	}
}

func TestDeveloperErrorDoesNotWaitForTheSentinel(t *testing.T) {
	b := &box{answers: answerTable{"/run": answers(502, `{"error":1}`)}, logs: container.Logs{Lines: []string{"line"}}}
	r := run(t, b, blocking(`{}`), false, source{})
	require.False(t, b.asked[0].WaitForSentinel)
	lines := r.record().Logs
	require.Len(t, lines, 2)
	require.True(t, strings.HasSuffix(lines[1], " stderr: The action did not initialize or run as expected. Log data might be missing."), lines[1])
}

// TestTimeLimits is trap 9: init and run each get the whole limit.
func TestTimeLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := func(ctx context.Context) (container.Response, error) {
			<-ctx.Done()
			return container.Response{}, ctx.Err()
		}
		slowly := func(context.Context) (container.Response, error) {
			<-time.After(900 * time.Millisecond)
			return container.Response{Status: 200, Body: []byte(`{}`), Length: 2}, nil
		}
		task := func() *Task {
			task := blocking(`{}`)
			task.Action.Limits.Timeout = 1000
			return task
		}
		r := run(t, &box{answers: answerTable{"/init": slowly, "/run": slowly}}, task(), true, source{})
		require.Equal(t, entity.StatusSuccess, r.record().Response.StatusCode)
		require.EqualValues(t, 1800, *r.record().Duration)

		r = run(t, &box{answers: answerTable{"/init": never}}, task(), true, source{})
		require.Contains(t, string(r.record().Response.Result), "exceeded its time limits of 1000 milliseconds during initialization.")
		timedOut, _ := r.record().Annotations.Get("timeout")
		require.Equal(t, "true", string(timedOut))

		r = run(t, &box{answers: answerTable{"/run": never}}, task(), false, source{})
		require.Contains(t, string(r.record().Response.Result), "exceeded its time limits of 1000 milliseconds.")
	})
}

func TestStopEndsARunWithARecord(t *testing.T) {
	l := &ledger{}
	settler := NewSettler(l, l, 0, time.Millisecond, zaptest.NewLogger(t))
	runner := NewRunner(DefaultConfig(), source{}, testKeys, settler, zaptest.NewLogger(t))
	ctx, cancel := context.WithCancel(t.Context())
	b := &box{order: &l.order, answers: answerTable{"/run": func(context.Context) (container.Response, error) {
		cancel()
		return container.Response{}, context.Canceled
	}}}
	require.Equal(t, pool.Destroy, runner.Run(ctx, b, pool.Job{Payload: blocking(`{}`)}, false, pool.Warmed, nil))
	require.NoError(t, settler.Close(t.Context()))
	require.Contains(t, string(l.records[0].Response.Result), "because the server was stopped")
}

func TestCodeThatCannotBeReadEndsTheActivation(t *testing.T) {
	r := run(t, &box{}, blocking(`{}`), true, source{err: errors.New("disk")})
	require.Equal(t, entity.StatusWhiskError, r.record().Response.StatusCode)
	require.JSONEq(t, `{"error":"Action could not be fetched."}`, string(r.record().Response.Result))
	require.Equal(t, []string{"settled", "ended"}, r.order)
}

func TestAbandon(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		status entity.StatusCode
		text   string
	}{
		{"the platform's fault", pool.ErrUnreachable, entity.StatusWhiskError, "Failed to provision resources to run the action."},
		{"the owner's fault", &container.StartError{Text: "Failed to pull container image 'me/img'."}, entity.StatusDeveloperError, "Failed to pull container image 'me/img'."},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &ledger{}
			settler := NewSettler(l, l, 0, time.Millisecond, zaptest.NewLogger(t))
			NewRunner(DefaultConfig(), source{}, testKeys, settler, zaptest.NewLogger(t)).Abandon(t.Context(), pool.Job{Payload: blocking(`{}`)}, c.err)
			require.NoError(t, settler.Close(t.Context()))
			require.Equal(t, c.status, l.records[0].Response.StatusCode)
			var result struct{ Error string }
			require.NoError(t, json.Unmarshal(l.records[0].Response.Result, &result))
			require.Equal(t, c.text, result.Error)
		})
	}
	l := &ledger{}
	settler := NewSettler(l, l, 0, time.Millisecond, zaptest.NewLogger(t))
	NewRunner(DefaultConfig(), source{}, testKeys, settler, zaptest.NewLogger(t)).Abandon(t.Context(), pool.Job{Payload: blocking(`{}`)}, pool.ErrHandedBack)
	require.NoError(t, settler.Close(t.Context()))
	require.Equal(t, 1, l.released)
	require.Empty(t, l.records)
}

// TestSettlerRepeatsUntilTheStoreTakesIt: a store that is down is back pressure,
// not loss, and no completion comes before its record.
func TestSettlerRepeatsUntilTheStoreTakesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{refusals: 20}
		settler := NewSettler(l, l, 0, time.Millisecond, zaptest.NewLogger(t))
		task := blocking(`{}`)
		settler.Settle(task.Delivery, &entity.Activation{}, bus.SlotFree)
		require.NoError(t, settler.Close(context.Background()))
		require.Equal(t, []string{"settled", "freed"}, l.order)
	})
}

func TestSettlerGivesUpWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{refusals: 1 << 30}
		settler := NewSettler(l, l, 0, time.Millisecond, zaptest.NewLogger(t))
		settler.Settle(blocking(`{}`).Delivery, &entity.Activation{}, bus.SlotFree)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.ErrorIs(t, settler.Close(ctx), context.DeadlineExceeded)
		require.Empty(t, l.order, "the message stays claimed, for the next start")
	})
}
