package service_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// troubled is a store and a journal that take no records while they are down.
type troubled struct {
	store.ActivationStore
	bus.Journal
	isDown  atomic.Bool
	refused atomic.Int64
}

var errDown = errors.New("no space left on device")

func (d *troubled) Record(ctx context.Context, a *entity.Activation) (bool, error) {
	if d.isDown.Load() {
		d.refused.Add(1)
		return false, errDown
	}
	return d.ActivationStore.Record(ctx, a)
}

func (d *troubled) End(ctx context.Context, c entity.ControllerID, e bus.Entry, record *entity.Activation) error {
	if d.isDown.Load() {
		d.refused.Add(1)
		return errDown
	}
	return d.Journal.End(ctx, c, e, record)
}

// trouble gives the world's next controllers a troubled store.
func (w *world) trouble() *troubled {
	d := &troubled{ActivationStore: w.records, Journal: w.journal}
	w.records, w.journal = d, d
	w.die()
	w.live()
	return d
}

// What has run has a record, however often the store must be asked.
func TestNestedSequenceIsRecordedThoughTheStoreWasDown(t *testing.T) {
	w := newWorld(t)
	d := w.trouble()
	w.a.action("slow")
	w.a.put("_/actions/inner", sequence(of("/_/slow"))).is(200)
	w.a.put("_/actions/s", sequence(of("/_/inner", "/_/slow"))).is(200)
	release := w.worker.hold("slow")
	defer release()
	id := w.a.post("_/actions/s", `{}`).is(202).object()["activationId"]
	eventually(t, "slow to run", func() bool { return len(w.runsOf("slow")) == 1 })
	d.isDown.Store(true)
	release()
	eventually(t, "a refusal", func() bool { return d.refused.Load() > 0 })
	d.isDown.Store(false)
	record := w.record(id)
	require.Equal(t, "success", gjson.Get(record.body, "response.status").String(), record.body)
	require.Len(t, w.record(record.logs(t)[0]).logs(t), 1)
}

// A stop does not wait for a store that is down.
func TestRecoverEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	w.a.action("slow")
	w.a.put("_/actions/s", sequence(of("/_/slow"))).is(200)
	release := w.worker.hold("slow")
	defer release()
	w.a.post("_/actions/s", `{}`).is(202)
	d := w.trouble()
	d.isDown.Store(true)
	w.clock.Advance(24 * time.Hour) // too old to be gone on with
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.service.Recover(ctx)
	}()
	eventually(t, "a refusal", func() bool { return d.refused.Load() > 0 })
	cancel()
	select {
	case <-ended:
	case <-time.After(waitAtMost):
		t.Fatal("Recover goes on")
	}
}

// The crash came between the last rule and the trigger's record, and then the action
// was deleted.
func TestRuleThatHadItsActionInvokedSaysSo(t *testing.T) {
	w := newWorld(t)
	d := w.trouble()
	w.a.action("echo")
	w.a.put("_/triggers/t", `{}`).is(200)
	w.a.put("_/rules/r", `{"trigger":"/_/t","action":"/_/echo"}`).is(200)
	d.isDown.Store(true)
	id := w.a.post("_/triggers/t", `{}`).is(202).object()["activationId"]
	eventually(t, "a refusal", func() bool { return d.refused.Load() > 0 })
	eventually(t, "echo to run", func() bool { return len(w.worker.messages()) == 1 })
	ran := w.record(string(w.worker.messages()[0].ActivationID)).object()["activationId"]
	w.die()
	d.isDown.Store(false)
	w.live()
	w.a.delete("_/actions/echo").is(200)
	w.service.Recover(t.Context())
	line := w.record(id).logs(t)[0]
	require.Equal(t, ran, gjson.Get(line, "activationId").String(), line)
}
