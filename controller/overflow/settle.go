package overflow

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// admit hands claimed messages to the loop, each with what is known of it. It reports
// false when ctx has ended; what the loop did not get has gone back then.
func (d *Dispatcher) admit(ctx, grace context.Context, deliveries []bus.Delivery) bool {
	d.held.Add(int64(len(deliveries)))
	var items []*item
	var back []bus.Delivery
	for _, delivery := range deliveries {
		i := &item{delivery: delivery}
		if delivery.Message == nil {
			d.deps.Log.Error("a message in the overflow queue could not be read", zap.Int64("offset", delivery.Offset),
				zap.Int("bytes", len(delivery.Raw)), zap.Error(delivery.Err))
			d.settled <- ending{item: i}
			continue
		}
		back = append(back, delivery)
		if i.waiter = d.waiter(ctx, delivery.Message); i.waiter != nil {
			items = append(items, i)
		}
	}
	if len(items) > 0 && len(items) == len(back) {
		select {
		case d.arrived <- items:
			back = nil
		case <-ctx.Done():
		}
	}
	d.release(grace, back)
	return ctx.Err() == nil
}

// waiter returns what is known of a message here, or of its action; nil if ctx ends
// before that can be found out.
func (d *Dispatcher) waiter(ctx context.Context, m *bus.ActivationMessage) *invoke.Waiter {
	if w := d.deps.Flights.Await(m); w != nil {
		return w
	}
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, lastPause) {
		e, err := d.deps.Actions.Entity(ctx, m.Action.ID())
		action, ok := e.(*entity.Action)
		switch {
		case err == nil && ok:
			return d.deps.Flights.Adopt(m, action)
		case err == nil, errors.Is(err, store.ErrNotFound), errors.Is(err, entity.ErrUnreadable):
			return d.deps.Flights.Adopt(m, nil)
		case ctx.Err() == nil:
			d.deps.Log.Error("reading an action failed; trying again", zap.String("action", m.Action.String()),
				zap.String("activationId", string(m.ActivationID)), zap.Error(err))
			wait(ctx, pause)
		}
	}
	return nil
}

// ending is a message that leaves the overflow queue.
type ending struct {
	item *item
	// record ends the activation here; nil where an invoker has it.
	record *entity.Activation
	// completion is told when the message is settled.
	completion *bus.Completion
}

// giveUp ends an activation here.
func (d *Dispatcher) giveUp(i *item, text string) {
	m := i.message()
	record := m.UnrunRecord(nil, entity.ErrorResponse(entity.StatusWhiskError, text), d.deps.Now())
	e := ending{item: i, record: record, completion: &bus.Completion{
		Kind: bus.Combined, Transid: m.Transid, ActivationID: m.ActivationID, IsSystemError: true,
	}}
	if m.Blocking {
		e.completion.Record = record
	}
	d.settled <- e
}

// settlement is the ending as the queue takes it.
func (e *ending) settlement() bus.Settlement {
	s := bus.Settlement{Delivery: e.item.delivery}
	if e.record != nil && e.item.message().User.Limits.StoresActivations() {
		s.Record = e.record
	}
	return s
}

// settleAll settles what leaves the queue, those that come at the same time together,
// until nothing more comes.
func (d *Dispatcher) settleAll(ctx context.Context) {
	for e := range d.settled {
		batch := []ending{e}
		for more := true; more; {
			select {
			case e, ok := <-d.settled:
				if more = ok; ok {
					batch = append(batch, e)
				}
			default:
				more = false
			}
		}
		d.settle(ctx, batch)
	}
}

// settle settles a batch, again and again until the queue takes it or is lost. What
// is not settled then stays claimed, and the next owner finds out where it went.
func (d *Dispatcher) settle(ctx context.Context, batch []ending) {
	all := make([]bus.Settlement, len(batch))
	for n := range batch {
		all[n] = batch[n].settlement()
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := d.deps.Queue.Settle(ctx, all...)
		if err == nil {
			break
		}
		if ctx.Err() != nil || errors.Is(err, bus.ErrOwned) || errors.Is(err, bus.ErrClosed) {
			return
		}
		d.deps.Log.Error("settling activations of the overflow queue failed; trying again", zap.Int("activations", len(all)), zap.Error(err))
		wait(ctx, pause)
	}
	for _, e := range batch {
		if e.completion != nil {
			d.deps.Flights.Completed(e.completion)
		}
	}
	d.held.Add(-int64(len(batch)))
	select {
	case d.room <- struct{}{}:
	default:
	}
}
