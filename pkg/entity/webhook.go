package entity

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// WebhookAnnotation is the key of the annotation that gives a trigger a public
// address (docs/webhooks.md).
const WebhookAnnotation = "webhook"

// WebhookScheme is how the deliveries to a webhook are verified.
type WebhookScheme string

const (
	WebhookGitHub   WebhookScheme = "github"
	WebhookGitLab   WebhookScheme = "gitlab"
	WebhookStripe   WebhookScheme = "stripe"
	WebhookSlack    WebhookScheme = "slack"
	WebhookStandard WebhookScheme = "standard"
	WebhookHMAC     WebhookScheme = "hmac"
	WebhookBasic    WebhookScheme = "basic"
	WebhookBearer   WebhookScheme = "bearer"
	WebhookNone     WebhookScheme = "none"
)

// Bounds of the annotation's values.
const (
	maxWebhookSecrets      = 10
	maxWebhookSecretLength = 1024
	maxWebhookTolerance    = 24 * time.Hour
	stdWebhookTolerance    = 5 * time.Minute
)

// SigningSecretPrefix begins the secrets of Standard Webhooks; the rest is the key
// in base64.
const SigningSecretPrefix = "whsec_"

// Webhook is the value of the annotation, checked.
type Webhook struct {
	Verify WebhookScheme
	// Secrets are the keys, passwords or tokens; each of them will do. None with
	// WebhookNone, else at least one.
	Secrets []string
	// User goes with the passwords of WebhookBasic.
	User string
	// Header, Algorithm, Encoding and Prefix say where and how WebhookHMAC finds a
	// signature.
	Header, Algorithm, Encoding, Prefix string
	// Tolerance is how far a signed timestamp may be from now.
	Tolerance time.Duration
	// DeliveryID names the header with the id by which a repeated delivery is
	// recognised, "" for that of the scheme.
	DeliveryID string
	// RawBody asks for the body's bytes in the event.
	RawBody bool
}

// webhookFields lists the fields that a scheme has beside those of all.
var webhookFields = map[WebhookScheme][]string{
	WebhookGitHub:   {"secret", "secrets"},
	WebhookGitLab:   {"secret", "secrets", "tolerance"},
	WebhookStripe:   {"secret", "secrets", "tolerance"},
	WebhookSlack:    {"secret", "secrets", "tolerance"},
	WebhookStandard: {"secret", "secrets", "tolerance"},
	WebhookHMAC:     {"secret", "secrets", "header", "algorithm", "encoding", "prefix"},
	WebhookBasic:    {"user", "password", "passwords"},
	WebhookBearer:   {"token", "tokens"},
	WebhookNone:     {},
}

const webhookSchemes = "github, gitlab, stripe, slack, standard, hmac, basic, bearer or none"

func badWebhook(format string, args ...any) error {
	return &MalformedError{"annotation webhook: " + fmt.Sprintf(format, args...)}
}

// ParseWebhook reads the value of the annotation. Its error is a *MalformedError,
// whose text names no secret. It knows fields by their exact names only, so that
// none of them holds a secret that Masked does not know.
func ParseWebhook(value json.RawMessage) (*Webhook, error) {
	if !json.Valid(value) || isAbsent(value) {
		return nil, badWebhook("an object such as {\"verify\":\"github\",\"secret\":\"…\"} is expected")
	}
	w := &Webhook{Tolerance: stdWebhookTolerance}
	var given []string
	err := eachField(value, func(key string, raw json.RawMessage) error {
		if slices.Contains(given, key) {
			return badWebhook("the field %q is there twice", key)
		}
		given = append(given, key)
		return w.set(key, raw)
	})
	if err != nil {
		if _, ok := err.(*MalformedError); !ok || !strings.HasPrefix(err.Error(), "annotation") {
			err = badWebhook("an object such as {\"verify\":\"github\",\"secret\":\"…\"} is expected")
		}
		return nil, err
	}
	if err := w.check(given); err != nil {
		return nil, err
	}
	return w, nil
}

func (w *Webhook) set(key string, raw json.RawMessage) error {
	text := func(to *string) error {
		s, ok := asString(raw)
		if !ok {
			return badWebhook("the field %q must be a string", key)
		}
		*to = s
		return nil
	}
	switch key {
	case "verify":
		return text((*string)(&w.Verify))
	case "secret", "password", "token":
		w.Secrets = append(w.Secrets, "")
		return text(&w.Secrets[len(w.Secrets)-1])
	case "secrets", "passwords", "tokens":
		var list []*string // a null is none
		if json.Unmarshal(raw, &list) != nil || slices.Contains(list, nil) {
			return badWebhook("the field %q must be a list of strings", key)
		}
		for _, s := range list {
			w.Secrets = append(w.Secrets, *s)
		}
		return nil
	case "user":
		return text(&w.User)
	case "header":
		return text(&w.Header)
	case "algorithm":
		return text(&w.Algorithm)
	case "encoding":
		return text(&w.Encoding)
	case "prefix":
		return text(&w.Prefix)
	case "deliveryId":
		return text(&w.DeliveryID)
	case "rawBody":
		if string(raw) != "true" && string(raw) != "false" {
			return badWebhook(`the field "rawBody" must be true or false`)
		}
		w.RawBody = string(raw) == "true"
		return nil
	case "tolerance":
		seconds, err := strconv.Atoi(string(raw))
		if err != nil || seconds < 1 || seconds > int(maxWebhookTolerance/time.Second) {
			return badWebhook(`the field "tolerance" must be whole seconds, 1 to %d`, int(maxWebhookTolerance/time.Second))
		}
		w.Tolerance = time.Duration(seconds) * time.Second
		return nil
	}
	return badWebhook("there is no field %q", key)
}

// check looks at the fields together.
func (w *Webhook) check(given []string) error {
	if !slices.Contains(given, "verify") {
		return badWebhook(`"verify" is missing: say how deliveries are verified, %s`, webhookSchemes)
	}
	fields, ok := webhookFields[w.Verify]
	if !ok {
		return badWebhook(`"verify" is %q: it must be %s`, w.Verify, webhookSchemes)
	}
	for _, name := range given {
		if !slices.Contains([]string{"verify", "deliveryId", "rawBody"}, name) && !slices.Contains(fields, name) {
			return badWebhook(`there is no field %q with "verify":%q`, name, w.Verify)
		}
	}
	if slices.Contains(given, "deliveryId") && !isHeaderName(w.DeliveryID) {
		return badWebhook(`the field "deliveryId" must be the name of a header`)
	}
	if err := w.checkSecrets(); err != nil {
		return err
	}
	switch w.Verify {
	case WebhookHMAC:
		return w.checkHMAC()
	case WebhookBasic:
		if w.User == "" || strings.Contains(w.User, ":") {
			return badWebhook(`the field "user" must be a name without a colon`)
		}
	}
	return nil
}

func (w *Webhook) checkSecrets() error {
	if w.Verify == WebhookNone {
		return nil
	}
	field := webhookFields[w.Verify][0]
	if w.Verify == WebhookBasic {
		field = "password"
	}
	if len(w.Secrets) == 0 {
		return badWebhook("%q is missing", field)
	}
	if len(w.Secrets) > maxWebhookSecrets {
		return badWebhook("there are %d values for %q: at most %d are allowed", len(w.Secrets), field, maxWebhookSecrets)
	}
	for _, s := range w.Secrets {
		if s == "" || len(s) > maxWebhookSecretLength {
			return badWebhook("%q must have 1 to %d bytes", field, maxWebhookSecretLength)
		}
		if _, ok := SigningKey(s); w.Verify == WebhookStandard && !ok {
			return badWebhook(`"secret" must be whsec_ and the key in base64`)
		}
		if w.Verify == WebhookGitLab && strings.HasPrefix(s, SigningSecretPrefix) {
			if _, ok := SigningKey(s); !ok {
				return badWebhook(`a signing token must be whsec_ and the key in base64`)
			}
		}
	}
	return nil
}

func (w *Webhook) checkHMAC() error {
	if w.Algorithm == "" {
		w.Algorithm = "sha256"
	}
	if w.Encoding == "" {
		w.Encoding = "hex"
	}
	switch {
	case !isHeaderName(w.Header):
		return badWebhook(`the field "header" must be the name of the header with the signature`)
	case !slices.Contains([]string{"sha1", "sha256", "sha384", "sha512"}, w.Algorithm):
		return badWebhook(`the field "algorithm" must be sha1, sha256, sha384 or sha512`)
	case w.Encoding != "hex" && w.Encoding != "base64":
		return badWebhook(`the field "encoding" must be hex or base64`)
	}
	return nil
}

// isHeaderName reports whether s is a token of RFC 9110 5.6.2.
func isHeaderName(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isWord(c) && !strings.ContainsRune("!#$%&'*+-.^`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// SigningKey returns the key of a secret of Standard Webhooks: base64, usually
// behind whsec_.
func SigningKey(secret string) (key []byte, ok bool) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, SigningSecretPrefix))
	return key, err == nil && len(key) > 0
}

// Webhook returns the trigger's webhook, nil if it has none. Its error is a
// *MalformedError.
func (t *Trigger) Webhook() (*Webhook, error) {
	value, ok := t.Annotations.Get(WebhookAnnotation)
	if !ok || isAbsent(value) {
		return nil, nil
	}
	return ParseWebhook(value)
}
