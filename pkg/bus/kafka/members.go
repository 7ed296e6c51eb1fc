package kafka

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

var _ bus.Pinger = (*Bus)(nil)

// Ping implements bus.Pinger.
func (b *Bus) Ping(ctx context.Context, p *bus.Ping) error {
	value, err := p.JSON()
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	_, err = b.producer.append(ctx, b.full(healthTopic), "", value)
	return err
}

// Beat sends a controller's heartbeat.
func (b *Bus) Beat(ctx context.Context, h *bus.Heartbeat) error {
	value, err := h.JSON()
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	_, err = b.producer.append(ctx, b.full(controllersTopic), "", value)
	return err
}

// EnsureInvoker makes the topics that an invoker needs beside its queue.
func (b *Bus) EnsureInvoker(ctx context.Context) error {
	for topic, keep := range map[string]retention{healthTopic: signs, eventsTopic: signs, deadLetterTopic: always} {
		if err := b.ensure(ctx, topic, keep); err != nil {
			return err
		}
	}
	return nil
}

// Listen passes what the cluster says to l until the bus is closed, and answers for the
// controller self.
func (b *Bus) Listen(ctx context.Context, self entity.ControllerID, l bus.Listener) error {
	if err := b.EnsureInvoker(ctx); err != nil {
		return err
	}
	b.news.listenAs(self)
	pings := func(value []byte) {
		p, err := bus.ParsePing(value)
		if err != nil {
			b.log.Warn("a ping could not be read", zap.Error(err))
			return
		}
		l.Pinged(p)
	}
	beats := func(value []byte) {
		h, err := bus.ParseHeartbeat(value)
		if err != nil {
			b.log.Warn("a heartbeat could not be read", zap.Error(err))
			return
		}
		b.news.beat(h)
		l.Beat(h)
	}
	invalidations := func(value []byte) {
		i, err := bus.ParseInvalidation(value)
		if err != nil {
			b.log.Warn("an invalidation could not be read", zap.Error(err))
			return
		}
		b.heard(i, l)
	}
	for topic, each := range map[string]func([]byte){healthTopic: pings, controllersTopic: beats, invalidationTopic: invalidations} {
		if _, err := b.follow(ctx, topic, signs, each); err != nil {
			return err
		}
	}
	return b.learnPeers(ctx)
}
