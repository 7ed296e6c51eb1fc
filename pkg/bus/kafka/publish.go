package kafka

import (
	"context"
	"fmt"

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

// Dispatch implements bus.Overflow.
func (b *Bus) Dispatch(ctx context.Context, invoker entity.InvokerID, m *bus.ActivationMessage) error {
	return b.enqueue(ctx, invokerTopic(invoker), m)
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
