// Package compose runs what is made of several activations: sequences
// (openwhisk-rest-api.md section 11), compositions led by a conductor (12), and
// trigger fires with their rules (14.3). Everything else it passes on to package
// invoke.
package compose

import (
	"context"
	"encoding/json"

	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Composer invokes actions of every kind and fires triggers. Safe for concurrent
// use.
type Composer struct {
	invoker *invoke.Invoker
}

// New returns a composer.
func New(invoker *invoke.Invoker) *Composer { return &Composer{invoker} }

// Invoke runs an action, sequence or composition as invoke.Invoker.Invoke does a
// single action.
func (c *Composer) Invoke(ctx context.Context, r *invoke.Request) (invoke.Result, error) {
	return c.invoker.Invoke(ctx, r)
}

// Fire is one event of a trigger.
type Fire struct {
	Identity *entity.Identity
	Transid  bus.Transid
	Trigger  *entity.Trigger
	// ID of the trigger's activation; "" draws one. With an id that was accepted
	// before, nothing is fired and the error is bus.ErrDuplicate.
	ID entity.ActivationID
	// Headers is a JSON object that rules' actions get as __ow_headers, nil for none.
	Headers json.RawMessage
	// Payload is a valid JSON object, or nothing.
	Payload json.RawMessage
}

// Fire accepts an event and returns the id of the trigger's activation, or "" if
// no rule of the trigger is active, and nothing is to be done then
// (openwhisk-rest-api.md 14.3). A nil error with an id means that the event was
// accepted: it will have a record, and its rules' actions are invoked whatever
// becomes of this process.
func (c *Composer) Fire(ctx context.Context, f *Fire) (entity.ActivationID, error) {
	panic("under construction")
}
