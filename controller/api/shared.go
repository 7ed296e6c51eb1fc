package api

import (
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// What the routes of other packages share with the API's own.

// ErrNoRoute answers a path that is nobody's (openwhisk-rest-api.md 1.6).
var ErrNoRoute error = errNoRoute

// PrettyErrors makes the exchange's errors be written with line breaks, as those of
// web actions are (openwhisk-rest-api.md 1.4).
func (x *Exchange) PrettyErrors() { x.pretty = true }

// PayloadLimit is how large a payload the identity's namespace may send.
func (a *API) PayloadLimit(id *entity.Identity) entity.ByteSize {
	return narrowed(id.Limits.MaxPayloadSize, a.cfg.MaxPayloadSize)
}

// Preflight answers OPTIONS for a path of the API that no route has taken
// (openwhisk-rest-api.md 1.5).
func (a *API) Preflight(x *Exchange) {
	x.allowOrigins()
	a.options(x, true)
}

// allowOrigins sets the headers that every API answer carries.
func (x *Exchange) allowOrigins() {
	h := x.Header()
	h["Access-Control-Allow-Origin"] = corsOrigin
	h["Access-Control-Allow-Headers"] = corsHeaders
	h["Access-Control-Allow-Methods"] = corsMethods
}

// errorBody is the envelope of errors.
func (x *Exchange) errorBody(text string) []byte {
	first, second, end := `{"error":`, `,"code":`, "}"
	if x.pretty {
		first, second, end = "{\n  \"error\": ", ",\n  \"code\": ", "\n}"
	}
	body := append(entity.AppendString([]byte(first), text), second...)
	return append(entity.AppendString(body, x.Transid.ID), end...)
}
