package api

import (
	"net/http"
	"slices"

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

// AppendHeaders appends the headers of a request as actions get them: a JSON object
// with sorted names in lower case; of repeated headers the last counts
// (openwhisk-rest-api.md 14.3, 18.2). Host is the one that net/http keeps apart. The
// length is not told, and the content type only of an entity that there is.
func AppendHeaders(dst []byte, h http.Header, host string, hasEntity bool) []byte {
	var room [16]string
	names := room[:0]
	if host != "" {
		names = append(names, "Host")
	}
	for name, values := range h {
		if len(values) > 0 && name != "Host" && name != "Content-Length" && (hasEntity || name != "Content-Type") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	dst = append(dst, '{')
	for i, name := range names {
		value := host
		if values := h[name]; len(values) > 0 {
			value = values[len(values)-1]
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		for j := range len(name) { // a token, by net/http: nothing to escape
			c := name[j]
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			dst = append(dst, c)
		}
		dst = entity.AppendString(append(dst, '"', ':'), value)
	}
	return append(dst, '}')
}
