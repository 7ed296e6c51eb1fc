package service_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// eventually polls what nothing signals, because it becomes true after the answer.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, waitAtMost, pollEvery, what)
}

// Cases 64 to 82 of openwhisk-rest-api.md section 28.4.
func TestInvocations(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"echo", "err", "crash", "whisk", "arr"} {
		w.a.action(name)
	}

	t.Run("case_064_accepted", func(t *testing.T) {
		r := w.a.post("_/actions/echo", `{"x":1}`).is(202)
		o := r.object()
		require.Len(t, o, 1)
		require.Equal(t, o["activationId"], r.header.Get("x-openwhisk-activation-id"))
		id := o["activationId"].(string)
		eventually(t, "the record", func() bool { return w.a.get("_/activations/"+id).status == 200 })
	})
	t.Run("case_065_blocking", func(t *testing.T) {
		r := w.a.post("_/actions/echo?blocking=true", `{"x":1}`).is(200)
		o := r.object()
		require.Equal(t, o["activationId"], r.header.Get("x-openwhisk-activation-id"))
		require.Equal(t, map[string]any{"status": "success", "success": true, "size": 7.0, "result": map[string]any{"x": 1.0}}, o["response"])
		require.Equal(t, []any{}, o["logs"])
		require.Equal(t, "ns", o["namespace"])
		require.Equal(t, "alice", o["subject"])
	})
	t.Run("case_066_067_result", func(t *testing.T) {
		require.Equal(t, `{"x":1.50,"y":1e400,"z":123456789012345678901234567890}`,
			w.a.post("_/actions/echo?blocking=true&result=true", `{"x":1.50,"y":1e400,"z":123456789012345678901234567890}`).is(200).body)
		w.a.post("_/actions/echo?result=true", `{}`).is(202)
	})
	t.Run("case_068_069_application_error_is_502_without_code", func(t *testing.T) {
		o := w.a.post("_/actions/err?blocking=true", "").is(502).object()
		require.NotContains(t, o, "code")
		response := o["response"].(map[string]any)
		require.Equal(t, "application error", response["status"])
		require.Equal(t, false, response["success"])
		require.Equal(t, map[string]any{"error": "boom"}, response["result"])
		w.a.post("_/actions/err?blocking=true&result=true", "").is(502).json(`{"error":"boom"}`)
	})
	t.Run("case_070_developer_error_is_502", func(t *testing.T) {
		o := w.a.post("_/actions/crash?blocking=true", "").is(502).object()
		require.Equal(t, "action developer error", o["response"].(map[string]any)["status"])
	})
	t.Run("whisk_error_is_500", func(t *testing.T) {
		o := w.a.post("_/actions/whisk?blocking=true", "").is(500).object()
		require.Equal(t, "whisk internal error", o["response"].(map[string]any)["status"])
		require.NotContains(t, o, "code")
	})
	t.Run("case_071_array_is_answered_bare", func(t *testing.T) {
		require.Equal(t, `[1,2]`, w.a.post("_/actions/arr?blocking=true", "").is(200).body)
	})
	t.Run("case_074_wait_expires", func(t *testing.T) {
		w.a.action("slow")
		release := w.worker.hold("slow")
		defer release()
		r := w.a.post("_/actions/slow?blocking=true&timeout=1", "").is(202)
		id := r.object()["activationId"].(string)
		release()
		eventually(t, "the record", func() bool { return w.a.get("_/activations/"+id).status == 200 })
	})
	t.Run("case_075_wait_out_of_range", func(t *testing.T) {
		const text = "The query parameter 'timeout' was malformed:\nTimeout must be number of milliseconds up to 60000."
		for _, v := range []string{"60001", "0", "-1", "x"} {
			w.a.post("_/actions/echo?blocking=true&timeout="+v, "").fails(400, text)
		}
	})
	t.Run("case_077_payload_must_be_an_object", func(t *testing.T) {
		w.a.post("_/actions/echo", `[1]`).fails(400, "The request content was malformed:\nJSON object expected")
		w.a.post("_/actions/echo", `"x"`).fails(400, "The request content was malformed:\nJSON object expected")
		w.a.post("_/actions/echo", `{"x"`).failsWith(400, "The request content was malformed:\n")
		w.a.post("_/actions/echo", strings.Repeat(`[`, 300_000)).failsWith(400, "The request content was malformed:\n")
		w.a.with("Content-Type", "text/plain").post("_/actions/echo", `{}`).is(415)
	})
	t.Run("case_078_no_payload", func(t *testing.T) {
		w.a.post("_/actions/echo", "").is(202)
		require.Equal(t, `{}`, w.a.post("_/actions/echo?blocking=true&result=true", "").is(200).body)
	})
	t.Run("case_079_missing", func(t *testing.T) {
		w.a.post("_/actions/none", "{}").fails(404, "The requested resource does not exist.")
	})
	t.Run("case_080_payload_too_large", func(t *testing.T) {
		w.a.post("_/actions/echo", `{"x":"`+strings.Repeat("x", 1<<20)+`"}`).fails(413, "Request larger than allowed: 1048584 > 1048576 bytes.")
		w.limit("other", `{"maxPayloadSize":"1 K"}`)
		w.b.action("echo")
		w.b.post("_/actions/echo", `{"x":"`+strings.Repeat("x", 1024)+`"}`).fails(413, "Request larger than allowed: 1032 > 1024 bytes.")
	})
	t.Run("case_081_final_parameters", func(t *testing.T) {
		w.a.action("final", `"parameters":[{"key":"a","value":1},{"key":"n","value":null}],"annotations":[{"key":"final","value":true}]`)
		const text = "Request defines parameters that are not allowed (e.g., reserved properties)."
		w.a.post("_/actions/final", `{"a":2}`).fails(400, text)
		w.a.post("_/actions/final", `{"b":1,"\u0061":2}`).fails(400, text)
		require.Equal(t, `{"a":1,"n":2,"b":3}`, w.a.post("_/actions/final?blocking=true&result=true", `{"n":2,"b":3}`).is(200).orderless(`{"a":1,"n":2,"b":3}`))
	})
	t.Run("case_082_parameters_merge", func(t *testing.T) {
		w.a.put("_/packages/p", `{"parameters":[{"key":"p","value":"P"},{"key":"q","value":"P"}]}`).is(200)
		w.a.action("p/merge", `"parameters":[{"key":"q","value":"A"},{"key":"r","value":"A"}]`)
		w.a.post("_/actions/p/merge?blocking=true&result=true", `{"r":"X"}`).is(200).json(`{"p":"P","q":"A","r":"X"}`)
		w.a.put("_/packages/p?overwrite=true", `{"parameters":[{"key":"p","value":"new"}]}`).is(200)
		w.a.post("_/actions/p/merge?blocking=true&result=true", "").is(200).json(`{"p":"new","q":"A","r":"A"}`)
	})
	t.Run("through_a_public_package_and_a_binding", func(t *testing.T) {
		w.b.post("ns/actions/p/merge", "").fails(403, "The supplied authentication is not authorized to access 'ns/p'.")
		w.a.put("_/packages/p?overwrite=true", `{"publish":true}`).is(200)
		w.b.put("_/packages/mine", `{"binding":{"namespace":"ns","name":"p"},"parameters":[{"key":"p","value":"B"}]}`).is(200)
		w.limit("other", `{}`)
		r := w.b.post("_/actions/mine/merge?blocking=true", "").is(200).object()
		require.Equal(t, "other", r["namespace"])
		w.b.post("_/actions/mine/merge?blocking=true&result=true", "").is(200).json(`{"p":"B","q":"A","r":"A"}`)
		messages := w.worker.messages()
		last := messages[len(messages)-1]
		require.Equal(t, entity.Path("other/mine"), last.Binding)
		require.Equal(t, "ns/p/merge", last.Action.String())
		require.Contains(t, w.b.get("_/actions/mine/merge?code=false").is(200).body, `"binding":"other/mine"`)
		require.Equal(t, "ns/p", w.b.get("_/actions/mine/").is(200).list()[0]["namespace"])
		w.b.put("_/actions/mine/x", function).fails(400, "Operation not permitted on package binding.")
		w.b.delete("_/actions/mine/merge").fails(400, "Operation not permitted on package binding.")
	})
	t.Run("the_key_travels_only_where_it_is_granted", func(t *testing.T) {
		w.a.action("granted", `"annotations":[{"key":"provide-api-key","value":true}]`)
		w.a.post("_/actions/granted?blocking=true", "").is(200)
		w.a.post("_/actions/echo?blocking=true", "").is(200)
		messages := w.worker.messages()
		granted, plain := messages[len(messages)-2], messages[len(messages)-1]
		require.Equal(t, w.a.key, granted.User.Key)
		require.Equal(t, entity.AuthKey{UUID: w.a.key.UUID}, plain.User.Key)
	})
	t.Run("init_parameters_and_extra_logging_are_told", func(t *testing.T) {
		w.a.action("init", `"parameters":[{"key":"s","value":"v","init":true},{"key":"e","value":"abc","encryption":"aes-128"}]`)
		w.a.with("X-OW-EXTRA-LOGGING", "On").with("X-Request-Id", "mine").post("_/actions/init?blocking=true", `{"s":"w"}`).is(200)
		messages := w.worker.messages()
		m := messages[len(messages)-1]
		require.Equal(t, []string{"s"}, m.InitArgs)
		require.Equal(t, map[string]string{"e": "aes-128"}, m.LockedArgs)
		require.JSONEq(t, `{"s":"w","e":"abc"}`, string(m.Content))
		require.Equal(t, "mine", m.Transid.ID)
		require.True(t, m.Transid.Extra)
		require.Equal(t, w.clock.Now(), m.Transid.Start)
	})
	t.Run("a_result_that_is_not_in_the_completion_is_fetched", func(t *testing.T) {
		other := newWorld(t)
		other.worker.shrinkResults()
		other.a.action("echo")
		require.Equal(t, `{"x":1}`, other.a.post("_/actions/echo?blocking=true&result=true", `{"x":1}`).is(200).body)
	})
}

func TestManyAtOnce(t *testing.T) {
	w := newWorld(t)
	w.a.action("echo")
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			for j := range 20 {
				payload := fmt.Sprintf(`{"i":%d,"j":%d}`, i, j)
				r := w.a.post("_/actions/echo?blocking=true&result=true", payload)
				if r.status != 200 || r.body != payload {
					t.Errorf("%d: %s instead of %s", r.status, r.body, payload)
				}
			}
		})
	}
	callers.Wait()
	eventually(t, "nothing stays in flight", func() bool { return w.service.InFlight() == 0 })
	w.a.get("_/activations?count=true").json(`{"activations":320}`)
}

// orderless returns want if the body equals it as JSON.
func (r reply) orderless(want string) string {
	r.t.Helper()
	r.json(want)
	return want
}

// Cases 84 to 95 of openwhisk-rest-api.md section 28.4.
func TestActivations(t *testing.T) {
	w := newWorld(t)
	w.a.action("echo")
	w.a.put("_/packages/p", `{}`).is(200)
	w.a.action("p/echo")
	w.worker.set("big", func(*bus.ActivationMessage) entity.Response {
		return entity.Response{Result: json.RawMessage(`{"n":0.10}`)}
	})
	record := func(path string) string {
		w.clock.Advance(1000000)
		r := w.a.post("_/actions/"+path+"?blocking=true", `{"n":0.10}`).is(200)
		id := r.header.Get("x-openwhisk-activation-id")
		eventually(t, "the record", func() bool { return w.a.get("_/activations/"+id).status == 200 })
		return id
	}
	first := record("echo")
	packaged := record("p/echo")

	t.Run("case_084_record", func(t *testing.T) {
		for _, slash := range []string{"", "/"} {
			o := w.a.get("_/activations/" + first + slash).is(200).object()
			require.NotContains(t, o, "statusCode")
			require.EqualValues(t, 10, o["response"].(map[string]any)["size"])
			require.Len(t, o["logs"], 1)
		}
	})
	t.Run("case_085_result_and_logs", func(t *testing.T) {
		require.Equal(t, `{"status":"success","success":true,"size":10,"result":{"n":0.10}}`, w.a.get("_/activations/"+first+"/result").is(200).body)
		require.Len(t, w.a.get("_/activations/" + first + "/logs").is(200).object()["logs"], 1)
	})
	t.Run("case_086_no_other_part", func(t *testing.T) {
		w.a.get("_/activations/"+first+"/bogus").fails(404, "The requested resource could not be found.")
	})
	t.Run("case_087_088_089_ids", func(t *testing.T) {
		hex := strings.Repeat("0", 31)
		w.a.get("_/activations/"+hex).fails(400, "Activation id length is 31 but must be 32.")
		w.a.get("_/activations/"+hex+"z").fails(400, "The activation id is not valid.")
		w.a.get("_/activations/"+hex+"0").fails(404, "The requested resource does not exist.")
	})
	t.Run("case_090_summaries", func(t *testing.T) {
		list := w.a.get("_/activations").is(200).list()
		require.Len(t, list, 2)
		require.Equal(t, packaged, list[0]["activationId"])
		for _, item := range list {
			for _, field := range []string{"activationId", "start", "end", "duration", "statusCode", "annotations"} {
				require.Contains(t, item, field)
			}
			for _, field := range []string{"response", "logs", "subject"} {
				require.NotContains(t, item, field)
			}
		}
	})
	t.Run("case_091_docs", func(t *testing.T) {
		list := w.a.get("_/activations?docs=true&limit=1").is(200).list()
		require.Len(t, list, 1)
		require.Contains(t, list[0], "response")
		w.a.get("_/activations?docs=true&count=true").fails(400, "The parameter 'docs' is not permitted with 'count'.")
		w.a.get("_/activations?count=true").is(200).json(`{"activations":2}`)
	})
	t.Run("case_092_name", func(t *testing.T) {
		require.Equal(t, first, w.a.get("_/activations?name=echo").is(200).list()[0]["activationId"])
		require.Equal(t, packaged, w.a.get("_/activations?name=p/echo").is(200).list()[0]["activationId"])
		require.Len(t, w.a.get("_/activations?name=").is(200).list(), 2)
		const text = "The query parameter 'name' was malformed:\nParameter may be a 'simple' name or 'package-name/simple' name: "
		w.a.get("_/activations?name=a/b/c").fails(400, text+"a/b/c")
		w.a.get("_/activations?name=a!").fails(400, text+"a!")
	})
	t.Run("case_093_094_times", func(t *testing.T) {
		start := "1732176000001"
		list := w.a.get("_/activations?since=" + start + "&upto=" + start).is(200).list()
		require.Len(t, list, 1)
		require.Equal(t, first, list[0]["activationId"])
		w.a.get("_/activations?since=abc").fails(400, "The query parameter 'since' was malformed:\nParameter is not a valid value for epoch seconds: abc")
	})
	t.Run("case_095_foreign", func(t *testing.T) {
		w.a.get("other/activations").is(403)
		w.b.get("ns/activations/" + first).is(403)
		w.b.get("_/activations/"+first).fails(404, "The requested resource does not exist.")
	})
}
