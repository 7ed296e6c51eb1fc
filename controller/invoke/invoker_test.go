package invoke

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// platform is everything around an Invoker, in memory.
type platform struct {
	mu                               sync.Mutex
	booked                           map[string]int                             // guarded by mu: in flight, by uuid
	chosen                           int                                        // guarded by mu: Choose minus Release
	outcomes                         []Outcome                                  // guarded by mu
	published                        []*bus.ActivationMessage                   // guarded by mu
	records                          map[entity.ActivationID]*entity.Activation // guarded by mu
	looks                            int                                        // guarded by mu
	accepted, refused, expired, lost int                                        // guarded by mu
	overflowed                       int                                        // guarded by mu
	waiting                          []*bus.ActivationMessage                   // guarded by mu: the overflow queue

	beginErr, chooseErr, publishErr error
	onPublish                       func(*bus.ActivationMessage)
}

func (p *platform) Begin(id *entity.Identity) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.beginErr == nil {
		p.booked[id.Key.UUID]++
	}
	return p.beginErr
}

func (p *platform) BeginComponent(id *entity.Identity) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.booked[id.Key.UUID]++
}

func (p *platform) End(uuid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.booked[uuid]--
}

func (p *platform) Choose(context.Context, Placement) (entity.InvokerID, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.chooseErr == nil {
		p.chosen++
	}
	return 3, p.chooseErr
}

func (p *platform) Release(_ entity.InvokerID, _ Placement, o Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chosen--
	p.outcomes = append(p.outcomes, o)
}

func (p *platform) Publish(_ context.Context, _ entity.InvokerID, m *bus.ActivationMessage) error {
	p.mu.Lock()
	p.published = append(p.published, m)
	p.mu.Unlock()
	if p.onPublish != nil {
		p.onPublish(m)
	}
	return p.publishErr
}

func (p *platform) Activation(_ context.Context, _ entity.Path, id entity.ActivationID) (*entity.Activation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looks++
	if r := p.records[id]; r != nil {
		return r, nil
	}
	return nil, store.ErrNotFound
}

func (p *platform) count(n *int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*n++
}

func (p *platform) Accepted(bool)   { p.count(&p.accepted) }
func (p *platform) Refused()        { p.count(&p.refused) }
func (p *platform) WaitExpired()    { p.count(&p.expired) }
func (p *platform) LostActivation() { p.count(&p.lost) }
func (p *platform) Overflowed()     { p.count(&p.overflowed) }

// free checks that nothing is booked any more.
func (p *platform) free(t *testing.T, v *Invoker, outcomes ...Outcome) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Zero(t, p.booked["u"])
	require.Zero(t, p.chosen)
	require.Equal(t, outcomes, p.outcomes)
	require.Zero(t, v.InFlight())
}

func newInvoker(t *testing.T) (*Invoker, *platform) {
	p := &platform{booked: map[string]int{}, records: map[entity.ActivationID]*entity.Activation{}}
	v := New(Config{
		Controller: "0", PublishTimeout: time.Second, LostFactor: 2, LostExtra: time.Minute, StdTimeout: time.Minute, PollInterval: 15 * time.Second,
	}, Deps{Balancer: p, Publisher: p, InFlight: p, Records: p, Metrics: p, Log: zaptest.NewLogger(t), Now: time.Now})
	return v, p
}

func request(t *testing.T, wait time.Duration) *Request {
	return &Request{
		Identity: &entity.Identity{Subject: "alice", Namespace: "ns", Key: entity.AuthKey{UUID: "u", Key: "secret"}},
		Callable: callable(t, `[{"key":"a","value":1}]`), Payload: json.RawMessage(`{"b":2}`), Wait: wait,
	}
}

// complete sends a completion.
func complete(v *Invoker, kind bus.CompletionKind, id entity.ActivationID, record *entity.Activation) {
	v.Completed(&bus.Completion{Kind: kind, ActivationID: id, Record: record})
}

func TestNonBlockingReturnsOnceAccepted(t *testing.T) {
	v, p := newInvoker(t)
	r, err := v.Invoke(t.Context(), request(t, 0))
	require.NoError(t, err)
	require.Nil(t, r.Record)
	m := p.published[0]
	require.Equal(t, r.ActivationID, m.ActivationID)
	require.False(t, m.Blocking)
	require.Equal(t, `{"a":1,"b":2}`, string(m.Content))
	require.Equal(t, entity.ControllerID("0"), m.Controller)
	require.Equal(t, "secret", m.User.Key.Key)
	require.Equal(t, 1, v.InFlight())
	complete(v, bus.SlotFree, r.ActivationID, nil)
	p.free(t, v, Completed)
	complete(v, bus.SlotFree, r.ActivationID, nil) // said twice, freed once
	p.free(t, v, Completed)
}

func TestBlockingReturnsWithTheResultAndKeepsTheSlotUntilTheEnd(t *testing.T) {
	v, p := newInvoker(t)
	record := &entity.Activation{Name: "a"}
	p.onPublish = func(m *bus.ActivationMessage) { go complete(v, bus.ResultReady, m.ActivationID, record) }
	r, err := v.Invoke(t.Context(), request(t, time.Minute))
	require.NoError(t, err)
	require.Same(t, record, r.Record)
	require.Equal(t, 1, v.InFlight())
	v.Completed(&bus.Completion{Kind: bus.SlotFree, ActivationID: r.ActivationID, IsSystemError: true})
	p.free(t, v, SystemError)
}

func TestACompletionMayComeBeforePublishReturns(t *testing.T) {
	v, p := newInvoker(t)
	record := &entity.Activation{Name: "a"}
	p.onPublish = func(m *bus.ActivationMessage) { complete(v, bus.Combined, m.ActivationID, record) }
	r, err := v.Invoke(t.Context(), request(t, time.Minute))
	require.NoError(t, err)
	require.Same(t, record, r.Record)
	p.free(t, v, Completed)
}

// TestWhatWasAcceptedBeforeIsNotRefusedForTheLimit: the limit is full of others now.
func TestWhatWasAcceptedBeforeIsNotRefusedForTheLimit(t *testing.T) {
	v, p := newInvoker(t)
	p.beginErr, p.publishErr = errors.New("limit reached"), bus.ErrDuplicate
	r := request(t, 0)
	r.ID, r.Republished = entity.NewActivationID(), true
	result, err := v.Invoke(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, r.ID, result.ActivationID)
	p.free(t, v, Completed)
}

func TestNothingStaysBookedWhenAnActivationIsNotAccepted(t *testing.T) {
	limit := errors.New("limit reached")
	for name, c := range map[string]struct {
		set      func(*platform)
		want     error
		outcomes []Outcome
	}{
		"throttled":   {func(p *platform) { p.beginErr = limit }, limit, nil},
		"no invokers": {func(p *platform) { p.chooseErr = ErrNoInvokers }, ErrNoInvokers, nil},
		"bus down":    {func(p *platform) { p.publishErr = errors.New("connection refused") }, ErrUnavailable, []Outcome{NotSent}},
		"too large":   {func(p *platform) { p.publishErr = bus.ErrTooLarge }, bus.ErrTooLarge, []Outcome{NotSent}},
	} {
		t.Run(name, func(t *testing.T) {
			v, p := newInvoker(t)
			c.set(p)
			_, err := v.Invoke(t.Context(), request(t, time.Minute))
			require.ErrorIs(t, err, c.want)
			p.free(t, v, c.outcomes...)
		})
	}
}

func TestAFailedPublishWhoseActivationRanIsFreedOnce(t *testing.T) {
	v, p := newInvoker(t)
	p.publishErr = context.DeadlineExceeded
	p.onPublish = func(m *bus.ActivationMessage) { complete(v, bus.Combined, m.ActivationID, nil) }
	_, err := v.Invoke(t.Context(), request(t, 0))
	require.ErrorIs(t, err, ErrUnavailable)
	p.free(t, v, Completed)
}

func TestFinalParametersAreRefusedBeforeAnythingIsBooked(t *testing.T) {
	v, p := newInvoker(t)
	r := request(t, 0)
	r.Callable.Final = []string{"b"}
	_, err := v.Invoke(t.Context(), r)
	require.ErrorIs(t, err, ErrFinal)
	p.free(t, v)
}

func TestAClientThatLeavesLeavesTheActivationRunning(t *testing.T) {
	v, p := newInvoker(t)
	ctx, leave := context.WithCancel(t.Context())
	p.onPublish = func(*bus.ActivationMessage) { leave() }
	r, err := v.Invoke(ctx, request(t, time.Minute))
	require.NoError(t, err)
	require.Nil(t, r.Record)
	require.Equal(t, 1, v.InFlight())
	complete(v, bus.Combined, r.ActivationID, &entity.Activation{})
	p.free(t, v, Completed)
}

func TestAWaitExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, p := newInvoker(t)
		start := time.Now()
		r, err := v.Invoke(t.Context(), request(t, time.Minute))
		require.NoError(t, err)
		require.Nil(t, r.Record)
		require.Equal(t, time.Minute, time.Since(start))
		require.Equal(t, 1, p.expired)
		require.Equal(t, 4, p.looks, "a lost completion is made up for every 15 s")
		complete(v, bus.Combined, r.ActivationID, &entity.Activation{})
		p.free(t, v, Completed)
	})
}

func TestARecordThatTheCompletionDoesNotCarryIsFetched(t *testing.T) {
	for _, kind := range []bus.CompletionKind{bus.ResultReady, bus.SlotFree, bus.Combined} {
		synctest.Test(t, func(t *testing.T) {
			v, p := newInvoker(t)
			record := &entity.Activation{Name: "a"}
			p.onPublish = func(m *bus.ActivationMessage) {
				complete(v, kind, m.ActivationID, nil)
				time.AfterFunc(100*time.Millisecond, func() {
					p.mu.Lock()
					defer p.mu.Unlock()
					p.records[m.ActivationID] = record
				})
			}
			start := time.Now()
			r, err := v.Invoke(t.Context(), request(t, time.Minute))
			require.NoError(t, err)
			require.Same(t, record, r.Record)
			require.Less(t, time.Since(start), time.Second)
		})
	}
}

func TestARecordIsFoundThoughTheCompletionWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, p := newInvoker(t)
		record := &entity.Activation{Name: "a"}
		p.onPublish = func(m *bus.ActivationMessage) { p.records[m.ActivationID] = record }
		r, err := v.Invoke(t.Context(), request(t, time.Minute))
		require.NoError(t, err)
		require.Same(t, record, r.Record)
	})
}

func TestLostActivationsAreFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, p := newInvoker(t)
		ctx, stop := context.WithCancel(t.Context())
		go func() { _ = v.Run(ctx) }()
		r, err := v.Invoke(t.Context(), request(t, 0))
		require.NoError(t, err)
		time.Sleep(3*time.Minute - reapInterval) // virtual: 2 × 60 s + 1 min
		synctest.Wait()
		require.Equal(t, 1, v.InFlight())
		time.Sleep(2 * reapInterval)
		synctest.Wait()
		p.free(t, v, Lost)
		require.Equal(t, 1, p.lost)
		complete(v, bus.SlotFree, r.ActivationID, nil) // too late
		p.free(t, v, Lost)
		stop()
		synctest.Wait()
	})
}

func TestALongActionIsLostLater(t *testing.T) {
	v, _ := newInvoker(t)
	a := &entity.Action{}
	a.Limits.Timeout = 300_000
	require.Equal(t, 11*time.Minute, v.patience(a))
	a.Limits.Timeout = 100
	require.Equal(t, 3*time.Minute, v.patience(a))
}

func TestEverySlotIsFreedOnceWhateverTheOrder(t *testing.T) {
	v, p := newInvoker(t)
	p.onPublish = func(m *bus.ActivationMessage) {
		record := &entity.Activation{ActivationID: m.ActivationID}
		for _, kind := range []bus.CompletionKind{bus.ResultReady, bus.SlotFree, bus.Combined} {
			go complete(v, kind, m.ActivationID, record)
		}
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 50 {
				r, err := v.Invoke(context.Background(), request(t, time.Minute))
				if err != nil || r.Record == nil || r.Record.ActivationID != r.ActivationID {
					t.Errorf("got %v, %v", r, err)
				}
			}
		})
	}
	wg.Wait()
	// A flight has landed a moment before what it booked is free.
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.outcomes) == 800
	}, 10*time.Second, time.Millisecond)
	require.Zero(t, v.InFlight())
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Zero(t, p.booked["u"])
	require.Zero(t, p.chosen)
	require.Len(t, p.outcomes, 800)
}
