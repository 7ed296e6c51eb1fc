package kafka

import (
	"context"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

var _ bus.Completer = (*Bus)(nil)

// Complete implements bus.Completer. It waits for no acknowledgement: the record is
// durable, and who misses the completion finds that. It is sent again for a while when the
// brokers cannot be reached. A record that is too large for the bus stays in the store,
// and the completion has its id.
func (b *Bus) Complete(ctx context.Context, controller entity.ControllerID, c *bus.Completion) error {
	size := 512
	if c.Record != nil {
		size += len(c.Record.Response.Result)
	}
	value := c.AppendJSON(make([]byte, 0, size))
	if len(value) > b.maxMessage && c.Record != nil {
		short := *c
		short.Record = nil
		value = short.AppendJSON(nil)
	}
	return b.producer.insist(ctx, b.full(completedTopic(controller)), value)
}

// HandleCompletions calls the handler with the completions that are sent to a
// controller from now on, in one goroutine, until stop is called.
func (b *Bus) HandleCompletions(ctx context.Context, controller entity.ControllerID, h bus.CompletionHandler) (stop func(), err error) {
	return b.follow(ctx, completedTopic(controller), signs, func(value []byte) {
		c, err := bus.ParseCompletion(value)
		if err != nil {
			b.log.Error("a completion could not be read", zap.Error(err), zap.Int("bytes", len(value)))
			return
		}
		h(c)
	})
}
