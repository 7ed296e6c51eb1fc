package service_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/controller/service"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/bustest"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// resumed is how many entries the controller has found from earlier lives.
func (w *world) resumed() int {
	families, err := w.registry.Gather()
	require.NoError(w.t, err)
	n := 0.0
	for _, f := range families {
		if f.GetName() == "gowhisk_controller_compositions_resumed_total" {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return int(n)
}

// A request that is accepted before the journal was read at the start is in the
// journal then, too.
func TestWhatCameBeforeTheJournalWasReadIsNotBegunAgain(t *testing.T) {
	w := newWorld(t)
	w.a.action("slow")
	w.a.put("_/actions/s", sequence(of("/_/slow", "/_/slow"))).is(200)
	release := w.worker.hold("slow")
	defer release()
	id := w.a.post("_/actions/s", `{}`).is(202).object()["activationId"]
	w.service.Recover(t.Context())
	require.Zero(t, w.resumed())
	release()
	require.Equal(t, "success", gjson.Get(w.record(id).body, "response.status").String())
	require.Len(t, w.runsOf("slow"), 2)
}

// Without records nobody knows what has run, also if they are kept since.
func TestWhatHasRunWithoutRecordsIsNotRunAgain(t *testing.T) {
	for name, header := range map[string]string{"records_are_kept_since": "off", "more_logging_was_asked_for": "on"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, name := range []string{"first", "slow"} {
				w.a.action(name)
			}
			w.a.put("_/actions/s", sequence(of("/_/first", "/_/slow"))).is(200)
			release := w.worker.hold("slow")
			defer release()
			w.limit("ns", `{"storeActivations":false}`)
			id := w.a.with("X-OW-EXTRA-LOGGING", header).post("_/actions/s", `{}`).is(202).object()["activationId"]
			eventually(t, "slow to run", func() bool { return len(w.runsOf("slow")) == 1 })
			w.die()
			if header == "off" {
				w.limit("ns", `{}`)
			}
			w.live()
			release()
			w.service.Recover(t.Context())
			eventually(t, "everything to end", func() bool {
				return len(bustest.Unfinished(w.t, w.bus, "0")) == 0
			})
			for _, runs := range w.runsOf("first") {
				require.Equal(t, 1, runs)
			}
			w.a.get("_/activations/" + id.(string)).is(404)
		})
	}
}

// What a fire invokes shares its place, also when the places are all taken by what an
// earlier life left.
func TestFiresNeedNoSecondPlace(t *testing.T) {
	w := newWorld(t, func(c *service.Config) { c.Actions.MaxCompositions = 1 })
	w.a.action("slow")
	w.a.put("_/actions/s", sequence(of("/_/slow"))).is(200)
	w.a.put("_/triggers/t", `{}`).is(200)
	w.a.put("_/rules/r", `{"trigger":"/_/t","action":"/_/s"}`).is(200)
	release := w.worker.hold("slow")
	defer release()
	fire := w.a.post("_/triggers/t", `{}`).is(202).object()["activationId"]
	line := w.record(fire).logs(t)[0]
	require.Equal(t, "0", gjson.Get(line, "statusCode").Raw, line)
	w.die()
	w.live()
	w.service.Recover(t.Context())
	release()
	require.Equal(t, "success", gjson.Get(w.record(gjson.Get(line, "activationId").String()).body, "response.status").String())
}

// What has run stays so when its action is deleted before the next life.
func TestWhatHasRunNeedsNoActionAnyMore(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"first", "slow"} {
		w.a.action(name)
	}
	w.conductor("c", func(args gjson.Result) string {
		if args.Get("again").Exists() {
			return `{"action":"slow","params":{}}`
		}
		return `{"action":"first","params":{"n":1.50},"state":{"again":true}}`
	})
	w.a.put("_/actions/s", sequence(of("/_/first", "/_/slow"))).is(200)
	release := w.worker.hold("slow")
	defer release()
	sequenceID := w.a.post("_/actions/s", `{"n":1.50}`).is(202).object()["activationId"]
	compositionID := w.a.post("_/actions/c", `{}`).is(202).object()["activationId"]
	eventually(t, "slow to run twice", func() bool { return len(w.runsOf("slow")) == 2 })
	w.die()
	w.live()
	w.a.delete("_/actions/first").is(200)
	w.service.Recover(t.Context())
	w.worker.set("c", func(*bus.ActivationMessage) entity.Response {
		return entity.Response{Result: json.RawMessage(`{"params":{"end":true}}`)}
	})
	release()
	record := w.record(sequenceID)
	require.Equal(t, `{"n":1.50}`, record.raw("response.result"))
	require.Len(t, record.logs(t), 2)
	record = w.record(compositionID)
	require.Equal(t, `{"end":true}`, record.raw("response.result"))
	require.Len(t, record.logs(t), 5)
	require.Len(t, w.runsOf("first"), 2)
}
