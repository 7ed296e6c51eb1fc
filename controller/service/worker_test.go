package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/local"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// worker is an invoker that runs no code: what an action does is looked up by its
// name, and unknown ones return their arguments. Everything around it is as in a
// real one: claim, result, record, completion.
type worker struct {
	bus   *local.Bus
	queue bus.Queue

	mu      sync.Mutex
	actions map[entity.Name]func(*bus.ActivationMessage) entity.Response // guarded by mu
	seen    []*bus.ActivationMessage                                     // guarded by mu
	shrink  bool                                                         // guarded by mu: completions carry no records
}

func startWorker(t testing.TB, b *local.Bus) *worker {
	q, err := b.Queue(0)
	require.NoError(t, err)
	w := &worker{bus: b, queue: q, actions: map[entity.Name]func(*bus.ActivationMessage) entity.Response{
		"err":   answer(entity.ErrorResponse(entity.StatusApplicationError, "boom")),
		"crash": answer(entity.ErrorResponse(entity.StatusDeveloperError, "The action did not produce a valid response and exited unexpectedly.")),
		"whisk": answer(entity.ErrorResponse(entity.StatusWhiskError, "Failed to provision resources to run the action.")),
		"arr":   answer(entity.Response{Result: json.RawMessage(`[1,2]`)}),
	}}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-done
		require.NoError(t, q.Close())
	})
	return w
}

func answer(r entity.Response) func(*bus.ActivationMessage) entity.Response {
	return func(*bus.ActivationMessage) entity.Response { return r }
}

// set makes an action do something.
func (w *worker) set(name entity.Name, f func(*bus.ActivationMessage) entity.Response) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.actions[name] = f
}

// hold makes an action wait until release is called.
func (w *worker) hold(name entity.Name) (release func()) {
	gate := make(chan struct{})
	w.set(name, func(m *bus.ActivationMessage) entity.Response {
		<-gate
		return entity.Response{Result: m.Content}
	})
	return sync.OnceFunc(func() { close(gate) })
}

// shrinkResults makes completions carry no records.
func (w *worker) shrinkResults() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shrink = true
}

// messages returns what came so far.
func (w *worker) messages() []*bus.ActivationMessage {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*bus.ActivationMessage(nil), w.seen...)
}

func (w *worker) run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		deliveries, err := w.queue.Claim(ctx, 64)
		if err != nil {
			return
		}
		for _, d := range deliveries {
			running.Go(func() { w.handle(ctx, d) })
		}
	}
}

func (w *worker) handle(ctx context.Context, d bus.Delivery) {
	m := d.Message
	w.mu.Lock()
	w.seen = append(w.seen, m)
	f, shrink := w.actions[m.Action.Name], w.shrink
	w.mu.Unlock()
	r := entity.Response{Result: m.Content}
	if f != nil {
		r = f(m)
	}
	record := recordOf(m, r)
	c := &bus.Completion{Kind: bus.ResultReady, Transid: m.Transid, ActivationID: m.ActivationID}
	if m.Blocking && !shrink {
		c.Record = record
		_ = w.bus.Complete(ctx, m.Controller, c) // nobody may listen
	}
	stored := record
	if !m.User.Limits.StoresActivations() {
		stored = nil
	}
	if err := w.queue.Settle(context.WithoutCancel(ctx), bus.Settlement{Delivery: d, Record: stored}); err != nil && !errors.Is(err, context.Canceled) {
		panic(err)
	}
	free := *c
	free.Kind = bus.SlotFree
	free.IsSystemError = r.StatusCode == entity.StatusWhiskError
	_ = w.bus.Complete(ctx, m.Controller, &free) // nobody may listen
}

func recordOf(m *bus.ActivationMessage, r entity.Response) *entity.Activation {
	size := int64(len(r.Result))
	if r.Size == nil {
		r.Size = &size
	}
	start, duration := m.Transid.Start.UnixMilli(), int64(5)
	return &entity.Activation{
		Namespace: entity.Path(m.User.Namespace), Name: m.Action.Name, Version: m.Version, Subject: m.User.Subject,
		ActivationID: m.ActivationID, Start: start, End: start + 5, Duration: &duration, Response: r,
		Logs: []string{time.UnixMilli(start).UTC().Format("2006-01-02T15:04:05.000000Z07:00") + "    stdout: hello"},
		Annotations: entity.Parameters{
			{Key: "path", Value: entity.AppendString(nil, m.Action.String())},
			{Key: "kind", Value: json.RawMessage(`"nodejs:20"`)},
		},
	}
}
