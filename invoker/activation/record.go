package activation

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// timing is when things happened in one run.
type timing struct {
	// init is nil for a warm run.
	init *exchange
	// run is nil if the init failed.
	run *exchange
}

// newRecord builds the record of a task that reached a container
// (openwhisk-invoker.md 2.8): start is the run's start less the init's duration,
// so duration includes init and excludes waiting.
func newRecord(t *Task, r entity.Response, at timing) *entity.Activation {
	start, end, timedOut := at.span()
	a := baseRecord(t.Message(), r, start, end)
	a.Version = t.Action.Version
	a.Annotations = t.annotations(timedOut)
	if at.init != nil {
		a.Annotations = append(a.Annotations, intAnnotation("initTime", at.init.elapsed.Milliseconds()))
	}
	begun := at.run
	if at.init != nil {
		begun = at.init
	}
	if m := t.Message(); !m.Transid.Start.IsZero() {
		wait := begun.start.Sub(m.Transid.Start)
		a.Annotations = append(a.Annotations, intAnnotation("waitTime", max(wait.Milliseconds(), 0)))
	}
	return a
}

func (at timing) span() (start, end time.Time, timedOut bool) {
	if at.run == nil {
		return at.init.start, at.init.start.Add(at.init.elapsed), at.init.isTimedOut()
	}
	start, end = at.run.start, at.run.start.Add(at.run.elapsed)
	if at.init != nil {
		start = start.Add(-at.init.elapsed)
	}
	return start, end, at.run.isTimedOut()
}

// annotations are those that depend on the action alone.
func (t *Task) annotations(timedOut bool) entity.Parameters {
	m := t.Message()
	out := entity.Parameters{
		stringAnnotation("path", m.Action.String()),
		stringAnnotation("kind", t.Action.Exec.Kind),
		{Key: "limits", Value: t.Action.Limits.AppendJSON(nil)},
		{Key: "timeout", Value: strconv.AppendBool(nil, timedOut)},
	}
	if m.Cause != "" {
		out = append(out, stringAnnotation("causedBy", "sequence"))
	}
	if m.Binding != "" {
		out = append(out, stringAnnotation("binding", string(m.Binding)))
	}
	if t.Attempt > 0 {
		out = append(out, intAnnotation("attempt", int64(t.Attempt)+1))
	}
	return out
}

// UnrunRecord is the record of an activation that ended before any container
// answered, now. A nil action means that it could not be read: the kind is
// "unknown" then (openwhisk-invoker.md 1.3).
func UnrunRecord(m *bus.ActivationMessage, action *entity.Action, r entity.Response, now time.Time) *entity.Activation {
	a := baseRecord(m, r, now, now)
	if action != nil {
		t := &Task{Delivery: bus.Delivery{Message: m}, Action: action}
		a.Version = action.Version
		a.Annotations = t.annotations(false)
		return a
	}
	a.Annotations = entity.Parameters{stringAnnotation("path", m.Action.String()), stringAnnotation("kind", "unknown")}
	if m.Cause != "" {
		a.Annotations = append(a.Annotations, stringAnnotation("causedBy", "sequence"))
	}
	return a
}

func baseRecord(m *bus.ActivationMessage, r entity.Response, start, end time.Time) *entity.Activation {
	a := &entity.Activation{
		Namespace:    entity.Path(m.User.Namespace),
		Name:         m.Action.Name,
		Version:      m.Version,
		Subject:      m.User.Subject,
		ActivationID: m.ActivationID,
		Cause:        m.Cause,
		Start:        start.UnixMilli(),
		End:          end.UnixMilli(),
		Response:     r,
	}
	duration := a.End - a.Start
	a.Duration = &duration
	return a
}

func stringAnnotation(key, value string) entity.Parameter {
	return entity.Parameter{Key: key, Value: json.RawMessage(entity.AppendString(nil, value))}
}

func intAnnotation(key string, value int64) entity.Parameter {
	return entity.Parameter{Key: key, Value: strconv.AppendInt(nil, value, 10)}
}
