package kafka

import (
	"context"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
)

// maxEvents bounds the events that wait to be sent.
const maxEvents = 1024

// Events returns the sender of user events, which lives until the bus is closed.
func (b *Bus) Events(ctx context.Context) (bus.Events, error) {
	if err := b.ensure(ctx, eventsTopic, signs); err != nil {
		return nil, err
	}
	e := &events{bus: b, queue: make(chan bus.Event, maxEvents), stop: make(chan struct{}), stopped: make(chan struct{})}
	go e.run()
	b.onClose(func() {
		close(e.stop)
		<-e.stopped
	})
	return e, nil
}

// events sends in a goroutine of its own, so that nobody waits for a slow bus.
type events struct {
	bus           *Bus
	queue         chan bus.Event
	stop, stopped chan struct{}
}

// Send implements bus.Events.
func (e *events) Send(event bus.Event) {
	select {
	case e.queue <- event:
	default:
		e.bus.metrics.Dropped(e.bus.full(eventsTopic))
	}
}

func (e *events) run() {
	defer close(e.stopped)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		select {
		case event := <-e.queue:
			value, err := event.JSON()
			if err == nil {
				err = e.bus.producer.send(ctx, e.bus.full(eventsTopic), "", value)
			}
			if err != nil {
				e.bus.log.Warn("an event could not be sent", zap.Error(err))
			}
		case <-e.stop:
			return
		}
	}
}
