package service_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

const webhooks = "/api/v1/webhooks/"

// hook is a trigger with a webhook and a rule whose action tells what it got.
type hook struct {
	*world
	name string
	got  chan string // the events of the rule's action
}

// newHook makes the trigger with the value of the annotation, an action "<name>-act"
// and a rule.
func (w *world) newHook(name, annotation string) *hook {
	w.t.Helper()
	h := &hook{world: w, name: name, got: make(chan string, 10)}
	h.annotate(annotation).is(200)
	w.a.action(name + "-act")
	w.a.put("_/rules/"+name+"-rule", `{"trigger":"/_/`+name+`","action":"/_/`+name+`-act"}`).is(200)
	w.worker.set(entity.Name(name+"-act"), func(m *bus.ActivationMessage) entity.Response {
		h.got <- string(m.Content)
		return entity.Response{Result: m.Content}
	})
	return h
}

func (h *hook) annotate(value string) reply {
	h.t.Helper()
	return h.a.put("_/triggers/"+h.name+"?overwrite=true", `{"annotations":[{"key":"webhook","value":`+value+`}]}`)
}

// send delivers a body to the webhook, with headers "name: value".
func (h *hook) send(body string, headers ...string) reply {
	h.t.Helper()
	c := h.a.anonymous().with("Content-Type", "application/json")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		c = c.with(name, value)
	}
	return c.post(webhooks+"ns/"+h.name, body)
}

func (h *hook) deliveries() []map[string]any {
	h.t.Helper()
	return h.a.get("_/triggers/" + h.name + "/deliveries").is(200).list()
}

// event waits for the action and returns what it got.
func (h *hook) event() map[string]any {
	h.t.Helper()
	var event map[string]any
	require.NoError(h.t, json.Unmarshal([]byte(<-h.got), &event))
	return event
}

func hexMAC(secret, content string) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(content))
	return hex.EncodeToString(m.Sum(nil))
}

func github(secret, body string) string {
	return "X-Hub-Signature-256: sha256=" + hexMAC(secret, body)
}

func (r reply) activation() string {
	r.t.Helper()
	id, _ := r.is(202).object()["activationId"].(string)
	require.Equal(r.t, id, r.header.Get("X-Openwhisk-Activation-Id"))
	_, err := entity.ParseActivationID(id)
	require.NoError(r.t, err)
	return id
}

func TestWebhook(t *testing.T) {
	w := newWorld(t)
	h := w.newHook("push", `{"verify":"github","secret":"s3cret"}`)
	const body = `{"ref":"refs/heads/main","n":1.50}`
	signature := github("s3cret", body)

	t.Run("a_signed_delivery_fires", func(t *testing.T) {
		id := h.send(body, signature, "X-GitHub-Delivery: d-1", "X-GitHub-Event: push").activation()
		event := <-h.got
		require.Contains(t, event, `"body":`+body)
		require.NotContains(t, event, "s3cret")
		require.NotContains(t, event, strings.TrimPrefix(signature, "X-Hub-Signature-256: "))
		var parsed struct{ Delivery map[string]string }
		require.NoError(t, json.Unmarshal([]byte(event), &parsed))
		require.Equal(t, map[string]string{"id": id, "senderId": "d-1", "time": "2024-11-21T08:00:00.000Z", "verify": "github", "type": "push"}, parsed.Delivery)
		require.Equal(t, []map[string]any{{
			"id": id, "received": float64(1732176000000), "outcome": "accepted", "activationId": id, "verify": "github",
			"senderId": "d-1", "type": "push", "size": float64(len(body)),
		}}, h.deliveries())
	})
	t.Run("a_repeated_one_fires_nothing", func(t *testing.T) {
		first := h.deliveries()[0]["id"]
		require.Equal(t, first, h.send(body, signature, "X-GitHub-Delivery: d-1").activation())
		require.NotEqual(t, first, h.send(body, signature, "X-GitHub-Delivery: d-2").activation())
		require.Equal(t, "d-2", h.event()["delivery"].(map[string]any)["senderId"], "the next that fired")
		require.Len(t, h.deliveries(), 2)
	})
	t.Run("what_has_no_id_cannot_be_told_from_another", func(t *testing.T) {
		require.NotEqual(t, h.send(body, signature).activation(), h.send(body, signature).activation())
		h.event()
		h.event()
	})
	t.Run("many_at_once_fire_one", func(t *testing.T) {
		ids := make([]string, 8)
		var all sync.WaitGroup
		for i := range ids {
			all.Go(func() { ids[i] = h.send(body, signature, "X-GitHub-Delivery: d-many").activation() })
		}
		all.Wait()
		for _, id := range ids {
			require.Equal(t, ids[0], id)
		}
		h.event()
		h.send(body, signature, "X-GitHub-Delivery: d-last").activation()
		require.Equal(t, "d-last", h.event()["delivery"].(map[string]any)["senderId"])
	})
	t.Run("what_a_crash_left_unwritten_heals", func(t *testing.T) {
		id := h.deliveries()[0]["id"].(string)
		_, err := w.db.Deliveries().Expire(t.Context(), w.clock.Now().Add(time.Hour), 1000)
		require.NoError(t, err)
		require.Empty(t, h.deliveries(), "as if the server had died between firing and writing")
		require.Equal(t, id, h.send(body, signature, "X-GitHub-Delivery: d-last").activation())
		require.Equal(t, id, h.deliveries()[0]["activationId"])
		h.send(body, signature, "X-GitHub-Delivery: d-after").activation()
		require.Equal(t, "d-after", h.event()["delivery"].(map[string]any)["senderId"], "the next that fired")
	})
	t.Run("nobody_else_fires", func(t *testing.T) {
		h.send(body).fails(401, "The delivery could not be verified.")
		h.send(body+" ", signature).fails(401, "The delivery could not be verified.")
		list := h.deliveries()
		require.Equal(t, "the signature does not match", list[0]["reason"])
		require.Equal(t, "the header X-Hub-Signature-256 is missing", list[1]["reason"])
		require.Equal(t, "refused", list[0]["outcome"])
		require.NotContains(t, list[0], "activationId")
		h.a.post("_/triggers/push/deliveries/"+list[0]["id"].(string), "").fails(409, "The delivery was refused and has no event that could be sent again.")
	})
	t.Run("metrics", func(t *testing.T) {
		families, err := w.registry.Gather()
		require.NoError(t, err)
		counts := map[string]float64{}
		for _, family := range families {
			if family.GetName() != "gowhisk_controller_webhook_deliveries_total" {
				continue
			}
			for _, m := range family.Metric {
				counts[m.Label[0].GetValue()] = m.Counter.GetValue()
			}
		}
		require.Equal(t, map[string]float64{"accepted": 7, "repeated": 9, "unverified": 2, "unmatched": 0, "throttled": 0, "refused": 0, "failed": 0}, counts)
	})
}

func TestWebhookAnswers(t *testing.T) {
	w := newWorld(t)
	h := w.newHook("in", `{"verify":"bearer","token":"t0k"}`)
	const token = "Authorization: Bearer t0k"

	t.Run("404_tells_nothing", func(t *testing.T) {
		w.a.put("_/triggers/plain", `{}`).is(200)
		w.a.put("_/triggers/null", `{"annotations":[{"key":"webhook","value":null}]}`).is(200)
		legacy := &entity.Trigger{Header: entity.Header{Namespace: "ns", Name: "legacy", Version: entity.FirstVersion,
			Annotations: entity.Parameters{{Key: "webhook", Value: json.RawMessage(`true`)}}}}
		require.NoError(t, w.db.Entities().Put(t.Context(), legacy))
		for _, path := range []string{"none/in", "ns/none", "ns/plain", "ns/null", "ns/legacy", "ns/in-act", "ns/in-rule", "_/in", "ns/a!b", "ns/in%2Fx", "ns%2Fp/in", "ns/%20in", "%20ns/in"} {
			w.a.anonymous().post(webhooks+path, "{}").fails(404, "The requested resource does not exist.")
		}
		w.a.put("_/triggers/legacy?overwrite=true", `{"publish":true}`).is(200)
	})
	t.Run("404_for_the_blocked", func(t *testing.T) {
		w.a.subject.Blocked = true
		require.NoError(t, w.db.Subjects().PutSubject(t.Context(), w.a.subject))
		h.send("{}", token).fails(404, "The requested resource does not exist.")
		w.a.subject.Blocked = false
		require.NoError(t, w.db.Subjects().PutSubject(t.Context(), w.a.subject))
		h.send("{}", token).activation()
		h.event()
	})
	t.Run("405", func(t *testing.T) {
		for _, verb := range []string{"GET", "PUT", "DELETE", "PATCH"} {
			w.a.anonymous().do(verb, webhooks+"ns/in", "").fails(405, "HTTP method not allowed, supported methods: POST")
			w.a.anonymous().do(verb, webhooks+"ns/none", "").fails(405, "HTTP method not allowed, supported methods: POST")
		}
	})
	t.Run("413", func(t *testing.T) {
		h.send(strings.Repeat(" ", 1<<20+1), token).fails(413, "Request larger than allowed: 1048577 > 1048576 bytes.")
		w.limit("ns", `{"maxPayloadSize":"10 B"}`)
		h.send(`"123456789"`, token).fails(413, "Request larger than allowed: 11 > 10 bytes.")
		w.limit("ns", `{}`)
	})
	t.Run("400_and_415", func(t *testing.T) {
		h.send(`{"a"`, token).failsWith(400, "The request content was malformed:\n")
		h.send(`x`, token, "Content-Type: image/png").fails(415, "The delivery's Content-Type [image/png] is not supported.")
		h.send(`[]`, token, "Content-Type: application/cloudevents-batch+json").is(415)
		h.send(`{}`, token, "Content-Encoding: gzip").fails(415, "The delivery's Content-Encoding [gzip] is not supported.")
		h.send(`x`, "Content-Type: image/png").is(401)
		require.Equal(t, "The delivery's Content-Encoding [gzip] is not supported.", h.deliveries()[1]["reason"])
	})
	t.Run("429_counts_what_is_genuine", func(t *testing.T) {
		w.clock.Advance(time.Minute)
		w.limit("ns", `{"firesPerMinute":2}`)
		for range 5 {
			h.send("{}").is(401)
		}
		for i := range 2 {
			h.send("{}", token).activation()
			h.event()
			_ = i
		}
		h.send("{}", token).fails(429, "Too many requests in the last minute (count: 3, allowed: 2).")
		require.Equal(t, "Too many requests in the last minute (count: 3, allowed: 2).", h.deliveries()[0]["reason"])
		w.limit("ns", `{}`)
	})
	t.Run("204_without_an_active_rule", func(t *testing.T) {
		h.annotate(`{"verify":"bearer","token":"********","deliveryId":"X-Id"}`).is(200)
		w.a.post("_/rules/in-rule", `{"status":"inactive"}`).is(200)
		r := h.send("{}", token, "X-Id: 1").is(204)
		require.Empty(t, r.body)
		require.Empty(t, r.header.Get("X-Openwhisk-Activation-Id"))
		require.Equal(t, "unmatched", h.deliveries()[0]["outcome"])
		w.a.post("_/rules/in-rule", `{"status":"active"}`).is(200)
		id := h.send("{}", token, "X-Id: 1").activation()
		require.Equal(t, id, h.deliveries()[0]["activationId"], "it had not been accepted before")
		h.event()
	})
}

// Whoever floods a webhook with what is refused keeps the store from nothing else.
func TestFewRefusalsAreWrittenDown(t *testing.T) {
	w := newWorld(t)
	open, proven := w.newHook("open", `{"verify":"none"}`), w.newHook("proven", `{"verify":"bearer","token":"t0k"}`)
	const token = "Authorization: Bearer t0k"
	latest := func(h *hook) any { return h.deliveries()[0]["reason"] }
	const image, gzip = "The delivery's Content-Type [image/png] is not supported.", "The delivery's Content-Encoding [gzip] is not supported."

	for range 50 {
		open.send("x", "Content-Type: image/png").is(415)
		proven.send("x", token, "Content-Type: image/png").is(415)
	}
	open.send("{}", "Content-Encoding: gzip").is(415)
	require.Equal(t, image, latest(open))
	proven.send("{}").is(401)
	proven.send("{}", token, "Content-Encoding: gzip").is(415)
	require.Equal(t, image, latest(proven))
	w.clock.Advance(time.Second)
	open.send("{}", "Content-Encoding: gzip").is(415)
	require.Equal(t, gzip, latest(open))
	for range 10 {
		open.send("x").is(400)
	}
	proven.send("{}", token, "Content-Encoding: gzip").is(415)
	require.Equal(t, gzip, latest(proven), "strangers leave room for it")
}

func TestWebhookSecrets(t *testing.T) {
	w := newWorld(t)
	h := w.newHook("t", `{"verify":"github","secret":"hush-1"}`)
	const masked = `{"key":"webhook","value":{"verify":"github","secret":"********"}}`
	send := func(secret string) reply { return h.send("{}", github(secret, "{}")) }

	t.Run("are_never_shown", func(t *testing.T) {
		for _, r := range []reply{h.annotate(`{"verify":"github","secret":"hush-1"}`), w.a.get("_/triggers/t"), w.a.get("_/triggers"), w.a.get("_/triggers?limit=1")} {
			require.Contains(t, r.is(200).body, masked)
			require.NotContains(t, r.body, "hush")
		}
	})
	t.Run("are_kept", func(t *testing.T) {
		h.annotate(`{"verify":"github","secret":"********"}`).is(200)
		w.a.put("_/triggers/t?overwrite=true", `{"parameters":[{"key":"a","value":1}]}`).is(200)
		send("hush-1").activation()
		require.Contains(t, <-h.got, `"a":1`)
		send("********").is(401)
	})
	t.Run("can_be_rotated", func(t *testing.T) {
		h.annotate(`{"verify":"github","secrets":["hush-2","********"]}`).is(200)
		send("hush-1").activation()
		send("hush-2").activation()
		h.annotate(`{"verify":"github","secrets":["********"]}`).is(200)
		send("hush-1").is(401)
		send("hush-2").activation()
	})
	t.Run("are_checked", func(t *testing.T) {
		h.annotate(`{"secret":"x"}`).failsWith(400, "The request content was malformed:\nannotation webhook: \"verify\" is missing")
		h.annotate(`{"verify":"github","secrets":["********","********"]}`).failsWith(400, "send the secret itself")
		w.a.put("_/triggers/new", `{"annotations":[`+masked+`]}`).failsWith(400, "send the secret itself")
		w.a.get("_/triggers/new").is(404)
		send("hush-2").activation()
	})
	t.Run("go_with_the_annotation", func(t *testing.T) {
		require.NotContains(t, w.a.delete("_/triggers/t").is(200).body, "hush")
		send("hush-2").is(404)
		w.a.put("_/triggers/t", `{"annotations":[`+masked+`]}`).is(400)
	})
}

func TestDeliveries(t *testing.T) {
	w := newWorld(t)
	h := w.newHook("t", `{"verify":"none","deliveryId":"X-Id"}`)
	const path = "_/triggers/t/deliveries"
	for i := range 3 {
		h.send(fmt.Sprintf(`{"i":%d.0}`, i), fmt.Sprintf("X-Id: %d", i)).activation()
		h.event()
	}
	ids := func(query string) (ids []any) {
		for _, d := range w.a.get(path + query).is(200).list() {
			ids = append(ids, d["senderId"])
		}
		return ids
	}
	first := h.deliveries()[2]["id"].(string)

	t.Run("are_listed_latest_first", func(t *testing.T) {
		require.Equal(t, []any{"2", "1", "0"}, ids(""))
		require.Equal(t, []any{"1"}, ids("?limit=1&skip=1"))
		w.a.get(path+"?limit=201").fails(400, "The query parameter 'limit' was malformed:\nThe value '201' is not in the range of 0 to 200 for deliveries.")
		w.a.get("_/triggers/none/deliveries").is(404)
		w.a.get("_/triggers/t-act/deliveries").is(409)
	})
	t.Run("have_their_event", func(t *testing.T) {
		r := w.a.get(path + "/" + first).is(200)
		require.Contains(t, r.body, `"event":{"body":{"i":0.0},"headers":{`)
		w.a.get(path+"/"+strings.Repeat("0", 32)).fails(404, "The requested resource does not exist.")
		w.a.get(path+"/x").fails(400, "Activation id length is 1 but must be 32.")
	})
	t.Run("can_be_sent_again", func(t *testing.T) {
		w.clock.Advance(time.Second)
		id := w.a.post(path+"/"+first, "").activation()
		require.NotEqual(t, first, id)
		event := h.event()
		require.Equal(t, first, event["delivery"].(map[string]any)["id"], "the action can tell that it is the same")
		d := h.deliveries()[0]
		require.Equal(t, id, d["activationId"])
		require.Equal(t, first, d["resendOf"])
		require.EqualValues(t, 1732176001000, d["received"])
		w.a.post("_/rules/t-rule", `{"status":"inactive"}`).is(200)
		w.a.post(path+"/"+first, "").is(204)
		require.Equal(t, "unmatched", h.deliveries()[0]["outcome"])
	})
	t.Run("are_their_owners", func(t *testing.T) {
		for _, verb := range []string{"GET", "POST"} {
			w.b.do(verb, "ns/triggers/t/deliveries/"+first, "").fails(403, "The supplied authentication is not authorized to access 'ns/t'.")
			w.a.anonymous().do(verb, "ns/triggers/t/deliveries/"+first, "").is(401)
		}
		w.b.get("ns/triggers/t/deliveries").is(403)
		w.a.anonymous().get("ns/triggers/t/deliveries").is(401)
	})
	t.Run("go_with_their_trigger", func(t *testing.T) {
		w.a.delete("_/triggers/t").is(200)
		w.a.get(path).is(404)
		w.a.get(path + "/" + first).is(404)
		h.annotate(`{"verify":"none"}`).is(200)
		require.Empty(t, h.deliveries())
	})
}

func TestWebhooksOfSlack(t *testing.T) {
	w := newWorld(t)
	h := w.newHook("slack", `{"verify":"slack","secret":"s3cret"}`)
	send := func(contentType, body string) reply {
		now := fmt.Sprint(w.clock.Now().Unix())
		return h.send(body, "Content-Type: "+contentType, "X-Slack-Request-Timestamp: "+now, "X-Slack-Signature: v0="+hexMAC("s3cret", "v0:"+now+":"+body))
	}
	t.Run("challenge", func(t *testing.T) {
		const body = `{"type":"url_verification","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}`
		r := send("application/json", body).is(200)
		require.Equal(t, "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P", r.body)
		require.Equal(t, "text/plain; charset=UTF-8", r.header.Get("Content-Type"))
		h.send(body).is(401)
	})
	t.Run("event", func(t *testing.T) {
		const body = `{"type":"event_callback","event_id":"Ev1","event":{"type":"message"}}`
		id := send("application/json", body).activation()
		require.Equal(t, "message", h.event()["delivery"].(map[string]any)["type"])
		w.clock.Advance(time.Minute)
		require.Equal(t, id, send("application/json", body).activation(), "Slack's retry is signed anew")
	})
	t.Run("command", func(t *testing.T) {
		const body = "command=%2Fdo&text=it"
		first := send("application/x-www-form-urlencoded", body).is(200)
		require.Empty(t, first.body)
		require.NotEmpty(t, first.header.Get("X-Openwhisk-Activation-Id"))
		require.Equal(t, map[string]any{"command": "/do", "text": "it"}, h.event()["body"])
		again := send("application/x-www-form-urlencoded", body).is(200)
		require.Equal(t, first.header.Get("X-Openwhisk-Activation-Id"), again.header.Get("X-Openwhisk-Activation-Id"), "a replay: the same signature")
		w.clock.Advance(time.Second)
		send("application/x-www-form-urlencoded", body).is(200)
		h.event()
	})
	t.Run("old", func(t *testing.T) {
		stale := fmt.Sprint(w.clock.Now().Add(-301 * time.Second).Unix())
		h.send("{}", "X-Slack-Request-Timestamp: "+stale, "X-Slack-Signature: v0="+hexMAC("s3cret", "v0:"+stale+":{}")).fails(401, "The delivery could not be verified.")
		require.Equal(t, "the timestamp is 5m1s from this server's time, allowed are 5m0s", h.deliveries()[0]["reason"])
	})
}
