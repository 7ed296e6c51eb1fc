package activation

import (
	"bytes"
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Report makes the settler send a user event for each activation that has ended. It is
// called before the settler is used. With nil it does nothing.
func (s *Settler) Report(events bus.Events) { s.events = events }

// report sends the event of an activation whose slot is free (openwhisk-invoker.md 7.2).
func (s *Settler) report(m *bus.ActivationMessage, record *entity.Activation) {
	if s.events == nil {
		return
	}
	s.events.Send(bus.Event{
		Body: appendEvent(nil, record), EventType: "Activation", Source: s.invoker.String(), Subject: m.User.Subject,
		Namespace: m.User.Namespace, UserID: m.User.Key.UUID, Timestamp: time.Now(),
	})
}

// appendEvent appends the body of an activation's event.
func appendEvent(dst []byte, a *entity.Activation) []byte {
	text := func(key string) string {
		s, _ := a.Annotations.String(key)
		return s
	}
	number := func(key string) int64 {
		raw, _ := a.Annotations.Get(key)
		return gjson.ParseBytes(raw).Int()
	}
	limits, _ := a.Annotations.Get("limits")
	duration := int64(0)
	if a.Duration != nil {
		duration = *a.Duration
	}
	dst = entity.AppendString(append(dst, `{"name":`...), text("path"))
	dst = entity.AppendString(append(dst, `,"activationId":`...), string(a.ActivationID))
	dst = strconv.AppendInt(append(dst, `,"statusCode":`...), int64(a.Response.StatusCode), 10)
	dst = strconv.AppendInt(append(dst, `,"duration":`...), duration, 10)
	dst = strconv.AppendInt(append(dst, `,"waitTime":`...), number("waitTime"), 10)
	dst = strconv.AppendInt(append(dst, `,"initTime":`...), number("initTime"), 10)
	dst = entity.AppendString(append(dst, `,"kind":`...), text("kind"))
	dst = strconv.AppendBool(append(dst, `,"conductor":`...), a.Annotations.Truthy("conductor"))
	dst = strconv.AppendInt(append(dst, `,"memory":`...), gjson.GetBytes(limits, "memory").Int(), 10)
	if cause := text("causedBy"); cause != "" {
		dst = entity.AppendString(append(dst, `,"causedBy":`...), cause)
	}
	if a.Response.Size != nil {
		dst = strconv.AppendInt(append(dst, `,"size":`...), *a.Response.Size, 10)
	}
	if code, ok := userStatus(a.Response.Result); ok {
		dst = strconv.AppendInt(append(dst, `,"userDefinedStatusCode":`...), code, 10)
	}
	return append(dst, '}')
}

// userStatus is the HTTP status that the result of an action asks for: statusCode of its
// error, else its own. What is no number counts as a bad request.
func userStatus(result []byte) (code int64, ok bool) {
	if !bytes.Contains(result, []byte("statusCode")) { // most have none
		return 0, false
	}
	status := gjson.GetBytes(result, "error.statusCode")
	if !status.Exists() {
		status = gjson.GetBytes(result, "statusCode")
	}
	switch {
	case !status.Exists():
		return 0, false
	case status.Type == gjson.Number:
		return status.Int(), true
	case status.Type == gjson.String:
		if n, err := strconv.ParseInt(status.Str, 10, 32); err == nil {
			return n, true
		}
	}
	return 400, true
}
