package probe

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// fleet is everything around a Probe, in memory.
type fleet struct {
	mu       sync.Mutex
	want     []entity.InvokerID // guarded by mu, as all that follows: of the next Tick
	outcomes []invoke.Outcome
	sent     []*bus.ActivationMessage
	sendErr  error
	stored   entity.Entity
	readErr  error
	putErr   error
	puts     int
}

func (f *fleet) Tick(time.Time) []entity.InvokerID {
	f.mu.Lock()
	defer f.mu.Unlock()
	want := f.want
	f.want = nil
	return want
}

func (f *fleet) TestOutcome(_ entity.InvokerID, o invoke.Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.outcomes = append(f.outcomes, o)
}

func (f *fleet) Publish(_ context.Context, _ entity.InvokerID, m *bus.ActivationMessage) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, m)
	return f.sendErr
}

func (f *fleet) Fresh(context.Context, entity.DocID) (entity.Entity, error) {
	if f.readErr != nil {
		return nil, f.readErr
	}
	if f.stored == nil {
		return nil, store.ErrNotFound
	}
	return f.stored, nil
}

func (f *fleet) Put(_ context.Context, e entity.Entity) error {
	f.puts++
	if f.putErr == nil {
		f.stored = e
	}
	return f.putErr
}

func newProbe(t *testing.T, f *fleet) *Probe {
	return New(Config{Controller: "7", Interval: time.Second, Memory: 128, SendTimeout: time.Second, Patience: 3 * time.Minute}, Deps{
		Fleet: f, Catalog: f, Publisher: f, Manifest: runtimes.Default(), Log: zaptest.NewLogger(t), Now: time.Now,
	})
}

func TestTheTestActionIsWrittenOnce(t *testing.T) {
	f := &fleet{}
	require.NoError(t, newProbe(t, f).Write(t.Context()))
	a := f.stored.(*entity.Action)
	require.Equal(t, entity.DocID("whisk.system/invokerHealthTestAction7"), a.ID())
	require.Equal(t, "nodejs", a.Exec.Kind[:6])
	require.NotContains(t, a.Exec.Kind, "default")
	require.Equal(t, entity.Megabytes(128), a.Limits.Memory)
	require.NoError(t, newProbe(t, f).Write(t.Context()))
	require.Equal(t, 1, f.puts)
}

func TestAnotherManifestNeedsAnotherTestAction(t *testing.T) {
	f := &fleet{}
	p := newProbe(t, f)
	var err error
	p.deps.Manifest, err = runtimes.Parse([]byte(`{"runtimes":{"python":[{"kind":"python:3","default":true,"image":{"prefix":"p","name":"n","tag":"t"}}]}}`))
	require.NoError(t, err)
	require.NoError(t, p.Write(t.Context()))
	require.Equal(t, "python:3", f.stored.(*entity.Action).Exec.Kind)
	f.putErr = errors.New("read only")
	require.NoError(t, newProbe(t, f).Write(t.Context()), "the old one does")
	p.deps.Manifest, err = runtimes.Parse([]byte(`{"runtimes":{"java":[{"kind":"java:8","default":true,"image":{"prefix":"p","name":"n","tag":"t"}}]}}`))
	require.NoError(t, err)
	require.ErrorContains(t, p.Write(t.Context()), "no default kind of nodejs, python, php, ruby")
}

func TestAStoreThatCannotBeWrittenIsAnError(t *testing.T) {
	f := &fleet{putErr: errors.New("read only")}
	require.ErrorContains(t, newProbe(t, f).Write(t.Context()), "write the test action whisk.system/invokerHealthTestAction7")
	f.readErr = errors.New("down")
	require.ErrorContains(t, newProbe(t, f).Write(t.Context()), "is the entity store up?")
}

func TestTestsAreSentAndTheirOutcomesToldToTheFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{}
		p := newProbe(t, f)
		require.NoError(t, p.Write(t.Context()))
		ctx, stop := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer stop()
		f.want = []entity.InvokerID{4}
		go func() { _ = p.Run(ctx) }()
		synctest.Wait()
		require.Len(t, f.sent, 1)
		m := f.sent[0]
		require.Equal(t, Transid, m.Transid.ID)
		require.False(t, m.User.Limits.StoresActivations())
		require.Empty(t, m.Revision)
		require.Equal(t, entity.ControllerID("7"), m.Controller)

		f.mu.Lock()
		f.want = []entity.InvokerID{4}
		f.mu.Unlock()
		p.Completed(&bus.Completion{Kind: bus.ResultReady, ActivationID: m.ActivationID})
		p.Completed(&bus.Completion{Kind: bus.Combined, ActivationID: m.ActivationID})
		synctest.Wait() // no time passes until the next
		require.Equal(t, []invoke.Outcome{invoke.Completed}, f.outcomes)
		require.Len(t, f.sent, 2)
		p.Completed(&bus.Completion{Kind: bus.Combined, ActivationID: m.ActivationID}) // again
		p.Completed(&bus.Completion{Kind: bus.SlotFree, ActivationID: f.sent[1].ActivationID, IsSystemError: true})
		require.Equal(t, []invoke.Outcome{invoke.Completed, invoke.SystemError}, f.outcomes)

		f.mu.Lock()
		f.want = []entity.InvokerID{4}
		f.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, f.sent, 3)
		time.Sleep(3*time.Minute + 2*time.Second)
		synctest.Wait()
		require.Equal(t, []invoke.Outcome{invoke.Completed, invoke.SystemError, invoke.Lost}, f.outcomes)
	})
}

func TestATestThatCouldNotBeSentSaysNothingOfTheInvoker(t *testing.T) {
	f := &fleet{sendErr: errors.New("no broker")}
	p := newProbe(t, f)
	require.NoError(t, p.Write(t.Context()))
	p.test(t.Context(), 1)
	require.Empty(t, p.pending)
	require.Empty(t, f.outcomes)
}
