package service_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Section 14 of openwhisk-rest-api.md, beyond its numbered cases.
func TestTriggers(t *testing.T) {
	w := newWorld(t)
	w.a.action("echo")

	t.Run("put_keeps_what_is_absent_and_replaces_the_rest", func(t *testing.T) {
		w.a.put("_/triggers/t", `{"parameters":[{"key":"p","value":1.50}],"annotations":[{"key":"a","value":"<&>"}],"publish":true,"limits":{"x":1}}`).
			is(200).json(`{"namespace":"ns","name":"t","version":"0.0.1","publish":true,"annotations":[{"key":"a","value":"<&>"}],
				"parameters":[{"key":"p","value":1.50}],"limits":{},"updated":1732176000000}`)
		w.a.put("_/rules/r", `{"trigger":"/ns/t","action":"/ns/echo"}`).is(200)
		w.clock.Advance(time.Second)
		r := w.a.put("_/triggers/t?overwrite=true", `{"annotations":[{"key":"b","value":1}]}`).is(200)
		r.json(`{"namespace":"ns","name":"t","version":"0.0.2","publish":true,"annotations":[{"key":"b","value":1}],
			"parameters":[{"key":"p","value":1.50}],"limits":{},"updated":1732176001000,
			"rules":{"ns/r":{"action":{"path":"ns","name":"echo"},"status":"active"}}}`)
		w.a.get("_/triggers/t").json(r.body)
		w.a.get("_/triggers").json(`[{"namespace":"ns","name":"t","version":"0.0.2","publish":true,"annotations":[{"key":"b","value":1}],"updated":1732176001000}]`)
		w.a.delete("_/triggers/t").json(r.body)
		w.a.get("_/triggers/t").fails(404, "The requested resource does not exist.")
		w.a.delete("_/triggers/t").fails(404, "The requested resource does not exist.")
		w.a.delete("_/rules/r").is(200)
	})
	t.Run("feeds", func(t *testing.T) {
		for _, feed := range []string{`"f"`, `"pkg/f"`, `"/ns/pkg/f"`, `"/ns/f"`} {
			w.a.put("_/triggers/ok?overwrite=false", `{"annotations":[{"key":"feed","value":`+feed+`}]}`).is(200)
			// Not checked on update.
			w.a.put("_/triggers/ok?overwrite=true", `{"annotations":[{"key":"feed","value":"a,b"}]}`).is(200)
			w.a.delete("_/triggers/ok").is(200)
		}
		for _, feed := range []string{`""`, `1`, `null`, `"a//b"`, `"a/b/c/d"`, `"/"`, `"a,b"`} {
			w.a.put("_/triggers/bad", `{"annotations":[{"key":"feed","value":`+feed+`}]}`).fails(400, "Feed name is not valid")
		}
	})
	t.Run("bad_bodies", func(t *testing.T) {
		w.a.put("_/triggers/t", `{"parameters":{}}`).fails(400, "The request content was malformed:\nparameters malformed!")
		w.a.put("_/triggers/t", ``).fails(400, "Request entity expected but not supplied")
		w.a.put("_/triggers/t", `{"parameters":[{"key":"k","value":"`+strings.Repeat("x", 1<<20)+`"}]}`).failsWith(413, "parameters larger than allowed: ")
		w.a.put("_/triggers/p/t", `{}`).is(404)
		w.a.put("_/triggers/t", `{}`).is(200)
		w.a.post("_/triggers/t", `[1]`).fails(400, "The request content was malformed:\nJSON object expected")
		w.a.post("_/triggers/t", `{"x":"`+strings.Repeat("x", 1<<20)+`"}`).fails(413, "Request larger than allowed: 1048584 > 1048576 bytes.")
		w.a.with("Content-Type", "text/plain").post("_/triggers/t", `{}`).is(415)
		w.a.post("_/triggers/none", `{}`).fails(404, "The requested resource does not exist.")
		w.a.post("_/triggers/echo", `{}`).fails(409, "Resource by this name exists but is not in this collection.")
		w.b.post("ns/triggers/t", `nonsense`).fails(403, "The supplied authentication is not authorized to access 'ns/t'.")
	})
	t.Run("who_cannot_be_answered_fires_nothing", func(t *testing.T) {
		w.a.put("_/triggers/html", `{}`).is(200)
		html := w.a.with("Accept", "text/html")
		html.post("_/triggers/html", "").is(204)
		w.a.put("_/rules/html-r", `{"trigger":"/ns/html","action":"/ns/echo"}`).is(200)
		html.post("_/triggers/html", "").failsWith(406, "Resource representation is only available with these types:")
		require.Empty(t, w.runsOf("echo"))
	})
	t.Run("a_fire_without_a_body", func(t *testing.T) {
		w.a.put("_/rules/r?overwrite=true", `{"trigger":"/ns/t","action":"/ns/echo"}`).is(200)
		r := w.a.post("_/triggers/t", "").is(202)
		require.Equal(t, `{"status":"success","success":true,"result":{}}`, w.record(r.object()["activationId"]).raw("response"))
	})
}

// What the log of a trigger says about rules that could not be run (14.3).
func TestFireReportsWhatWasRefused(t *testing.T) {
	w := newWorld(t)
	w.a.action("echo")
	w.a.action("final", `"parameters":[{"key":"n","value":1}],"annotations":[{"key":"final","value":true}]`)
	w.a.action("err")
	w.a.put("_/actions/seq", sequence(of("/_/echo", "/_/err"))).is(200)
	w.b.put("_/packages/pub", `{"publish":true}`).is(200)
	w.b.action("pub/theirs")
	w.a.put("_/triggers/t", `{}`).is(200)
	for _, name := range []string{"echo", "final", "seq", "/other/pub/theirs"} {
		rule := strings.ReplaceAll(name, "/", "_")
		if !strings.HasPrefix(name, "/") {
			name = "/_/" + name
		}
		w.a.put("_/rules/r"+rule, fmt.Sprintf(`{"trigger":"/_/t","action":%q}`, name)).is(200)
	}
	w.b.put("_/packages/pub?overwrite=true", `{"publish":false}`).is(200)
	fire := func() []string {
		t.Helper()
		return w.record(w.a.post("_/triggers/t", `{"n":2}`).is(202).object()["activationId"]).logs(t)
	}
	logs := fire()
	require.Regexp(t, `^{"statusCode":0,"success":true,"activationId":"[0-9a-f]{32}","rule":"ns/recho","action":"ns/echo"}$`, logs[0])
	require.Equal(t, `{"statusCode":1,"success":false,"error":"Request defines parameters that are not allowed (e.g., reserved properties).","rule":"ns/rfinal","action":"ns/final"}`, logs[1])
	require.Regexp(t, `^{"statusCode":0,"success":true,"activationId":"[0-9a-f]{32}","rule":"ns/rseq","action":"ns/seq"}$`, logs[2])
	require.Equal(t, `{"statusCode":1,"success":false,"error":"The supplied authentication is not authorized to access 'other/pub'.","rule":"ns/r_other_pub_theirs","action":"other/pub/theirs"}`, logs[3])

	w.limit("ns", `{"invocationsPerMinute":0}`)
	require.Equal(t, `{"statusCode":1,"success":false,"error":"Too many requests in the last minute (count: 5, allowed: 0).","rule":"ns/recho","action":"ns/echo"}`, fire()[0])
}

// Section 15, beyond its numbered cases.
func TestRules(t *testing.T) {
	w := newWorld(t)
	w.a.action("a")
	w.a.put("_/packages/p", `{}`).is(200)
	w.a.action("p/b")
	w.a.put("_/packages/bound", `{"binding":{"namespace":"_","name":"p"}}`).is(200)
	w.a.put("_/triggers/t", `{}`).is(200)

	t.Run("forms_of_references", func(t *testing.T) {
		for i, form := range []string{`"/ns/p/b"`, `"ns/p/b"`, `"/_/bound/b"`, `{"path":"ns/p","name":"b"}`, `{"path":"_/p","name":"b"}`} {
			w.a.put(fmt.Sprintf("_/rules/form%d", i), `{"trigger":{"path":"_","name":"t"},"action":`+form+`}`).is(200)
		}
		w.a.put("_/rules/r", `{"trigger":1,"action":"/_/a"}`).fails(400, "The request content was malformed:\nfully qualified name malformed")
		w.a.put("_/rules/r", `{"trigger":"/_/t","action":"/a/b/c/d"}`).fails(400, "The request content was malformed:\nfully qualified name malformed")
	})
	t.Run("rights", func(t *testing.T) {
		w.a.put("_/rules/r", `{"trigger":"/other/t","action":"/other/a"}`).fails(403, "The supplied authentication is not authorized to access 'other/a, other/t'.")
		w.a.put("_/rules/r", `{"trigger":"/_/t","action":"/other/p/a"}`).fails(403, "The supplied authentication is not authorized to access 'other/p'.")
		w.b.put("ns/rules/r", `x`).fails(403, "The supplied authentication is not authorized to access 'ns/r'.")
		w.b.get("ns/rules").fails(403, "The supplied authentication is not authorized to access 'ns'.")
	})
	t.Run("other_collections", func(t *testing.T) {
		const wrong = "Resource by this name exists but is not in this collection."
		w.a.put("_/rules/a?overwrite=true", `{"trigger":"/_/t","action":"/_/a"}`).fails(409, wrong)
		w.a.put("_/rules/r", `{"trigger":"/_/a","action":"/_/a"}`).fails(409, wrong)
		w.a.put("_/rules/r", `{"trigger":"/_/t","action":"/_/t"}`).fails(409, wrong)
	})
	t.Run("update_keeps_and_replaces", func(t *testing.T) {
		w.a.put("_/rules/u", `{"trigger":"/_/t","action":"/_/a","annotations":[{"key":"x","value":1}]}`).is(200)
		w.a.put("_/rules/u", `{"trigger":"/_/t","action":"/_/a"}`).fails(409, "resource already exists")
		w.a.post("_/rules/u", `{"status":"inactive"}`).is(200)
		w.clock.Advance(time.Second)
		w.a.put("_/rules/u?overwrite=true", `{"action":"/_/p/b"}`).is(200).json(`{"namespace":"ns","name":"u","version":"0.0.2","publish":false,
			"annotations":[{"key":"x","value":1}],"status":"inactive","trigger":{"path":"ns","name":"t"},"action":{"path":"ns/p","name":"b"},"updated":1732176001000}`)
		require.Contains(t, w.a.get("_/triggers/t").body, `"ns/u":{"action":{"path":"ns/p","name":"b"},"status":"inactive"}`)
		w.a.put("_/rules/u?overwrite=true", `{"annotations":[]}`).is(200)
		w.a.put("_/rules/new?overwrite=true", `{"trigger":"/_/t"}`).fails(400, "rule requires a valid trigger and a valid action")
	})
	t.Run("trigger_made_anew", func(t *testing.T) {
		w.a.put("_/triggers/again", `{}`).is(200)
		w.a.put("_/rules/again-r", `{"trigger":"/_/again","action":"/_/a"}`).is(200)
		w.a.delete("_/triggers/again").is(200)
		w.a.put("_/rules/again-r?overwrite=true", `{}`).fails(400, "trigger /ns/again does not exist")
		w.a.put("_/triggers/again", `{}`).is(200)
		require.Equal(t, "inactive", w.a.get("_/rules/again-r").object()["status"])
		w.a.post("_/rules/again-r", `{"status":"active"}`).is(200)
		require.Equal(t, "active", w.a.get("_/rules/again-r").object()["status"])
	})
	t.Run("state_is_not_negotiated", func(t *testing.T) {
		require.Equal(t, "OK", w.a.with("Accept", "text/html").post("_/rules/u", `{"status":"active"}`).is(200).body)
		w.a.post("_/rules/none", `{"status":"active"}`).fails(404, "The requested resource does not exist.")
		w.a.post("_/rules/u", `{"status":null}`).fails(400, "The request content was malformed:\nstatus malformed")
		w.a.post("_/rules/u", `{}`).fails(400, "The request content was malformed:\nstatus malformed")
	})
}

// Many change one trigger at once; none of the rules is lost.
func TestRulesOfOneTriggerAtTheSameTime(t *testing.T) {
	w := newWorld(t)
	w.a.action("a")
	w.a.put("_/triggers/t", `{}`).is(200)
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			rule := fmt.Sprintf("_/rules/r%d", i)
			for _, r := range []reply{
				w.a.put(rule, `{"trigger":"/_/t","action":"/_/a"}`), w.a.post(rule, `{"status":"inactive"}`), w.a.post(rule, `{"status":"active"}`),
			} {
				if r.status != 200 {
					t.Errorf("%d %s", r.status, r.body)
				}
			}
		})
	}
	writers.Wait()
	rules := w.a.get("_/triggers/t").object()["rules"].(map[string]any)
	require.Len(t, rules, 8)
	require.Equal(t, "0.0.1", w.a.get("_/triggers/t").object()["version"])
}

// fetched is a record that was read, with its spelling.
type fetched struct{ reply }

// record waits for a record of A.
func (w *world) record(id any) fetched {
	w.t.Helper()
	var r reply
	eventually(w.t, fmt.Sprintf("the record of %v", id), func() bool {
		r = w.a.get(fmt.Sprintf("_/activations/%v", id))
		return r.status == 200
	})
	return fetched{r}
}

// raw is a part of the record as it is spelled.
func (f fetched) raw(path string) string { return gjson.Get(f.body, path).Raw }

func (f fetched) logs(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, line := range f.object()["logs"].([]any) {
		lines = append(lines, line.(string))
	}
	return lines
}

// runsOf returns how often each activation of an action came to the worker.
func (w *world) runsOf(name entity.Name) map[entity.ActivationID]int {
	runs := map[entity.ActivationID]int{}
	for _, m := range w.worker.messages() {
		if m.Action.Name == name {
			runs[m.ActivationID]++
		}
	}
	return runs
}
