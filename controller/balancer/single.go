// Package balancer chooses the invoker that runs an activation.
package balancer

import (
	"context"
	"strconv"

	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Single sends everything to one invoker, which lives in the same process and
// keeps its own queue, so there is nothing to book.
type Single entity.InvokerID

var _ invoke.Balancer = Single(0)

// Choose returns the invoker.
func (s Single) Choose(context.Context, invoke.Placement) (entity.InvokerID, error) {
	return entity.InvokerID(s), nil
}

// Invokers returns the one invoker, which is up while this process is.
func (s Single) Invokers() map[string]string {
	id := entity.InvokerID(s)
	return map[string]string{id.String() + "/" + strconv.Itoa(int(id)): "up"}
}

// Release does nothing.
func (Single) Release(entity.InvokerID, invoke.Placement, invoke.Outcome) {}
