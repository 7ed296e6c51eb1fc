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
	return b.Dispatch(ctx, invoker, m)
}

// Dispatch implements bus.Overflow. A message whose earlier dispatch was not
// acknowledged, and may have arrived all the same, is looked for before it is sent again,
// perhaps to another invoker: it must not run on two.
func (b *Bus) Dispatch(ctx context.Context, invoker entity.InvokerID, m *bus.ActivationMessage) error {
	if b.unsure.has(m.ActivationID) {
		arrived, err := b.hasArrived(ctx, m)
		if err != nil {
			return err
		}
		b.unsure.forget(m.ActivationID)
		if arrived {
			return nil
		}
	}
	err := b.enqueue(ctx, invokerTopic(invoker), m)
	if err != nil && !errors.Is(err, bus.ErrTooLarge) {
		b.unsure.add(m.ActivationID)
	}
	return err
}

// hasArrived reports whether a message of an overflow queue is in another queue too, or
// has a record.
func (b *Bus) hasArrived(ctx context.Context, m *bus.ActivationMessage) (bool, error) {
	found, err := b.unsettled(ctx, b.full(overflowTopic(m.Controller)))
	if err != nil || found[m.ActivationID] {
		return found[m.ActivationID], err
	}
	record, err := b.recorded(ctx, entity.Path(m.User.Namespace), m.ActivationID)
	return record != nil, err
}

// unsure are the activations that were sent and not acknowledged.
type unsure struct {
	mu  sync.Mutex
	ids map[entity.ActivationID]bool // guarded by mu
}

func (u *unsure) has(id entity.ActivationID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ids[id]
}

func (u *unsure) add(id entity.ActivationID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ids == nil {
		u.ids = make(map[entity.ActivationID]bool)
	}
	u.ids[id] = true
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
	value := m.AppendJSON(make([]byte, 0, 1024+len(m.Content)))
	if len(value) > b.maxMessage {
		return fmt.Errorf("%w: the message of %s has %d bytes", bus.ErrTooLarge, m.ActivationID, len(value))
	}
	_, err := b.producer.append(ctx, b.full(topic), string(m.ActivationID), value)
	return err
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
