package bus

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// TextCrashed is what the record of an activation says that was claimed when its
// invoker died: it may have run.
const TextCrashed = "The server stopped while the activation was running. It was not run again, for it may have done its work."

// Record is the activation's record without annotations.
func (m *ActivationMessage) Record(r entity.Response, start, end time.Time) *entity.Activation {
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

// Annotations are those of every record of the activation. action is nil where it
// could not be read, and its kind is "unknown" then (openwhisk-invoker.md 1.3).
// attempt counts the runs before this one.
func (m *ActivationMessage) Annotations(action *entity.Action, timedOut bool, attempt int) entity.Parameters {
	out := append(make(entity.Parameters, 0, 8), textAnnotation("path", m.Action.String()))
	if action == nil {
		out = append(out, textAnnotation("kind", "unknown"))
	} else {
		out = append(out,
			textAnnotation("kind", action.Exec.Kind),
			entity.Parameter{Key: "limits", Value: action.Limits.AppendJSON(nil)},
			entity.Parameter{Key: "timeout", Value: strconv.AppendBool(nil, timedOut)})
	}
	if m.Cause != "" {
		out = append(out, textAnnotation("causedBy", "sequence"))
	}
	if action != nil && m.Binding != "" {
		out = append(out, textAnnotation("binding", string(m.Binding)))
	}
	if action != nil && attempt > 0 {
		out = append(out, entity.Parameter{Key: "attempt", Value: strconv.AppendInt(nil, int64(attempt)+1, 10)})
	}
	return out
}

// UnrunRecord is the record of an activation that ended before any container
// answered, now. action is nil if it could not be read.
func (m *ActivationMessage) UnrunRecord(action *entity.Action, r entity.Response, now time.Time) *entity.Activation {
	a := m.Record(r, now, now)
	if action != nil {
		a.Version = action.Version
	}
	a.Annotations = m.Annotations(action, false, 0)
	return a
}

func textAnnotation(key, value string) entity.Parameter {
	return entity.Parameter{Key: key, Value: json.RawMessage(entity.AppendString(nil, value))}
}
