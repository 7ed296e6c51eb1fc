package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// sender is what the sender says of a delivery.
type sender struct {
	// id names the delivery, "" if its sender does not name it.
	id string
	// key tells a repeated delivery; "" if nothing does.
	key string
	// event is the type of the event, "" if the sender does not name it.
	event string
}

// maxLabel bounds the ids and types that are kept; they are for people to read.
const maxLabel = 256

// identify finds out what the sender calls the delivery, and by what it would be
// recognised if it came again: the header that the owner names, the id of the scheme,
// the id of a CloudEvent, or nonce, what the signature covers.
func identify(w *entity.Webhook, r *Request, e *cloudEvent, nonce string) sender {
	s := schemeSender(w, r)
	// Nobody signs the owner's header, so it counts only where nothing that is signed
	// tells a delivery.
	if w.DeliveryID != "" && nonce == "" {
		if id := r.Header.Get(w.DeliveryID); id != "" {
			s.id, s.key = id, "id "+id
		}
	}
	if e != nil {
		if s.event == "" {
			s.event = e.kind
		}
		// Source and id together are unique; in headers nobody signs them.
		if s.key == "" && (nonce == "" || e.inBody) {
			s.id, s.key = e.id, fmt.Sprintf("event %q %q", e.source, e.id)
		}
	}
	if s.key == "" && nonce != "" {
		s.key = "nonce " + nonce
	}
	s.id, s.event = label(s.id), label(s.event)
	return s
}

// schemeSender reads what the documentation of each scheme names.
func schemeSender(w *entity.Webhook, r *Request) (s sender) {
	switch w.Verify {
	case entity.WebhookGitHub:
		s = named(r.Header.Get("X-Github-Delivery"))
		s.event = r.Header.Get("X-Github-Event")
	case entity.WebhookGitLab:
		s = gitLabSender(r)
	case entity.WebhookStripe:
		s = named(text(r.Body, "id"))
		s.event = text(r.Body, "type")
	case entity.WebhookSlack:
		s = named(text(r.Body, "event_id"))
		if s.event = text(r.Body, "event.type"); s.event == "" {
			s.event = text(r.Body, "type")
		}
	case entity.WebhookStandard:
		s = named(r.Header.Get(headerStandardID))
		s.event = text(r.Body, "type")
	}
	return s
}

// gitLabSender: webhook-id, which a signing token signs, and Idempotency-Key are the
// same and stay so when a delivery is retried. Older versions have X-Gitlab-Event-UUID alone, which webhooks that other
// webhooks caused share, so that the body counts there too.
func gitLabSender(r *Request) (s sender) {
	for _, header := range []string{headerStandardID, "Idempotency-Key"} {
		if id := r.Header.Get(header); id != "" && s.key == "" {
			s = named(id)
		}
	}
	if id := r.Header.Get("X-Gitlab-Event-Uuid"); id != "" && s.key == "" {
		digest := sha256.Sum256(r.Body)
		s = sender{id: id, key: "body " + hex.EncodeToString(digest[:]) + " " + id}
	}
	s.event = r.Header.Get("X-Gitlab-Event")
	return s
}

func named(id string) sender {
	if id == "" {
		return sender{}
	}
	return sender{id: id, key: "id " + id}
}

// text returns a string in a JSON body, "" if there is none.
func text(body []byte, path string) string {
	if !isObject(body) {
		return ""
	}
	if v := gjson.GetBytes(body, path); v.Type == gjson.String {
		return v.String()
	}
	return ""
}

// isObject looks at the first character only: of what is no JSON gjson reads
// something or nothing, and the delivery is refused later.
func isObject(body []byte) bool {
	for _, c := range body {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == '{'
		}
	}
	return false
}

// label cuts what is too long, at the beginning of a character.
func label(s string) string {
	if len(s) <= maxLabel {
		return s
	}
	end := maxLabel
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// deriveID returns the id of the delivery that key tells, and of the activation of
// its trigger: the same one whenever it comes.
func deriveID(trigger entity.DocID, key string) entity.ActivationID {
	return entity.DeriveActivationID("", "webhook "+string(trigger)+" "+key)
}
