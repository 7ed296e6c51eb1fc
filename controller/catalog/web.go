package catalog

import (
	"crypto/subtle"
	"encoding/json"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Web is how an action is exported to the web (openwhisk-rest-api.md section 18).
// It is immutable.
type Web struct {
	// Raw: the action gets the query and the body as they came.
	Raw bool
	// CustomOptions: the action answers OPTIONS and sets CORS headers itself.
	CustomOptions bool

	access access
	secret []byte
}

// access says who may call a web action.
type access int

const (
	everyone access = iota
	subjects        // whoever has valid credentials
	keepers         // whoever knows the secret
	nobody
)

// Admits reports whether a request may run the action: authenticated says that it
// has valid credentials, secret are the values of its header X-Require-Whisk-Auth
// (openwhisk-rest-api.md 18.6).
func (w *Web) Admits(authenticated bool, secret []string) bool {
	switch w.access {
	case everyone:
		return true
	case subjects:
		return authenticated
	case keepers:
		return len(secret) > 0 && subtle.ConstantTimeCompare([]byte(secret[0]), w.secret) == 1
	}
	return false
}

// newWeb reads the annotations of an action; nil if it is not exported.
func newWeb(annotations entity.Parameters) *Web {
	if !isTrue(annotations, "web-export") {
		return nil
	}
	w := &Web{Raw: isTrue(annotations, "raw-http"), CustomOptions: isTrue(annotations, "web-custom-options")}
	required, _ := annotations.Get("require-whisk-auth")
	switch text := string(required); {
	case text == "" || text == "false":
		w.access = everyone
	case text == "true":
		w.access = subjects
	case text[0] == '"':
		var secret string
		w.access = nobody
		if json.Unmarshal(required, &secret) == nil {
			w.access, w.secret = keepers, []byte(secret)
		}
	case text[0] == '-' || '0' <= text[0] && text[0] <= '9':
		w.access, w.secret = keepers, []byte(text)
	default:
		w.access = nobody
	}
	return w
}

// isTrue: the annotation is the JSON boolean; other truthy values do not export.
func isTrue(annotations entity.Parameters, key string) bool {
	v, _ := annotations.Get(key)
	return string(v) == "true"
}
