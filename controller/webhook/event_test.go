package webhook

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/controller/api"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

const deliveryID = entity.ActivationID("0123456789abcdef0123456789abcdef")

// made returns the event of a delivery as the handler makes it.
func made(t testing.TB, e example) (json.RawMessage, sender, error) {
	t.Helper()
	w, r := e.parse(t)
	r.RawQuery = e.header["query"]
	r.Header.Del("query")
	event, err := parseCloudEvent(r)
	if err != nil {
		return nil, sender{}, err
	}
	s := identify(w, r, event, "")
	d := &entity.Delivery{ID: deliveryID, Received: 1700000000123, Verify: w.Verify, SenderID: s.id, EventType: s.event}
	out, err := buildEvent(w, r, event, d)
	return out, s, err
}

func body(contentType, text string) example {
	return example{webhook: `{"verify":"none"}`, header: map[string]string{"Content-Type": contentType}, body: text}
}

func TestEventHasAllButSecrets(t *testing.T) {
	e := example{
		webhook: `{"verify":"hmac","secret":"s","header":"X-Proof","deliveryId":"X-Id","rawBody":true}`,
		body:    `{ "n" : [1e400, 0.10, -0, 123456789012345678901234567890] }`,
		header: map[string]string{
			"Content-Type": "application/json; charset=utf-8", "X-Id": "d/1", "X-Thing": "a", "query": "b=2&a=1&b=3&c=%zz&d",
			"Authorization": "hush", "Proxy-Authorization": "hush", "Cookie": "hush", "X-Proof": "hush", "X-Hub-Signature": "hush", "X-Hub-Signature-256": "hush",
			"X-Gitlab-Token": "hush", "Stripe-Signature": "hush", "X-Slack-Signature": "hush", "Webhook-Signature": "hush", "X-Api-Key": "hush", "X-Client-Secret": "hush",
		},
	}
	got, s, err := made(t, e)
	require.NoError(t, err)
	require.Equal(t, sender{id: "d/1", key: "id d/1"}, s)
	require.Equal(t, `{"body":{"n":[1e400,0.10,-0,123456789012345678901234567890]},`+
		`"headers":{"content-type":"application/json; charset=utf-8","x-id":"d/1","x-thing":"a"},`+
		`"query":{"a":"1","b":["2","3"],"d":""},`+
		`"delivery":{"id":"0123456789abcdef0123456789abcdef","senderId":"d/1","time":"2023-11-14T22:13:20.123Z","verify":"hmac"},`+
		`"rawBody":"eyAibiIgOiBbMWU0MDAsIDAuMTAsIC0wLCAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTBdIH0="}`, string(got))
}

func TestBodies(t *testing.T) {
	github := example{webhook: `{"verify":"github","secret":"s"}`, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}
	with := func(e example, text string) example { e.body = text; return e }
	raw := body("image/png", "\x89PNG")
	raw.webhook = `{"verify":"none","rawBody":true}`
	for want, e := range map[string]example{
		`null`:                        body("application/json", ""),
		`{"a":1.0}`:                   body("application/json", " {\"a\":\n1.0} "),
		`[1]`:                         body("application/vnd.github+json", "[1]"),
		`"x"`:                         body("text/json", `"x"`),
		`{"a":"1","b":["2","ü"]}`:     body("application/x-www-form-urlencoded", "a=1&b=2&b=%C3%BC"),
		`{"payload":"{\"a\":1}"}`:     body("application/x-www-form-urlencoded", "payload=%7B%22a%22%3A1%7D"),
		`{"a":0.10}`:                  with(github, "payload=%7B%22a%22%3A0.10%7D"),
		`{"payload":"x"}`:             with(github, "payload=x"),
		`{"other":"","payload":"{}"}`: with(github, "payload={}&other"),
		`"a\n<b>\ufffd"`:              body("text/plain; charset=UTF-8", "a\n<b>\xff"),
		`"<a/>"`:                      body("application/xml", "<a/>"),
		`{"nobody":"says"}`:           body("", `{"nobody":"says"}`),
		`"just text"`:                 body("", "just text"),
	} {
		got, _, err := made(t, e)
		require.NoError(t, err, want)
		require.True(t, strings.HasPrefix(string(got), `{"body":`+want+`,"headers":`), "%s: %s", want, got)
	}
	got, _, err := made(t, raw)
	require.NoError(t, err)
	require.Contains(t, string(got), `{"body":null,`)
	require.Contains(t, string(got), `,"rawBody":"iVBORw=="}`)
}

func TestBodiesThatAreRefused(t *testing.T) {
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
	binary := body("application/json", "{}")
	binary.header["Ce-Specversion"] = "1.0"
	for text, c := range map[string]struct {
		status int
		e      example
	}{
		"json":          {400, body("application/json", `{"a"`)},
		"json_and_more": {400, body("application/json", `{} {}`)},
		"too_deep":      {400, body("application/json", deep)},
		"form":          {400, body("application/x-www-form-urlencoded", "a=%zz")},
		"image":         {415, body("image/png", "x")},
		"multipart":     {415, body("multipart/form-data; boundary=x", "x")},
		"charset":       {415, body("text/plain; charset=utf-16", "x")},
		"no_type":       {415, body("json", "{}")},
		"batch":         {415, body("application/cloudevents-batch+json", "[]")},
		"other_format":  {415, body("application/cloudevents+xml", "<event/>")},
		"event_no_json": {400, body("application/cloudevents+json", "x")},
		"event_list":    {400, body("application/cloudevents+json", "[]")},
		"event_version": {400, body("application/cloudevents+json", `{"specversion":"0.3","id":"1","source":"s","type":"t"}`)},
		"event_no_id":   {400, body("application/cloudevents+json", `{"specversion":"1.0","source":"s","type":"t"}`)},
		"event_id":      {400, body("application/cloudevents+json", `{"specversion":"1.0","id":1,"source":"s","type":"t"}`)},
		"binary_half":   {400, binary},
	} {
		_, _, err := made(t, c.e)
		require.Error(t, err, text)
		status, _ := api.Explain(err)
		require.Equal(t, c.status, status, "%s: %v", text, err)
	}
}

func TestCloudEvents(t *testing.T) {
	const structured = `{"specversion":"1.0","id":"A 1","source":"/s","type":"com.example.x","time":"2018-04-05T17:31:00Z","n":5,"data":{"a":1.50}}`
	headers := map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "A%201", "Ce-Source": "/s", "Ce-Type": "com.example.x", "Ce-Subject": "Euro%20%E2%82%AC"}
	binary := func(contentType, text string) example {
		e := body(contentType, text)
		for name, value := range headers {
			e.header[name] = value
		}
		return e
	}
	const attributes = `{"id":"A 1","source":"/s","specversion":"1.0","subject":"Euro €","type":"com.example.x"`
	for want, e := range map[string]example{
		structured: body("application/cloudevents+json; charset=utf-8", " "+structured),
		attributes + `,"datacontenttype":"application/json","data":{"a":1.50}}`: binary("application/json", `{"a": 1.50}`),
		attributes + `,"datacontenttype":"text/plain","data":"hi"}`:             binary("text/plain", "hi"),
		attributes + `,"datacontenttype":"image/png","data_base64":"iVBORw=="}`: binary("image/png", "\x89PNG"),
		attributes + `,"datacontenttype":"text/plain","data_base64":"/w=="}`:    binary("text/plain", "\xff"),
		attributes + `}`: binary("", ""),
	} {
		got, s, err := made(t, e)
		require.NoError(t, err, want)
		require.True(t, strings.HasPrefix(string(got), `{"event":`+want+`,"headers":{`), "%s: %s", want, got)
		require.Equal(t, sender{id: "A 1", key: `event "/s" "A 1"`, event: "com.example.x"}, s)
	}
}

func TestSendersNameTheirDeliveries(t *testing.T) {
	const secret = `,"secret":"whsec_b2xk"}`
	long := strings.Repeat("ü", 200)
	for name, c := range map[string]struct {
		e    example
		want sender
	}{
		"github": {example{webhook: `{"verify":"github"` + secret, header: map[string]string{"X-GitHub-Delivery": "72d3162e", "X-GitHub-Event": "push"}},
			sender{"72d3162e", "id 72d3162e", "push"}},
		"gitlab": {example{webhook: `{"verify":"gitlab"` + secret, header: map[string]string{"X-Gitlab-Event": "Push Hook", "X-Gitlab-Event-UUID": "u", "Idempotency-Key": "k"}},
			sender{"k", "id k", "Push Hook"}},
		"gitlab_signed": {example{webhook: `{"verify":"gitlab"` + secret, header: map[string]string{"X-Gitlab-Event-UUID": "u", "Idempotency-Key": "k", "Webhook-Id": "w"}},
			sender{"w", "id w", ""}},
		"gitlab_old": {example{webhook: `{"verify":"gitlab"` + secret, header: map[string]string{"X-Gitlab-Event-UUID": "u"}, body: "{}"},
			sender{"u", "body 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a u", ""}},
		"stripe":    {example{webhook: `{"verify":"stripe"` + secret, body: `{"id":"evt_1","type":"charge.failed"}`}, sender{"evt_1", "id evt_1", "charge.failed"}},
		"slack":     {example{webhook: `{"verify":"slack"` + secret, body: `{"type":"event_callback","event_id":"Ev1","event":{"type":"message"}}`}, sender{"Ev1", "id Ev1", "message"}},
		"slack_cmd": {example{webhook: `{"verify":"slack"` + secret, body: slackCommand}, sender{"", "nonce n", ""}},
		"standard":  {example{webhook: `{"verify":"standard"` + secret, header: map[string]string{"Webhook-Id": "msg_1"}, body: `{"type":"user.created"}`}, sender{"msg_1", "id msg_1", "user.created"}},
		"named": {example{webhook: `{"verify":"github","secret":"s","deliveryId":"x-mine"}`, header: map[string]string{"X-GitHub-Delivery": "72d3162e", "X-Mine": "m"}},
			sender{"m", "id m", ""}},
		"named_missing": {example{webhook: `{"verify":"github","secret":"s","deliveryId":"x-mine"}`, header: map[string]string{"X-GitHub-Delivery": "72d3162e"}},
			sender{"72d3162e", "id 72d3162e", ""}},
		"long": {example{webhook: `{"verify":"none","deliveryId":"X"}`, header: map[string]string{"X": "x" + long}}, sender{("x" + long)[:255], "id x" + long, ""}},
		"signed": {example{webhook: `{"verify":"stripe","deliveryId":"X-Mine"` + secret, header: map[string]string{"X-Mine": "m"}, body: `{"id":"evt_1"}`},
			sender{"evt_1", "id evt_1", ""}},
		"not_a_string": {example{webhook: `{"verify":"stripe"` + secret, body: `{"id":5}`}, sender{"", "nonce n", ""}},
	} {
		w, r := c.e.parse(t)
		nonce := ""
		if w.Verify == entity.WebhookStripe || w.Verify == entity.WebhookSlack {
			nonce = "n"
		}
		require.Equal(t, c.want, identify(w, r, nil, nonce), name)
	}
}

func TestUnsignedIDsOfCloudEventsDoNotCountWhereTimeIsSigned(t *testing.T) {
	w := &entity.Webhook{Verify: entity.WebhookSlack}
	r := &Request{Header: http.Header{}}
	e := &cloudEvent{id: "1", source: "/s", kind: "t"}
	require.Equal(t, sender{key: "nonce n", event: "t"}, identify(w, r, e, "n"))
	require.Equal(t, sender{id: "1", key: `event "/s" "1"`, event: "t"}, identify(w, r, e, ""))
	e.inBody = true
	require.Equal(t, sender{id: "1", key: `event "/s" "1"`, event: "t"}, identify(w, r, e, "n"))
}

func TestIDsAreDerived(t *testing.T) {
	one := deriveID("ns/t", "id 1")
	_, err := entity.ParseActivationID(string(one))
	require.NoError(t, err)
	require.Equal(t, one, deriveID("ns/t", "id 1"))
	for _, other := range []entity.ActivationID{deriveID("ns/t", "id 2"), deriveID("ns/t2", "id 1"), deriveID("ns2/t", "id 1")} {
		require.NotEqual(t, one, other)
	}
}

// FuzzEvent: whatever is sent, an event is one JSON object, whose numbers and
// secrets are as they should be, or is refused with a status that says so.
func FuzzEvent(f *testing.F) {
	f.Add(`application/json`, `{"a":1.50}`, "a=1&a=2", "x", false)
	f.Add(`application/x-www-form-urlencoded`, `payload={}`, "%zz", "1.0", true)
	f.Add(`application/cloudevents+json`, `{"specversion":"1.0","id":"1","source":"s","type":"t"}`, "", "", false)
	f.Add(`text/plain; charset=utf-8`, "\xff\x00", "", "1.0", true)
	f.Fuzz(func(t *testing.T, contentType, text, query, ce string, rawBody bool) {
		for _, verify := range []entity.WebhookScheme{"github", "gitlab", "stripe", "slack", "standard", "none"} {
			w := &entity.Webhook{Verify: verify, RawBody: rawBody}
			r := &Request{Header: http.Header{"Content-Type": {contentType}, "X-Token": {"hush\x00"}}, RawQuery: query, Body: []byte(text), Received: time.Unix(0, 0)}
			if ce != "" {
				r.Header["Ce-Specversion"], r.Header["Ce-Id"], r.Header["Ce-Source"], r.Header["Ce-Type"] = []string{ce}, []string{text}, []string{query}, []string{"t"}
			}
			event, err := parseCloudEvent(r)
			var out json.RawMessage
			if err == nil {
				s := identify(w, r, event, "")
				require.LessOrEqual(t, len(s.id), maxLabel)
				_, _ = challenge(w, r)
				out, err = buildEvent(w, r, event, &entity.Delivery{ID: deliveryID, SenderID: s.id, EventType: s.event})
			}
			if err != nil {
				status, _ := api.Explain(err)
				require.Contains(t, []int{400, 415}, status)
				continue
			}
			var fields map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(out, &fields), "%s", out)
			require.NotContains(t, string(fields["headers"]), "hush")
			if event == nil && contentType == "application/json" && text != "" {
				require.Equal(t, string(entity.Compact([]byte(text))), string(fields["body"]))
			}
		}
	})
}
