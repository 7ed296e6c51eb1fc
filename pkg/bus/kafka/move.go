package kafka

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

var _ bus.Mover = (*Bus)(nil)

// moveBatch is how many messages move with one commit.
const moveBatch = 256

// destination says where a message moves: to the overflow queue of a controller, which
// then is who sent it.
type destination func(*bus.ActivationMessage) entity.ControllerID

// HandBack moves what waits in an invoker's queue to the overflow queues of the
// controllers that sent it, and returns how many messages that were.
func (q *Queue) HandBack(ctx context.Context) (int, error) {
	return q.moveAll(ctx, func(m *bus.ActivationMessage) entity.ControllerID { return m.Controller })
}

// moveAll moves what waits until nothing does.
func (q *Queue) moveAll(ctx context.Context, to destination) (moved int, err error) {
	for {
		n, err := q.Backlog(ctx)
		if err != nil || n == 0 {
			return moved, err
		}
		items, err := q.hand(ctx, moveBatch, moving)
		if err != nil {
			return moved, err
		}
		if err := q.moveSome(ctx, items, to); err != nil {
			return moved, err
		}
		moved += len(items)
		q.bus.metrics.Moved(len(items))
	}
}

// moveSome appends messages to where they move and then lets go of them. They are
// committed as moving; after an error they stay that, and whoever has the queue next
// finds out whether they arrived.
func (q *Queue) moveSome(ctx context.Context, items []item, to destination) error {
	settled := make([]bus.Settlement, len(items))
	arrivals := make([]chan outcome, len(items))
	for n, i := range items {
		settled[n].Delivery = q.delivery(i)
		m := settled[n].Delivery.Message
		if m == nil {
			if err := q.bury(ctx, settled[n].Delivery); err != nil {
				return err
			}
			continue
		}
		copied := *m
		copied.Republished, copied.Controller = true, to(m)
		topic := q.bus.full(overflowTopic(copied.Controller))
		var err error
		if arrivals[n], err = q.bus.producer.begin(ctx, topic, string(m.ActivationID), copied.AppendJSON(nil)); err != nil {
			return fmt.Errorf("move %s: %w", m.ActivationID, err)
		}
	}
	for n, arrival := range arrivals {
		if arrival == nil {
			continue
		}
		select {
		case o := <-arrival:
			if o.err != nil {
				return fmt.Errorf("move %s: %w", settled[n].Delivery.Message.ActivationID, o.err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	q.markDone(settled)
	return q.commitNow(ctx)
}

// DrainInvoker implements bus.Mover.
func (b *Bus) DrainInvoker(ctx context.Context, invoker entity.InvokerID, self entity.ControllerID,
	alive func(entity.ControllerID) bool, crashed func(context.Context, bus.Delivery) (*entity.Activation, error),
) (result bus.Drained, err error) {
	q, err := b.openQueue(ctx, invokerTopic(invoker), drainerPrefix+b.unique, false)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	left, err := q.Recover(ctx)
	if err != nil {
		return result, err
	}
	for _, d := range left {
		record, err := crashed(ctx, d)
		if err != nil {
			return result, err
		}
		if err := q.end(ctx, d, record); err != nil {
			return result, err
		}
		result.Ended++
	}
	result.Moved, err = q.moveAll(ctx, func(m *bus.ActivationMessage) entity.ControllerID {
		if alive(m.Controller) {
			return m.Controller
		}
		return self
	})
	return result, err
}

// end settles a message with the record of a crash, and tells its controller.
func (q *Queue) end(ctx context.Context, d bus.Delivery, record *entity.Activation) error {
	s := bus.Settlement{Delivery: d, Record: record}
	if d.Message != nil && !d.Message.User.Limits.StoresActivations() {
		s.Record = nil
	}
	if err := q.Settle(ctx, s); err != nil {
		return err
	}
	if d.Message == nil || record == nil {
		return nil
	}
	if err := q.bus.Complete(ctx, d.Message.Controller, completionOf(d.Message, record)); err != nil && ctx.Err() == nil {
		q.log.Warn("telling a controller failed", zap.String("activationId", string(d.Message.ActivationID)), zap.Error(err))
	}
	return nil
}

// DrainOverflow implements bus.Mover.
func (b *Bus) DrainOverflow(ctx context.Context, dead, self entity.ControllerID) (result bus.Drained, err error) {
	q, err := b.openQueue(ctx, overflowTopic(dead), drainerPrefix+b.unique, true)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	if _, err := q.Recover(ctx); err != nil {
		return result, err
	}
	result.Moved, err = q.moveAll(ctx, func(*bus.ActivationMessage) entity.ControllerID { return self })
	return result, err
}
