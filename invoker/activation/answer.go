package activation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// The texts of openwhisk-rest-api.md 9.3; clients match them.
const (
	textInitFailed      = "The action failed during initialization"
	textInitGone        = "The action did not initialize and exited unexpectedly."
	textRunInvalid      = "The action did not produce a valid JSON or JSON Array response"
	textRunGone         = "The action did not produce a valid response and exited unexpectedly."
	textOutOfMemory     = "The action exhausted its memory and was aborted."
	textNoResources     = "Failed to provision resources to run the action."
	textInitTimeout     = "The action exceeded its time limits of %d milliseconds during initialization."
	textRunTimeout      = "The action exceeded its time limits of %d milliseconds."
	textResponseTooLong = "The action produced a response that exceeded the allowed length: %d > %d bytes. The truncated response was: %s"
)

// exchange is one call to a runtime with what came of it.
type exchange struct {
	start    time.Time
	elapsed  time.Duration
	timeout  time.Duration
	maxBytes int64
	// truncation bounds how much of an answer over maxBytes is quoted.
	truncation int64
	response   container.Response
	err        error
}

// isTimedOut reports whether the time limit was reached, whatever else happened.
func (x *exchange) isTimedOut() bool {
	return x.elapsed >= x.timeout || errors.Is(x.err, context.DeadlineExceeded)
}

// isShuttingDown: the runtime refused the call and certainly did not run it.
func (x *exchange) isShuttingDown() bool {
	return x.err == nil && x.response.Status == http.StatusServiceUnavailable
}

func (x *exchange) isTooLong() bool { return x.response.Length > x.maxBytes }

func (x *exchange) tooLong(code entity.StatusCode) entity.Response {
	quoted := x.response.Body[:min(int64(len(x.response.Body)), x.truncation)]
	r := entity.ErrorResponse(code, fmt.Sprintf(textResponseTooLong, x.response.Length, x.maxBytes, quoted))
	r.Size = &x.response.Length
	return r
}

// initAnswer judges an answer to /init by the table of openwhisk-invoker.md 1.3.
// ok means that the container is warm.
func initAnswer(x *exchange) (r entity.Response, ok bool) {
	if x.err == nil && x.response.Status == http.StatusOK && !x.isTooLong() {
		return r, true
	}
	switch {
	case errors.Is(x.err, container.ErrOutOfMemory):
		return entity.ErrorResponse(entity.StatusDeveloperError, textOutOfMemory), false
	case x.isTimedOut():
		return entity.ErrorResponse(entity.StatusDeveloperError, fmt.Sprintf(textInitTimeout, x.timeout.Milliseconds())), false
	case x.err != nil:
		return entity.ErrorResponse(entity.StatusDeveloperError, textInitGone), false
	case x.isTooLong():
		return x.tooLong(entity.StatusDeveloperError), false
	}
	r = errorAnswer(x.response.Body, textInitFailed)
	return r, false
}

// runAnswer judges an answer to /run by the same table.
func runAnswer(x *exchange) entity.Response {
	switch {
	case errors.Is(x.err, container.ErrOutOfMemory):
		return entity.ErrorResponse(entity.StatusDeveloperError, textOutOfMemory)
	case x.isTimedOut():
		return entity.ErrorResponse(entity.StatusDeveloperError, fmt.Sprintf(textRunTimeout, x.timeout.Milliseconds()))
	case x.err != nil:
		return entity.ErrorResponse(entity.StatusDeveloperError, textRunGone)
	case x.isTooLong():
		return x.tooLong(entity.StatusApplicationError)
	case x.response.Status != http.StatusOK:
		return errorAnswer(x.response.Body, textRunInvalid)
	}
	return resultOf(x.response.Body)
}

// resultOf reads the body of a 200 answer to /run.
func resultOf(body []byte) entity.Response {
	size := int64(utf8.RuneCount(body))
	trimmed := bytes.TrimSpace(body)
	if !isContainer(trimmed) {
		return withBody(textRunInvalid, body, size)
	}
	if trimmed[0] == '{' {
		if value, ok := errorField(trimmed); ok {
			return entity.Response{StatusCode: entity.StatusApplicationError, Result: errorObject(value), Size: &size}
		}
	}
	return entity.Response{Result: trimmed, Size: &size}
}

// errorAnswer reads the body of an answer that is a failure: its error field, or
// text with the body behind it.
func errorAnswer(body []byte, text string) entity.Response {
	size := int64(utf8.RuneCount(body))
	if trimmed := bytes.TrimSpace(body); isContainer(trimmed) && trimmed[0] == '{' {
		if value, ok := errorField(trimmed); ok {
			return entity.Response{StatusCode: entity.StatusDeveloperError, Result: errorObject(value), Size: &size}
		}
	}
	return withBody(text, body, size)
}

func withBody(text string, body []byte, size int64) entity.Response {
	if len(body) == 0 {
		text += "."
	} else {
		text += ": " + string(body)
	}
	r := entity.ErrorResponse(entity.StatusDeveloperError, text)
	r.Size = &size
	return r
}

// isContainer reports whether body is a valid JSON object or array, and not too deep.
// That is looked at first, for the validation is recursive.
func isContainer(body []byte) bool {
	return len(body) > 0 && (body[0] == '{' || body[0] == '[') && utf8.Valid(body) && !entity.IsTooDeep(body) && gjson.ValidBytes(body)
}

// errorField returns the raw value of a top-level "error" key, whatever it is.
func errorField(object []byte) (value json.RawMessage, found bool) {
	// Most results have no such key: a scan for its spelling spares the parse. A
	// key may also be spelled with escapes.
	if !bytes.Contains(object, []byte(`"error"`)) && !bytes.Contains(object, []byte(`\u`)) {
		return nil, false
	}
	gjson.ParseBytes(object).ForEach(func(key, v gjson.Result) bool {
		if key.String() == "error" {
			value, found = json.RawMessage(v.Raw), true
		}
		return true
	})
	return value, found
}

func errorObject(value json.RawMessage) json.RawMessage {
	out := append(make([]byte, 0, len(value)+10), `{"error":`...)
	out = append(out, value...)
	return append(out, '}')
}
