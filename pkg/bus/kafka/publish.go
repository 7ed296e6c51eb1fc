package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

var (
	_ bus.Publisher = (*Bus)(nil)
	_ bus.Overflow  = (*Bus)(nil)
)

// Publish implements bus.Publisher. The invoker's topic must exist: its invoker makes
// it.
func (b *Bus) Publish(ctx context.Context, invoker entity.InvokerID, m *bus.ActivationMessage) error {
	if m.Republished {
		if err := b.checkNew(ctx, m); err != nil {
			return err
		}
	}
	return b.enqueue(ctx, invokerTopic(invoker), m)
}

// Dispatch implements bus.Overflow. A message whose earlier dispatch was not
// acknowledged, and may have arrived all the same, is looked for before it is sent again,
// perhaps to another invoker: it must not run on two.
func (b *Bus) Dispatch(ctx context.Context, invoker entity.InvokerID, m *bus.ActivationMessage) error {
	if earlier := b.unsure.of(m.ActivationID); earlier != nil {
		arrived, err := b.hasArrived(ctx, m, earlier)
		if err != nil {
			return err
		}
		b.unsure.forget(m.ActivationID)
		if arrived {
			return nil
		}
	}
	value, err := b.encode(m)
	if err != nil {
		return err
	}
	topic := b.full(invokerTopic(invoker))
	done, err := b.producer.begin(ctx, topic, string(m.ActivationID), value)
	if err != nil {
		return err // it was not handed in
	}
	o, err := await(ctx, topic, done)
	if err == nil || errors.Is(err, bus.ErrTooLarge) {
		return err
	}
	if o.err != nil {
		done <- o // for the next to see
	}
	b.unsure.add(m.ActivationID, done)
	return err
}

// hasArrived reports whether a message of an overflow queue is in another queue too, or
// has a record. What is still under way comes to its end first: it could arrive after the
// look.
func (b *Bus) hasArrived(ctx context.Context, m *bus.ActivationMessage, earlier chan outcome) (bool, error) {
	select {
	case o := <-earlier:
		earlier <- o // for the next, if this one comes to no end
		if o.err == nil {
			return true, nil
		}
	case <-ctx.Done():
		return false, fmt.Errorf("an earlier dispatch of %s is still under way: %w", m.ActivationID, ctx.Err())
	}
	found, err := b.unsettled(ctx, b.full(overflowTopic(m.Controller)))
	if err != nil || found[m.ActivationID] {
		return found[m.ActivationID], err
	}
	record, err := b.recorded(ctx, entity.Path(m.User.Namespace), m.ActivationID)
	return record != nil, err
}

// unsure are the activations that were sent and not acknowledged, with what gets or has
// the outcome. Each is dispatched again until it is known.
type unsure struct {
	mu  sync.Mutex
	ids map[entity.ActivationID]chan outcome // guarded by mu
}

// of returns the outcome of an earlier dispatch, nil if there was none.
func (u *unsure) of(id entity.ActivationID) chan outcome {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ids[id]
}

func (u *unsure) add(id entity.ActivationID, done chan outcome) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ids == nil {
		u.ids = make(map[entity.ActivationID]chan outcome)
	}
	u.ids[id] = done
}

func (u *unsure) forget(id entity.ActivationID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.ids, id)
}

// Overflow implements bus.Overflow.
func (b *Bus) Overflow(ctx context.Context, controller entity.ControllerID, m *bus.ActivationMessage) error {
	if m.Republished {
		if err := b.checkNew(ctx, m); err != nil {
			return err
		}
	}
	return b.enqueue(ctx, overflowTopic(controller), m)
}

func (b *Bus) enqueue(ctx context.Context, topic string, m *bus.ActivationMessage) error {
	value, err := b.encode(m)
	if err != nil {
		return err
	}
	_, err = b.producer.append(ctx, b.full(topic), string(m.ActivationID), value)
	return err
}

func (b *Bus) encode(m *bus.ActivationMessage) ([]byte, error) {
	value := m.AppendJSON(make([]byte, 0, 1024+len(m.Content)))
	if len(value) > b.maxMessage {
		return nil, fmt.Errorf("%w: the message of %s has %d bytes", bus.ErrTooLarge, m.ActivationID, len(value))
	}
	return value, nil
}

// checkNew returns bus.ErrDuplicate if an activation that may have been sent before
// waits in a queue, runs, or has a record.
func (b *Bus) checkNew(ctx context.Context, m *bus.ActivationMessage) error {
	queued, err := b.isQueued(ctx, m.ActivationID)
	if err != nil {
		return err
	}
	if queued {
		return fmt.Errorf("%s waits in a queue: %w", m.ActivationID, bus.ErrDuplicate)
	}
	record, err := b.recorded(ctx, entity.Path(m.User.Namespace), m.ActivationID)
	if err != nil {
		return err
	}
	if record != nil {
		return fmt.Errorf("%s has a record: %w", m.ActivationID, bus.ErrDuplicate)
	}
	return nil
}
