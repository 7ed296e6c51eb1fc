package compose

import (
	"context"
	"sync"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// ledger is a journal that this composer sees through: its own, or for a while that of
// a controller that is dead.
type ledger struct {
	controller entity.ControllerID
	// life marks the entries that were begun through this ledger.
	life entity.ActivationID
	// ctx ends when the composer is closed, or the journal is not ours any more; what is
	// under way is left to whoever has it next then.
	ctx context.Context
	// running is what of it is under way.
	running sync.WaitGroup
}

// RecoverFrom is Recover for the journal of a controller that is dead: it goes on with
// all that is in it, as the dead one would have, but for the activations of its steps,
// which are this controller's. Whoever calls it sees to it that nobody else does so
// meanwhile. It returns when all has ended, nil then, or when ctx ends or the composer is
// closed, and nothing of it is under way any more.
func (c *Composer) RecoverFrom(ctx context.Context, dead entity.ControllerID) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	l := &ledger{controller: dead, life: entity.NewActivationID(), ctx: ctx}
	err := c.recover(ctx, l)
	l.running.Wait()
	if err == nil {
		err = ctx.Err()
	}
	return err
}
