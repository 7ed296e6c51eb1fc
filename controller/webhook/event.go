package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gowhisk/gowhisk/controller/api"
	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// buildEvent returns what a rule's action gets of a delivery, a JSON object
// (docs/webhooks.md): body, or event for a CloudEvent, headers, query, delivery, and
// rawBody where the webhook asks for it. Numbers in JSON keep their spelling. Its
// errors are for the client.
func buildEvent(w *entity.Webhook, r *Request, e *cloudEvent, d *entity.Delivery) (json.RawMessage, error) {
	out := make([]byte, 0, len(r.Body)+2048)
	if e != nil {
		out = append(appendKey(out, "event"), e.json...)
	} else {
		body, err := parseBody(w, r)
		if err != nil {
			return nil, err
		}
		out = append(appendKey(out, "body"), body...)
	}
	out = appendHeaders(appendKey(out, "headers"), w, r.Header)
	query, _ := url.ParseQuery(r.RawQuery) // what cannot be decoded is left out
	out = appendValues(appendKey(out, "query"), query)
	out = appendDelivery(appendKey(out, "delivery"), d)
	if w.RawBody {
		out = append(appendKey(out, "rawBody"), '"')
		out = append(base64.StdEncoding.AppendEncode(out, r.Body), '"')
	}
	out = append(out, '}')
	// What was just deep enough is too deep now.
	if err := invoke.ValidObject(out); err != nil {
		return nil, &entity.MalformedError{Detail: err.Error()}
	}
	return out, nil
}

func appendDelivery(dst []byte, d *entity.Delivery) []byte {
	var o []byte
	o = appendEntry(o, "id", string(d.ID))
	if d.SenderID != "" {
		o = appendEntry(o, "senderId", d.SenderID)
	}
	o = appendEntry(o, "time", time.UnixMilli(d.Received).UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	o = appendEntry(o, "verify", string(d.Verify))
	if d.EventType != "" {
		o = appendEntry(o, "type", d.EventType)
	}
	return append(append(dst, o...), '}')
}

// parseBody returns the body as JSON: JSON as it is, a form as an object, text as a
// string, nothing as null.
func parseBody(w *entity.Webhook, r *Request) (json.RawMessage, error) {
	contentType := r.Header.Get("Content-Type")
	media, parameters, _ := mime.ParseMediaType(contentType)
	switch {
	case len(r.Body) == 0:
		return json.RawMessage("null"), nil
	case isJSON(media):
		return jsonValue(r.Body)
	case media == "application/x-www-form-urlencoded":
		return formValue(w, r.Body)
	case contentType == "": // nobody says what it is
		if value, err := jsonValue(r.Body); err == nil {
			return value, nil
		}
		return entity.AppendString(nil, r.Body), nil
	case isText(media) && isUTF8(parameters["charset"]):
		return entity.AppendString(nil, r.Body), nil
	case w.RawBody:
		return json.RawMessage("null"), nil
	}
	return nil, api.DeliveryType("Content-Type", contentType)
}

func isJSON(media string) bool {
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}

func isText(media string) bool {
	return strings.HasPrefix(media, "text/") || media == "application/xml" || strings.HasSuffix(media, "+xml")
}

func isUTF8(charset string) bool {
	return charset == "" || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "us-ascii")
}

// jsonValue returns a JSON value without white space around and in it.
func jsonValue(body []byte) (json.RawMessage, error) {
	if err := invoke.ValidObject(body); err != nil && !errors.Is(err, invoke.ErrNotObject) {
		return nil, &entity.MalformedError{Detail: err.Error()}
	}
	return entity.Compact(bytes.TrimSpace(body)), nil
}

// formValue returns the fields of a form. GitHub and Slack can send JSON in the one
// field payload, and what is meant then is what is in it.
func formValue(w *entity.Webhook, body []byte) (json.RawMessage, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, &entity.MalformedError{Detail: "the form cannot be decoded"}
	}
	if w.Verify == entity.WebhookGitHub || w.Verify == entity.WebhookSlack {
		if payload := []byte(form.Get("payload")); len(form) == 1 && isObject(payload) {
			return jsonValue(payload)
		}
	}
	return appendValues(nil, form), nil
}

// appendValues appends an object of strings; a name that comes several times has a
// list.
func appendValues(dst []byte, values url.Values) []byte {
	var o []byte
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if list := values[name]; len(list) == 1 {
			o = appendEntry(o, name, list[0])
		} else {
			o = entity.AppendStrings(appendKey(o, name), list)
		}
	}
	if len(o) == 0 {
		o = append(o, '{')
	}
	return append(append(dst, o...), '}')
}

// secretWords mark headers that may hold what proves who somebody is.
var secretWords = []string{"authorization", "cookie", "signature", "token", "secret", "password", "api-key", "apikey", "credential"}

// appendHeaders appends the headers by their lower-case names, without those that
// prove who sent them: an action that repeats what it got must not give them away.
func appendHeaders(dst []byte, w *entity.Webhook, header http.Header) []byte {
	var o []byte
	for _, name := range slices.Sorted(maps.Keys(header)) {
		lower := strings.ToLower(name)
		secret := slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(lower, word) })
		if secret || strings.EqualFold(name, w.Header) {
			continue
		}
		o = appendEntry(o, lower, strings.Join(header[name], ", "))
	}
	if len(o) == 0 {
		o = append(o, '{')
	}
	return append(append(dst, o...), '}')
}

// challenge returns the answer to Slack's question whether this address is meant to
// get events.
func challenge(w *entity.Webhook, r *Request) (answer string, ok bool) {
	if w.Verify != entity.WebhookSlack || text(r.Body, "type") != "url_verification" {
		return "", false
	}
	answer = text(r.Body, "challenge")
	return answer, answer != ""
}
