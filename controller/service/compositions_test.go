package service_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/controller/service"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/bustest"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Section 11 of openwhisk-rest-api.md, beyond its numbered cases.
func TestRunningSequences(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"echo", "err", "crash", "whisk", "arr"} {
		w.a.action(name)
	}
	w.a.action("defaults", `"parameters":[{"key":"d","value":"own"},{"key":"n","value":"own"}],"annotations":[{"key":"final","value":true}]`)

	run := func(t *testing.T, components ...string) fetched {
		t.Helper()
		w.a.put("_/actions/s?overwrite=true", sequence(components, `"annotations":[{"key":"conductor","value":true}]`)).is(200)
		r := w.a.post("_/actions/s?blocking=true", `{"n":1.50}`)
		stored := w.record(r.object()["activationId"])
		require.Equal(t, stored.body, r.body, "the answer is the record")
		return stored
	}
	t.Run("parameters_of_components_are_below_the_payload", func(t *testing.T) {
		require.JSONEq(t, `{"d":"own","n":1.50}`, run(t, "/_/defaults").raw("response.result"))
	})
	t.Run("parameters_of_the_sequence_and_its_package_stay_out", func(t *testing.T) {
		w.a.put("_/packages/p", `{"parameters":[{"key":"p","value":1}]}`).is(200)
		w.a.put("_/actions/p/s", sequence(of("/_/echo"), `"parameters":[{"key":"q","value":1}]`)).is(200)
		w.a.post("_/actions/p/s?blocking=true&result=true", `{"n":1}`).is(200).json(`{"n":1}`)
		require.Equal(t, "ns/p/s", gjson.Get(w.a.post("_/actions/p/s?blocking=true", ``).body, `annotations.#(key=="path").value`).String())
	})
	t.Run("an_array_replaces_the_arguments", func(t *testing.T) {
		require.Equal(t, `[1,2]`, w.record(func() any {
			w.a.put("_/actions/s?overwrite=true", sequence(of("/_/arr", "/_/defaults"))).is(200)
			return w.a.post("_/actions/s", ``).is(202).object()["activationId"]
		}()).raw("response.result"))
		require.Equal(t, `[1,2]`, w.a.post("_/actions/s?blocking=true", ``).is(200).body)
	})
	t.Run("errors_end_it_with_their_status", func(t *testing.T) {
		for name, status := range map[string]string{"err": "application error", "crash": "action developer error", "whisk": "whisk internal error"} {
			record := run(t, "/_/echo", "/_/"+name, "/_/echo")
			require.Equal(t, status, record.object()["response"].(map[string]any)["status"])
			require.Len(t, record.logs(t), 2)
		}
		w.a.post("_/actions/s?blocking=true", ``)
		w.a.put("_/actions/s?overwrite=true", sequence(of("/_/whisk"))).is(200)
		w.a.post("_/actions/s?blocking=true", ``).is(500)
	})
	t.Run("an_error_in_the_payload_ends_nothing", func(t *testing.T) {
		w.a.put("_/actions/s?overwrite=true", sequence(of("/_/arr", "/_/arr"))).is(200)
		require.Len(t, w.record(w.a.post("_/actions/s", `{"error":1}`).object()["activationId"]).logs(t), 2)
	})
	t.Run("nested", func(t *testing.T) {
		w.a.put("_/actions/inner", sequence(of("/_/echo", "/_/echo"))).is(200)
		outer := run(t, "/_/inner", "/_/echo")
		require.Len(t, outer.logs(t), 2)
		inner := w.record(outer.logs(t)[0])
		require.Equal(t, outer.object()["activationId"], inner.object()["cause"])
		require.Len(t, inner.logs(t), 2)
		annotation := func(key string) string { return gjson.Get(inner.body, `annotations.#(key=="`+key+`").value`).Raw }
		require.Equal(t, "false", annotation("topmost"))
		require.Equal(t, `"sequence"`, annotation("causedBy"))
		require.Empty(t, annotation("conductor"), "sequences conduct nothing")
		require.EqualValues(t, 15, outer.object()["duration"], "three runs of 5 ms")
	})
	t.Run("too_many_actions_at_run_time", func(t *testing.T) {
		w.a.put("_/actions/grows", sequence(of("/_/echo"))).is(200)
		w.a.put("_/actions/s?overwrite=true", sequence(append(repeated("/_/echo", 49), "/_/grows"))).is(200)
		w.a.put("_/actions/grows?overwrite=true", sequence(repeated("/_/echo", 3))).is(200)
		r := w.a.post("_/actions/s?blocking=true", ``).is(502)
		require.Equal(t, "Too many actions in the sequence.", gjson.Get(r.body, "response.result.error").String())
		record := w.record(r.object()["activationId"])
		require.Len(t, record.logs(t), 50)
		require.Len(t, w.record(record.logs(t)[49]).logs(t), 1)
	})
	t.Run("memory_is_that_of_the_largest_component", func(t *testing.T) {
		w.a.action("large", `"limits":{"memory":512}`)
		record := run(t, "/_/large", "/_/echo")
		require.JSONEq(t, `{"timeout":60000,"memory":512,"logs":10,"concurrency":1}`, gjson.Get(record.body, `annotations.#(key=="limits").value`).Raw)
	})
	t.Run("the_right_to_every_component", func(t *testing.T) {
		w.b.put("_/packages/pub", `{"publish":true}`).is(200)
		w.b.action("pub/echo")
		w.a.put("_/actions/foreign", sequence(of("/other/pub/echo", "/_/echo"))).is(200)
		w.a.post("_/actions/foreign?blocking=true&result=true", `{"n":1}`).is(200).json(`{"n":1}`)
		w.b.put("_/packages/pub?overwrite=true", `{"publish":false}`).is(200)
		w.a.post("_/actions/foreign", ``).fails(403, "The supplied authentication is not authorized to access 'other/pub'.")
	})
	t.Run("the_wait_ends_before_the_sequence", func(t *testing.T) {
		w.a.action("slow")
		w.a.put("_/actions/s?overwrite=true", sequence(of("/_/slow", "/_/echo"))).is(200)
		release := w.worker.hold("slow")
		r := w.a.post("_/actions/s?blocking=true&timeout=1", `{"n":1}`).is(202)
		release()
		require.Equal(t, `{"n":1}`, w.record(r.object()["activationId"]).raw("response.result"))
	})
	t.Run("components_are_exempt_from_throttles_but_count", func(t *testing.T) {
		w.limit("ns", `{"concurrentInvocations":1,"invocationsPerMinute":1000000}`)
		release := w.worker.hold("slow")
		w.a.put("_/actions/s?overwrite=true", sequence(of("/_/echo", "/_/slow"))).is(200)
		id := w.a.post("_/actions/s", `{}`).is(202).object()["activationId"]
		eventually(t, "slow to run", func() bool { return len(w.runsOf("slow")) == 2 })
		w.a.post("_/actions/echo", ``).fails(429, "Too many concurrent requests in flight (count: 1, allowed: 1).")
		release()
		w.record(id)
		w.limit("ns", `{}`)
	})
	t.Run("records_are_not_kept_where_nobody_wants_them", func(t *testing.T) {
		w.limit("ns", `{"storeActivations":false}`)
		w.a.put("_/actions/s?overwrite=true", sequence(of("/_/inner", "/_/echo"))).is(200)
		r := w.a.post("_/actions/s?blocking=true", `{"n":1}`).is(200)
		w.limit("ns", `{}`)
		w.a.get("_/activations/" + r.object()["activationId"].(string)).is(404)
		w.a.get("_/activations/" + r.object()["logs"].([]any)[0].(string)).is(404)
	})
}

// Invokers refuse what has waited too long. The last component of a sequence has not
// waited since the request.
func TestComponentsWaitSinceTheyAreDue(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"long", "last"} {
		w.a.action(name)
	}
	w.worker.set("long", func(m *bus.ActivationMessage) entity.Response {
		w.clock.Advance(2 * time.Hour)
		return entity.Response{Result: m.Content}
	})
	w.a.put("_/actions/s", sequence(of("/_/long", "/_/last"))).is(200)
	w.a.with("X-Request-Id", "mine").post("_/actions/s?blocking=true", `{}`).is(200)
	messages := w.worker.messages()
	require.Len(t, messages, 2)
	require.Equal(t, w.clock.Now(), messages[1].Transid.Start)
	require.Equal(t, "mine", messages[1].Transid.ID)
}

// conductor makes an action of A conduct: its n-th run answers what f says.
func (w *world) conductor(name entity.Name, f func(args gjson.Result) string) {
	w.t.Helper()
	w.a.action(string(name), `"annotations":[{"key":"conductor","value":true}]`)
	w.worker.set(name, func(m *bus.ActivationMessage) entity.Response {
		result := f(gjson.ParseBytes(m.Content))
		r := entity.Response{Result: json.RawMessage(result)}
		if strings.HasPrefix(result, `{"error"`) {
			r.StatusCode = entity.StatusApplicationError
		}
		return r
	})
}

// Section 12 of openwhisk-rest-api.md.
func TestCompositions(t *testing.T) {
	w := newWorld(t, func(c *service.Config) { c.Actions.MaxSequenceLength = 4 })
	w.a.action("echo")
	w.a.action("arr")
	w.a.action("err")
	w.a.put("_/actions/seq", sequence(of("/_/echo", "/_/echo"))).is(200)
	w.b.put("_/packages/hidden", `{}`).is(200)
	w.b.action("hidden/echo")
	w.a.put("_/packages/p", `{}`).is(200)
	w.a.action("p/echo")

	// The conductor asks for what its payload says under "do", one after the other,
	// and tells what it got in the end.
	w.conductor("c", func(args gjson.Result) string {
		do := args.Get("do").Array()
		if len(do) == 0 {
			return `{"params":{"last":` + args.Raw + `}}`
		}
		rest := "[]"
		if len(do) > 1 {
			rest = strings.TrimSpace(args.Get("do").Raw)
			rest = "[" + strings.TrimPrefix(rest[1+len(do[0].Raw):], ",")
		}
		return `{"action":` + do[0].Raw + `,"params":{"n":1.50},"state":{"do":` + rest + `}}`
	})
	run := func(t *testing.T, do string) fetched {
		t.Helper()
		r := w.a.post("_/actions/c?blocking=true", `{"do":`+do+`}`)
		stored := w.record(r.object()["activationId"])
		require.Equal(t, stored.body, r.body)
		return stored
	}
	t.Run("names", func(t *testing.T) {
		for _, name := range []string{"echo", "/ns/echo", "/_/echo", "p/echo", "/ns/p/echo", "ns/p/echo", "/_/p/echo"} {
			record := run(t, `["`+name+`"]`)
			require.Equal(t, `{"last":{"n":1.50,"do":[]}}`, record.raw("response.result"), name)
			require.Len(t, record.logs(t), 3)
		}
	})
	t.Run("what_goes_wrong_is_for_the_conductor_to_see", func(t *testing.T) {
		for name, problem := range map[string]string{
			`1`:                    "Failed to parse action name from json value 1 during composition.",
			`null`:                 "Failed to parse action name from json value null during composition.",
			`"/x"`:                 "Failed to parse action name from json value \"/x\" during composition.",
			`"a/b/c/d"`:            "Failed to parse action name from json value \"a/b/c/d\" during composition.",
			`""`:                   "Failed to parse action name from json value \"\" during composition.",
			`"none"`:               "Failed to resolve action with name 'ns/none' during composition.",
			`"none/none"`:          "Failed to resolve action with name 'ns/none/none' during composition.",
			`"p"`:                  "Failed to resolve action with name 'ns/p' during composition.",
			`"/other/none"`:        "Failed entitlement check for action with name 'other/none' during composition.",
			`"/other/hidden/echo"`: "Failed entitlement check for action with name 'other/hidden/echo' during composition.",
			`"/other/none/echo"`:   "Failed entitlement check for action with name 'other/none/echo' during composition.",
		} {
			record := run(t, `[`+name+`]`)
			require.Equal(t, problem, gjson.Get(record.body, "response.result.last.error").String())
			require.Len(t, record.logs(t), 2)
		}
	})
	t.Run("results_that_are_no_objects", func(t *testing.T) {
		require.Equal(t, `{"last":{"value":[1,2],"do":[]}}`, run(t, `["arr"]`).raw("response.result"))
		w.conductor("boxes", func(args gjson.Result) string {
			if args.Get("state").Exists() {
				return `{"params":` + args.Get("value").Raw + `}`
			}
			return `{"action":"echo","params":[7],"state":1}`
		})
		w.a.post("_/actions/boxes?blocking=true&result=true", ``).is(200).json(`{"value":[7]}`)
	})
	t.Run("errors_of_components_go_to_the_conductor", func(t *testing.T) {
		require.Equal(t, `{"last":{"error":"boom","do":[]}}`, run(t, `["err"]`).raw("response.result"))
	})
	t.Run("an_error_of_the_conductor_ends_it", func(t *testing.T) {
		w.conductor("fails", func(gjson.Result) string { return `{"error":{"a":1}}` })
		r := w.a.post("_/actions/fails?blocking=true", ``).is(502)
		require.Equal(t, `{"status":"application error","success":false,"size":17,"result":{"error":{"a":1}}}`, gjson.Get(r.body, "response").Raw)
	})
	t.Run("a_sequence_is_one_component", func(t *testing.T) {
		record := run(t, `["seq","seq","seq","seq"]`)
		require.Len(t, record.logs(t), 9)
		require.EqualValues(t, 5*(5+8), record.object()["duration"])
	})
	t.Run("too_many_components", func(t *testing.T) {
		record := run(t, `["echo","echo","echo","echo","echo"]`)
		require.Equal(t, "Too many actions in the composition.", gjson.Get(record.body, "response.result.last.error").String())
		require.Len(t, record.logs(t), 4+6)
	})
	t.Run("too_many_runs_of_the_conductor", func(t *testing.T) {
		w.conductor("endless", func(gjson.Result) string { return `{"action":"none"}` })
		r := w.a.post("_/actions/endless?blocking=true", ``).is(502)
		require.Equal(t, "Too many actions in the composition.", gjson.Get(r.body, "response.result.error").String())
		require.Len(t, w.record(r.object()["activationId"]).logs(t), 9)
	})
	t.Run("nested_compositions_share_the_budget", func(t *testing.T) {
		w.conductor("outer", func(args gjson.Result) string {
			if args.Get("last").Exists() {
				return `{"params":` + args.Raw + `}`
			}
			return `{"action":"c","params":{"do":["echo","echo","echo","echo","echo"]}}`
		})
		r := w.a.post("_/actions/outer?blocking=true", ``).is(200)
		require.Equal(t, "Too many actions in the composition.", gjson.Get(r.body, "response.result.last.error").String())
		record := w.record(r.object()["activationId"])
		require.Len(t, record.logs(t), 3)
		inner := w.record(record.logs(t)[1])
		require.Equal(t, "true", gjson.Get(inner.body, `annotations.#(key=="conductor").value`).Raw)
		require.Equal(t, "false", gjson.Get(inner.body, `annotations.#(key=="topmost").value`).Raw)
	})
	t.Run("in_a_sequence_and_by_a_rule", func(t *testing.T) {
		w.a.put("_/actions/s", sequence(of("/_/c", "/_/echo"))).is(200)
		w.a.post("_/actions/s?blocking=true&result=true", `{"do":["echo"]}`).is(200).json(`{"last":{"n":1.50,"do":[]}}`)
		w.a.put("_/triggers/t", `{}`).is(200)
		w.a.put("_/rules/r", `{"trigger":"/_/t","action":"/_/c"}`).is(200)
		line := w.record(w.a.post("_/triggers/t", `{"do":["echo"]}`).is(202).object()["activationId"]).logs(t)[0]
		require.Len(t, w.record(gjson.Get(line, "activationId").String()).logs(t), 3)
	})
}

// A cycle that two writes made at the same time ends.
func TestSequencesThatLeadToEachOther(t *testing.T) {
	w := newWorld(t)
	w.a.action("echo")
	w.a.put("_/actions/x", sequence(of("/_/echo"))).is(200)
	w.a.put("_/actions/y", sequence(of("/_/x"))).is(200)
	x, err := w.db.Entities().Entity(t.Context(), "ns/x")
	require.NoError(t, err)
	x.(*entity.Action).Exec.Components = []entity.FQN{{Path: "ns", Name: "y"}}
	require.NoError(t, w.db.Entities().Put(t.Context(), x))
	w.service.Forget()
	r := w.a.post("_/actions/y?blocking=true", ``).is(502)
	require.Equal(t, "Too many actions in the sequence.", gjson.Get(r.body, "response.result.error").String())
}

func TestNoMoreCompositionsThanAllowed(t *testing.T) {
	w := newWorld(t, func(c *service.Config) { c.Actions.MaxCompositions = 1 })
	w.a.action("slow")
	release := w.worker.hold("slow")
	w.a.put("_/actions/s", sequence(of("/_/slow"))).is(200)
	id := w.a.post("_/actions/s", ``).is(202).object()["activationId"]
	w.a.post("_/actions/s", ``).fails(503, "The server is currently unavailable (because it is overloaded or down for maintenance).")
	release()
	w.record(id)
	eventually(t, "the place to be free", func() bool { return w.a.post("_/actions/s?blocking=true", ``).status == 200 })
}

// The controller dies while a component runs; the next life waits for it and goes
// on (durability.md section 3).
func TestSequenceGoesOnAfterTheControllersDeath(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"first", "slow", "last"} {
		w.a.action(name)
	}
	w.a.put("_/actions/s", sequence(of("/_/first", "/_/slow", "/_/last"))).is(200)
	release := w.worker.hold("slow")
	id := w.a.post("_/actions/s", `{"n":1.50}`).is(202).object()["activationId"]
	eventually(t, "slow to run", func() bool { return len(w.runsOf("slow")) == 1 })
	w.die()
	w.clock.Advance(time.Minute)
	w.live()
	w.service.Recover(t.Context())
	w.a.get(fmt.Sprintf("_/activations/%v", id)).is(404)
	release()
	record := w.record(id)
	require.Equal(t, `{"n":1.50}`, record.raw("response.result"))
	require.Len(t, record.logs(t), 3)
	require.EqualValues(t, 1732176000000, record.object()["start"])
	for _, name := range []entity.Name{"first", "slow", "last"} {
		require.Len(t, w.runsOf(name), 1)
		for _, runs := range w.runsOf(name) {
			require.Equal(t, 1, runs)
		}
	}
	unfinished := bustest.Unfinished(w.t, w.bus, "0")
	require.Empty(t, unfinished)
}

// What is given up after a death, and the record that says so.
func TestWhatIsNotGoneOnWith(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(w *world)
		text   string
	}{
		{"the key was revoked", func(w *world) {
			subject, err := w.db.Subjects().Subject(w.t.Context(), "alice")
			require.NoError(w.t, err)
			subject.Namespaces[0].AuthKey = entity.NewAuthKey()
			require.NoError(w.t, w.db.Subjects().PutSubject(w.t.Context(), subject))
			w.a.key = subject.Namespaces[0].AuthKey
		}, "The caller's credentials were revoked before this was finished."},
		{"too old", func(w *world) { w.clock.Advance(2 * time.Hour) },
			"The activation waited longer than 1h0m0s to be gone on with and was given up."},
		{"unreadable", func(w *world) {
			entries := bustest.Unfinished(w.t, w.bus, "0")
			for _, e := range entries {
				require.NoError(w.t, w.bus.End(w.t.Context(), "0", e, nil))
				e.Body = []byte(`{"kind":"nonsense"`)
				require.NoError(w.t, w.bus.Begin(w.t.Context(), "0", e))
			}
		}, "What was to be done could not be read after the controller was stopped."},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.a.action("slow")
			w.a.put("_/actions/s", sequence(of("/_/slow", "/_/slow"))).is(200)
			release := w.worker.hold("slow")
			defer release()
			id := w.a.post("_/actions/s", ``).is(202).object()["activationId"]
			eventually(t, "slow to run", func() bool { return len(w.runsOf("slow")) == 1 })
			w.die()
			c.before(w)
			w.live()
			w.service.Recover(t.Context())
			record := w.record(id)
			require.Equal(t, c.text, gjson.Get(record.body, "response.result.error").String())
			require.Equal(t, "whisk internal error", gjson.Get(record.body, "response.status").String())
			require.Len(t, w.runsOf("slow"), 1)
		})
	}
}

// TestDeathsAtRandom lets the controller die again and again in the middle of
// sequences, compositions and fires. Everything that was accepted has a record in
// the end, and nothing ran twice.
func TestDeathsAtRandom(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"a", "b", "c"} {
		w.a.action(name)
	}
	w.conductor("con", func(args gjson.Result) string {
		if i := args.Get("i").Int(); i < 3 {
			return fmt.Sprintf(`{"action":"a","state":{"i":%d}}`, i+1)
		}
		return `{"params":{}}`
	})
	w.a.put("_/actions/inner", sequence(of("/_/b", "/_/c"))).is(200)
	w.a.put("_/actions/s", sequence(of("/_/a", "/_/inner", "/_/con", "/_/c"))).is(200)
	w.a.put("_/triggers/t", `{}`).is(200)
	for i, action := range []string{"a", "s", "con"} {
		w.a.put(fmt.Sprintf("_/rules/r%d", i), `{"trigger":"/_/t","action":"/_/`+action+`"}`).is(200)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var accepted []string
	for range 15 {
		var mu sync.Mutex
		var callers sync.WaitGroup
		enough := make(chan struct{}, 1<<10)
		for i := range 3 {
			path := []string{"_/actions/s", "_/triggers/t", "_/actions/con"}[i]
			callers.Go(func() {
				for {
					r := w.a.post(path, `{"x":1}`)
					if r.status == 503 {
						return // it died
					}
					r.is(202)
					mu.Lock()
					accepted = append(accepted, r.object()["activationId"].(string))
					mu.Unlock()
					enough <- struct{}{}
				}
			})
		}
		for range random.IntN(20) {
			<-enough
		}
		w.die()
		callers.Wait()
		w.live()
		w.service.Recover(t.Context())
	}
	for _, id := range accepted {
		record := w.record(id)
		require.Equal(t, "success", gjson.Get(record.body, "response.status").String(), record.body)
		for _, line := range record.logs(t) {
			if strings.HasPrefix(line, "{") {
				require.Equal(t, "0", gjson.Get(line, "statusCode").Raw, line)
				line = gjson.Get(line, "activationId").String()
			}
			w.record(line)
		}
	}
	eventually(t, "everything to end", func() bool {
		return len(bustest.Unfinished(w.t, w.bus, "0")) == 0 && w.service.InFlight() == 0
	})
	for _, name := range []entity.Name{"a", "b", "c", "con"} {
		for id, runs := range w.runsOf(name) {
			require.Equal(t, 1, runs, "runs of %s %s", name, id)
		}
	}
	t.Logf("%d accepted", len(accepted))
}
