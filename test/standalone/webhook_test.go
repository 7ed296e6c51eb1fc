package standalone

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

// webhook is a trigger with the annotation, an action that returns what it gets, and
// a rule between them, all by one name.
type webhook struct {
	*harness.Namespace
	server *harness.Server
	name   string
}

func newWebhook(t testing.TB, s *harness.Server, n *harness.Namespace, name string, annotation map[string]any) *webhook {
	t.Helper()
	w := &webhook{Namespace: n, server: s, name: name}
	w.annotate(t, annotation).Is(t, 200)
	n.PutAction(t, name+"-action", harness.Node(`function main(args) { return args }`))
	n.Put(t, "_/rules/"+name+"-rule", map[string]string{"trigger": "/_/" + name, "action": "/_/" + name + "-action"}).Is(t, 200)
	return w
}

func (w *webhook) annotate(t testing.TB, annotation map[string]any) *harness.Response {
	t.Helper()
	return w.Put(t, "_/triggers/"+w.name+"?overwrite=true", map[string]any{
		"annotations": []harness.KeyValue{{Key: "webhook", Value: annotation}},
	})
}

// deliver sends a body as a stranger.
func (w *webhook) deliver(t testing.TB, body string, options ...func(*http.Request)) *harness.Response {
	t.Helper()
	return w.server.Client("").Post(t, "/api/v1/webhooks/"+w.Name+"/"+w.name, body, options...)
}

// got waits for the activation of the rule's action, and returns what it was given.
func (w *webhook) got(t testing.TB, trigger string) gjson.Result {
	t.Helper()
	logs := w.Activation(t, trigger).Get("logs").Array()
	require.Len(t, logs, 1, "rules")
	line := gjson.Parse(logs[0].String())
	require.True(t, line.Get("success").Bool(), "%s", line)
	return w.Activation(t, line.Get("activationId").String()).Get("response.result")
}

// fired counts the activations of the rule's action.
func (w *webhook) fired(t testing.TB) int {
	t.Helper()
	return len(w.Activations(t, w.name+"-action"))
}

// restart begins another life of the server.
func (w *webhook) restart(t testing.TB) {
	t.Helper()
	w.server.Restart(t)
	w.Namespace = &harness.Namespace{Name: w.Name, Key: w.Key, Client: w.server.Client(w.Key)}
}

func mac(key []byte, content string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(content))
	return m.Sum(nil)
}

// fromGitHub signs a delivery as GitHub does.
func fromGitHub(secret, body, id string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac([]byte(secret), body)))
		r.Header.Set("X-GitHub-Delivery", id)
		r.Header.Set("X-GitHub-Event", "push")
	}
}

func TestWebhooks(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	n := harness.NewNamespace(t, s, "hooks")
	w := newWebhook(t, s, n, "push", map[string]any{"verify": "github", "secret": "It's a Secret to Everybody"})
	const secret, body = "It's a Secret to Everybody", `{"ref":"refs/heads/main","size":1.50,"id":12345678901234567890}`
	var first string

	t.Run("github_delivery_runs_an_action", func(t *testing.T) {
		first = w.deliver(t, body, fromGitHub(secret, body, "72d3162e-cc78-11e3-81ab-4c9367dc0958")).Is(t, 202).ActivationID()
		event := w.got(t, first)
		require.Equal(t, body, w.Activation(t, first).Get("response.result.body").Raw, "numbers keep their spelling until JavaScript reads them")
		require.Equal(t, "refs/heads/main", event.Get("body.ref").String())
		require.Equal(t, "push", event.Get("delivery.type").String())
		require.Equal(t, "push", event.Get("headers.x-github-event").String())
		require.False(t, event.Get("headers.x-hub-signature-256").Exists())
		require.False(t, event.Get("__ow_headers").Exists())
	})
	t.Run("githubs_example", func(t *testing.T) {
		id := w.deliver(t, "Hello, World!", harness.Header("Content-Type", "text/plain"),
			harness.Header("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")).Is(t, 202).ActivationID()
		require.Equal(t, "Hello, World!", w.got(t, id).Get("body").String())
	})
	t.Run("repeated_delivery_fires_once", func(t *testing.T) {
		before := w.fired(t)
		again := w.deliver(t, body, fromGitHub(secret, body, "72d3162e-cc78-11e3-81ab-4c9367dc0958")).Is(t, 202)
		require.Equal(t, first, again.ActivationID())
		other := w.deliver(t, body, fromGitHub(secret, body, "other")).Is(t, 202).ActivationID()
		w.got(t, other)
		require.Equal(t, before+1, w.fired(t))
	})
	t.Run("secrets_rotate", func(t *testing.T) {
		shown := w.annotate(t, map[string]any{"verify": "github", "secrets": []string{"new", "********"}}).Is(t, 200)
		require.NotContains(t, string(shown.Body), `"new"`)
		require.NotContains(t, string(n.Get(t, "_/triggers/push").Is(t, 200).Body), "Everybody")
		w.deliver(t, body, fromGitHub(secret, body, "r1")).Is(t, 202)
		w.deliver(t, body, fromGitHub("new", body, "r2")).Is(t, 202)
		w.annotate(t, map[string]any{"verify": "github", "secret": "********"}).Is(t, 200)
		w.deliver(t, body, fromGitHub(secret, body, "r3")).Is(t, 401)
		w.deliver(t, body, fromGitHub("new", body, "r3")).Is(t, 202)
	})
	t.Run("deliveries_are_sent_again", func(t *testing.T) {
		list := n.Get(t, "_/triggers/push/deliveries").Is(t, 200).JSON().Array()
		require.Len(t, list, 7)
		require.Equal(t, "r3", list[0].Get("senderId").String())
		require.Equal(t, "refused", list[1].Get("outcome").String())
		one := n.Get(t, "_/triggers/push/deliveries/"+first).Is(t, 200)
		require.Equal(t, body, one.Field("event.body").Raw)
		again := n.Post(t, "_/triggers/push/deliveries/"+first, nil).Is(t, 202).ActivationID()
		require.NotEqual(t, first, again)
		require.Equal(t, first, w.got(t, again).Get("delivery.id").String(), "the action can tell that it had it before")
		require.Equal(t, one.Field("event").Raw, w.Activation(t, again).Get("response.result").Raw)
	})
	t.Run("answers_to_strangers", func(t *testing.T) {
		w.deliver(t, body).Is(t, 401)
		w.deliver(t, body+" ", fromGitHub("new", body, "x")).Is(t, 401)
		unknown := s.Client("").Post(t, "/api/v1/webhooks/"+n.Name+"/none", body).Is(t, 404)
		nowhere := s.Client("").Post(t, "/api/v1/webhooks/nobody/none", body).Is(t, 404)
		require.Equal(t, unknown.Field("error").String(), nowhere.Field("error").String())
		s.Client("").Get(t, "/api/v1/webhooks/"+n.Name+"/push").Is(t, 405)
		w.deliver(t, strings.Repeat(" ", 1<<20+1), fromGitHub("new", "", "x")).Is(t, 413)
		w.deliver(t, "x", fromGitHub("new", "x", "x"), harness.Header("Content-Type", "image/png")).Is(t, 415)
	})
	t.Run("too_many", func(t *testing.T) {
		n.Limit(t, s, "firesPerMinute", "0")
		harness.Until(t, "the limit to act", func() bool {
			return n.Get(t, "_/limits").Is(t, 200).Field("firesPerMinute").Raw == "0"
		})
		w.deliver(t, body, fromGitHub("new", body, "limited")).Is(t, 429)
	})
}

// TestWebhooksOfEveryProvider sends what each provider's documentation describes, at
// the server's own time.
func TestWebhooksOfEveryProvider(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	n := harness.NewNamespace(t, s, "providers")
	now := fmt.Sprint(time.Now().Unix())
	header := harness.Header
	standardKey := []byte("0123456789abcdef0123456789abcdef")
	signingSecret := "whsec_" + base64.StdEncoding.EncodeToString(standardKey)
	sign := func(body string) string {
		return "v1," + base64.StdEncoding.EncodeToString(mac(standardKey, "msg_1."+now+"."+body))
	}
	for name, c := range map[string]struct {
		annotation map[string]any
		body       string
		options    []func(*http.Request)
		id, kind   string
	}{
		"gitlab": {map[string]any{"verify": "gitlab", "secret": "t0ken"}, `{"object_kind":"push"}`,
			[]func(*http.Request){header("X-Gitlab-Token", "t0ken"), header("X-Gitlab-Event", "Push Hook"), header("Idempotency-Key", "f5e5f430")}, "f5e5f430", "Push Hook"},
		"gitlab-signed": {map[string]any{"verify": "gitlab", "secret": signingSecret}, `{"object_kind":"push"}`,
			[]func(*http.Request){header("webhook-id", "msg_1"), header("webhook-timestamp", now), header("webhook-signature", sign(`{"object_kind":"push"}`))}, "msg_1", ""},
		"stripe": {map[string]any{"verify": "stripe", "secret": "whsec_test"}, `{"id":"evt_1","object":"event","type":"invoice.paid"}`,
			[]func(*http.Request){header("Stripe-Signature", "t="+now+",v1="+hex.EncodeToString(mac([]byte("whsec_test"), now+`.{"id":"evt_1","object":"event","type":"invoice.paid"}`)))},
			"evt_1", "invoice.paid"},
		"slack": {map[string]any{"verify": "slack", "secret": "s3cret"}, `{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention"}}`,
			[]func(*http.Request){header("X-Slack-Request-Timestamp", now), header("X-Slack-Signature",
				"v0="+hex.EncodeToString(mac([]byte("s3cret"), "v0:"+now+`:{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention"}}`)))}, "Ev1", "app_mention"},
		"standard": {map[string]any{"verify": "standard", "secret": signingSecret}, `{"type":"user.created","data":{}}`,
			[]func(*http.Request){header("webhook-id", "msg_1"), header("webhook-timestamp", now), header("webhook-signature", sign(`{"type":"user.created","data":{}}`))}, "msg_1", "user.created"},
		"hmac": {map[string]any{"verify": "hmac", "secret": "k", "header": "X-Shopify-Hmac-Sha256", "encoding": "base64", "deliveryId": "X-Shopify-Webhook-Id"}, `{"id":1}`,
			[]func(*http.Request){header("X-Shopify-Hmac-Sha256", base64.StdEncoding.EncodeToString(mac([]byte("k"), `{"id":1}`))), header("X-Shopify-Webhook-Id", "w-1")}, "w-1", ""},
		"basic": {map[string]any{"verify": "basic", "user": "u", "password": "p"}, `{"specversion":"1.0","id":"e-1","source":"/s","type":"com.example.done","data":{"n":1}}`,
			[]func(*http.Request){func(r *http.Request) { r.SetBasicAuth("u", "p") }, header("Content-Type", "application/cloudevents+json")}, "e-1", "com.example.done"},
		"bearer": {map[string]any{"verify": "bearer", "token": "t0ken"}, `{"cron":true}`, []func(*http.Request){header("Authorization", "Bearer t0ken")}, "", ""},
		"none":   {map[string]any{"verify": "none"}, `{"open":true}`, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWebhook(t, s, n, name, c.annotation)
			id := w.deliver(t, c.body, c.options...).Is(t, 202).ActivationID()
			event := w.got(t, id)
			require.Equal(t, c.id, event.Get("delivery.senderId").String())
			require.Equal(t, c.kind, event.Get("delivery.type").String())
			sent := event.Get("body")
			if name == "basic" {
				sent = event.Get("event")
			}
			require.True(t, harness.SameJSON(c.body, sent.Raw), "%s", event)
			if name != "none" {
				w.deliver(t, c.body).Is(t, 401)
			}
			if c.id != "" {
				require.Equal(t, id, w.deliver(t, c.body, c.options...).Is(t, 202).ActivationID(), "a repeated delivery")
			}
		})
	}
}

func TestWebhooksSurviveRestart(t *testing.T) {
	for _, end := range []struct {
		name string
		stop func(*harness.Server, testing.TB)
	}{
		{"after_stop", (*harness.Server).Stop},
		{"after_kill", (*harness.Server).Kill},
	} {
		t.Run(end.name, func(t *testing.T) {
			s := harness.Start(t, harness.Options{})
			n := harness.NewNamespace(t, s, "again")
			w := newWebhook(t, s, n, "t", map[string]any{"verify": "github", "secret": "k"})
			var ids []string
			for i := range 5 {
				ids = append(ids, w.deliver(t, `{}`, fromGitHub("k", `{}`, fmt.Sprint("d", i))).Is(t, 202).ActivationID())
			}
			end.stop(s, t)
			w.restart(t)
			for i, id := range ids {
				require.Equal(t, id, w.deliver(t, `{}`, fromGitHub("k", `{}`, fmt.Sprint("d", i))).Is(t, 202).ActivationID(), "a repeated delivery")
				require.Equal(t, `{}`, w.Activation(t, id).Get("response.result.body").Raw, "the record of the trigger")
			}
			require.Len(t, w.Get(t, "_/triggers/t/deliveries").Is(t, 200).JSON().Array(), 5)
			last := w.deliver(t, `{}`, fromGitHub("k", `{}`, "last")).Is(t, 202).ActivationID()
			w.got(t, last)
			require.LessOrEqual(t, w.fired(t), 6, "each fires once")
		})
	}
}
