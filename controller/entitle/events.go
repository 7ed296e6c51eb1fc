package entitle

import (
	"strconv"
	"time"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Names of the metrics that namespaces hear of (openwhisk-invoker.md 7.2).
const (
	concurrentRateLimit   = "ConcurrentRateLimit"
	timedRateLimit        = "TimedRateLimit"
	concurrentInvocations = "ConcurrentInvocations"
)

// reporter sends what the throttle does as user events.
type reporter struct {
	events bus.Events
	source string
	now    func() time.Time
}

// Report makes the throttle send a user event for each refusal, and for each invocation
// that it lets pass; source is this controller's name. It is called before the throttle
// is used. With nil events it does nothing.
func (t *Throttle) Report(events bus.Events, source string) {
	if events != nil {
		t.report = &reporter{events, source, t.now}
	}
}

func (r *reporter) metric(id *entity.Identity, name string, value int) {
	if r == nil {
		return
	}
	body := append(make([]byte, 0, 80), `{"metricName":"`...)
	body = append(body, name...)
	body = append(body, `","metricValue":`...)
	body = append(strconv.AppendInt(body, int64(value), 10), '}')
	r.events.Send(bus.Event{
		Body: body, EventType: "Metric", Source: r.source, Subject: id.Subject, Namespace: id.Namespace, UserID: id.Key.UUID, Timestamp: r.now(),
	})
}
