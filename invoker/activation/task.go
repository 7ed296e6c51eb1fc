// Package activation runs one activation in a container: /init if the container
// is not warm, /run, the deadline, what the answer means, the logs, the record,
// and the word back to the controller.
//
// Rules and their sources: openwhisk-invoker.md sections 1.1 to 1.5 (requests and
// answers), 2.8 (order of events) and 3.1 (logs); durability.md section 3 (the
// record comes before the completion).
package activation

import (
	"encoding/json"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Task is a claimed activation with the action that it runs.
type Task struct {
	Delivery bus.Delivery
	// Action is the action as of now, without its code.
	Action *entity.Action
	// SentinelledLogs: the runtime marks the end of each activation's logs.
	SentinelledLogs bool
	// Attempt counts earlier runs that a crash may have begun; 0 for the first.
	Attempt int
}

// Message is the request that the task serves.
func (t *Task) Message() *bus.ActivationMessage { return t.Delivery.Message }

// isKeyGranted reports whether the action is given the caller's key: asked for by
// annotation, or an old action without it (openwhisk-rest-api.md 8.4).
func isKeyGranted(a *entity.Action) bool {
	v, ok := a.Annotations.Get("provide-api-key")
	return !ok || entity.Truthy(v)
}

// arguments splits the content into what /run gets and what goes to the
// environment at /init: the entries that initArgs names. Arrays pass whole.
func arguments(content json.RawMessage, initArgs []string) (run json.RawMessage, env []envEntry) {
	if len(content) == 0 {
		return json.RawMessage("{}"), nil
	}
	if len(initArgs) == 0 || content[0] == '[' {
		return content, nil
	}
	return splitInit(content, initArgs)
}
