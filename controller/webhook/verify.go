// Package webhook lets strangers fire triggers: POST /api/v1/webhooks/{namespace}/{trigger}
// fires a trigger that has the annotation webhook, if the delivery is verified
// (docs/webhooks.md). Verification and the making of events are pure functions;
// Handler serves the route.
package webhook

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Request is a delivery as it came.
type Request struct {
	Header   http.Header
	RawQuery string
	Body     []byte
	Received time.Time
}

// UnverifiedError says why a delivery is not genuine. Its owner reads the reason,
// its sender does not.
type UnverifiedError struct{ Reason string }

func (e *UnverifiedError) Error() string { return e.Reason }

func unverified(format string, args ...any) error {
	return &UnverifiedError{fmt.Sprintf(format, args...)}
}

// Headers that verify deliveries, in the form of net/http.
const (
	headerGitHubSignature   = "X-Hub-Signature-256"
	headerGitLabToken       = "X-Gitlab-Token"
	headerStripeSignature   = "Stripe-Signature"
	headerSlackSignature    = "X-Slack-Signature"
	headerSlackTimestamp    = "X-Slack-Request-Timestamp"
	headerStandardID        = "Webhook-Id"
	headerStandardTimestamp = "Webhook-Timestamp"
	headerStandardSignature = "Webhook-Signature"
)

// Verify checks that r comes from who knows a secret of w. Where the scheme signs a
// timestamp, nonce is what tells the signed content from every other, else "". Its
// error is an *UnverifiedError. Every comparison takes the same time whatever it
// finds, and every secret is tried.
func Verify(w *entity.Webhook, r *Request) (nonce string, err error) {
	switch w.Verify {
	case entity.WebhookGitHub:
		return "", verifyHMAC(r, headerGitHubSignature, w.Secrets, "sha256", "hex", "sha256=")
	case entity.WebhookGitLab:
		return verifyGitLab(w, r)
	case entity.WebhookStripe:
		return verifyStripe(w, r)
	case entity.WebhookSlack:
		return verifySlack(w, r)
	case entity.WebhookStandard:
		return verifyStandard(w, r, w.Secrets)
	case entity.WebhookHMAC:
		return "", verifyHMAC(r, w.Header, w.Secrets, w.Algorithm, w.Encoding, w.Prefix)
	case entity.WebhookBasic:
		return "", verifyBasic(w, r)
	case entity.WebhookBearer:
		return "", verifyBearer(w, r)
	case entity.WebhookNone:
		return "", nil
	}
	return "", unverified("the webhook's scheme %q is unknown", w.Verify)
}

// single returns the one value of a header. Two would leave open which of them
// counts.
func single(h http.Header, name string) (string, error) {
	switch values := h.Values(name); {
	case len(values) == 0 || values[0] == "":
		return "", unverified("the header %s is missing", name)
	case len(values) > 1:
		return "", unverified("the header %s is there more than once", name)
	default:
		return values[0], nil
	}
}

var errMismatch = unverified("the signature does not match")

// mac is the HMAC of parts, one behind the other.
func mac(algorithm func() hash.Hash, key []byte, parts ...[]byte) []byte {
	m := hmac.New(algorithm, key)
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

// anyEqual reports whether one of given is want. Signatures are compared as they are
// spelled: decoding them first would let different spellings pass.
func anyEqual(given []string, want string) bool {
	found := 0
	for _, g := range given {
		found |= subtle.ConstantTimeCompare([]byte(g), []byte(want))
	}
	return found == 1
}

// sameSecret compares without telling how long the secret is.
func sameSecret(given, want string) bool {
	g, w := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(g[:], w[:]) == 1
}

func anySecret(given string, secrets []string) bool {
	found := false
	for _, s := range secrets {
		same := sameSecret(given, s)
		found = found || same
	}
	return found
}

var algorithms = map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}

// verifyHMAC checks a signature of the body alone.
func verifyHMAC(r *Request, header string, secrets []string, algorithm, encoding, prefix string) error {
	value, err := single(r.Header, header)
	if err != nil {
		return err
	}
	given, ok := strings.CutPrefix(value, prefix)
	if !ok {
		return unverified("the header %s does not begin with %q", header, prefix)
	}
	encode := base64.StdEncoding.EncodeToString
	if encoding == "hex" {
		encode = hex.EncodeToString
	}
	found := false
	for _, s := range secrets {
		same := anyEqual([]string{given}, encode(mac(algorithms[algorithm], []byte(s), r.Body)))
		found = found || same
	}
	if !found {
		return errMismatch
	}
	return nil
}

// checkTime reads a timestamp of whole seconds, and refuses one that is too far from
// when the delivery was received.
func checkTime(w *entity.Webhook, r *Request, timestamp string) error {
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<40 || strconv.FormatInt(seconds, 10) != timestamp {
		return unverified("the timestamp is not in seconds")
	}
	if apart := r.Received.Sub(time.Unix(seconds, 0)).Abs(); apart > w.Tolerance {
		return unverified("the timestamp is %s from this server's time, allowed are %s", apart.Round(time.Second), w.Tolerance)
	}
	return nil
}

// signed checks signatures of content by any of keys, in the encoding, and its
// timestamp, and returns the nonce.
func signed(w *entity.Webhook, r *Request, timestamp string, keys [][]byte, given []string, encode func([]byte) string, content ...[]byte) (string, error) {
	found := false
	for _, key := range keys {
		same := anyEqual(given, encode(mac(sha256.New, key, content...)))
		found = found || same
	}
	if !found {
		return "", errMismatch
	}
	// Behind the signature: a wrong time is told of genuine deliveries only.
	if err := checkTime(w, r, timestamp); err != nil {
		return "", err
	}
	digest := sha256.New()
	for _, c := range content {
		digest.Write(c)
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

func keysOf(secrets []string) [][]byte {
	keys := make([][]byte, 0, len(secrets))
	for _, s := range secrets {
		keys = append(keys, []byte(s))
	}
	return keys
}

// verifyStripe: Stripe-Signature is t=<seconds>,v1=<hex>,… with one or several v1,
// each the HMAC-SHA256 of "<t>.<body>"; other names are for other purposes.
func verifyStripe(w *entity.Webhook, r *Request) (string, error) {
	value, err := single(r.Header, headerStripeSignature)
	if err != nil {
		return "", err
	}
	timestamp, signatures := "", []string(nil)
	for item := range strings.SplitSeq(value, ",") {
		name, v, _ := strings.Cut(strings.TrimSpace(item), "=")
		switch {
		case name == "t" && timestamp != "":
			return "", unverified("the header %s has two timestamps", headerStripeSignature)
		case name == "t":
			timestamp = v
		case name == "v1":
			signatures = append(signatures, v)
		}
	}
	if timestamp == "" || len(signatures) == 0 {
		return "", unverified("the header %s lacks t or v1", headerStripeSignature)
	}
	return signed(w, r, timestamp, keysOf(w.Secrets), signatures, hex.EncodeToString, []byte(timestamp+"."), r.Body)
}

// verifySlack: X-Slack-Signature is v0=<hex>, the HMAC-SHA256 of
// "v0:<timestamp>:<body>".
func verifySlack(w *entity.Webhook, r *Request) (string, error) {
	timestamp, err := single(r.Header, headerSlackTimestamp)
	if err != nil {
		return "", err
	}
	signature, err := single(r.Header, headerSlackSignature)
	if err != nil {
		return "", err
	}
	encode := func(m []byte) string { return "v0=" + hex.EncodeToString(m) }
	return signed(w, r, timestamp, keysOf(w.Secrets), []string{signature}, encode, []byte("v0:"+timestamp+":"), r.Body)
}

// verifyStandard: Standard Webhooks. webhook-signature lists v1,<base64>, each the
// HMAC-SHA256 of "<id>.<timestamp>.<body>".
func verifyStandard(w *entity.Webhook, r *Request, secrets []string) (string, error) {
	id, err := single(r.Header, headerStandardID)
	if err != nil {
		return "", err
	}
	timestamp, err := single(r.Header, headerStandardTimestamp)
	if err != nil {
		return "", err
	}
	value, err := single(r.Header, headerStandardSignature)
	if err != nil {
		return "", err
	}
	var keys [][]byte
	for _, s := range secrets {
		if key, ok := entity.SigningKey(s); ok {
			keys = append(keys, key)
		}
	}
	encode := func(m []byte) string { return "v1," + base64.StdEncoding.EncodeToString(m) }
	return signed(w, r, timestamp, keys, strings.Fields(value), encode, []byte(id+"."+timestamp+"."), r.Body)
}

// verifyGitLab: a signing token signs as Standard Webhooks do; a secret token is sent
// as it is. Where the webhook has secrets of both kinds, either will do.
func verifyGitLab(w *entity.Webhook, r *Request) (string, error) {
	var tokens, keys []string
	for _, s := range w.Secrets {
		if strings.HasPrefix(s, entity.SigningSecretPrefix) {
			keys = append(keys, s)
		} else {
			tokens = append(tokens, s)
		}
	}
	if len(keys) > 0 && (len(tokens) == 0 || len(r.Header.Values(headerStandardSignature)) > 0) {
		nonce, err := verifyStandard(w, r, keys)
		if err == nil || len(tokens) == 0 {
			return nonce, err
		}
	}
	token, err := single(r.Header, headerGitLabToken)
	if err != nil {
		return "", err
	}
	if !anySecret(token, tokens) {
		return "", unverified("the token does not match")
	}
	return "", nil
}

func verifyBasic(w *entity.Webhook, r *Request) error {
	value, err := single(r.Header, "Authorization")
	if err != nil {
		return err
	}
	user, password, ok := (&http.Request{Header: http.Header{"Authorization": {value}}}).BasicAuth()
	if !ok {
		return unverified("the header Authorization has no Basic credentials")
	}
	sameUser := sameSecret(user, w.User)
	if samePassword := anySecret(password, w.Secrets); !sameUser || !samePassword {
		return unverified("the user or the password does not match")
	}
	return nil
}

func verifyBearer(w *entity.Webhook, r *Request) error {
	value, err := single(r.Header, "Authorization")
	if err != nil {
		return err
	}
	scheme, token, ok := strings.Cut(value, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return unverified("the header Authorization has no Bearer token")
	}
	if !anySecret(token, w.Secrets) {
		return unverified("the token does not match")
	}
	return nil
}
