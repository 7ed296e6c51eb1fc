package activation

import (
	"strconv"
	"time"

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
	a := t.Message().Record(r, start, end)
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
	return t.Message().Annotations(t.Action, timedOut, t.Attempt)
}

func intAnnotation(key string, value int64) entity.Parameter {
	return entity.Parameter{Key: key, Value: strconv.AppendInt(nil, value, 10)}
}
