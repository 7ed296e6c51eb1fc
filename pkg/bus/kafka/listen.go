package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/IBM/sarama"
	"go.uber.org/zap"
)

// follow calls each with the messages that are appended to a topic from now on, in one
// goroutine, until stop is called or the bus is closed. It begins before follow
// returns: nothing that is appended afterwards is missed.
func (b *Bus) follow(ctx context.Context, topic string, keep retention, each func([]byte)) (stop func(), err error) {
	if err := b.ensure(ctx, topic, keep); err != nil {
		return nil, err
	}
	name := b.full(topic)
	cfg, err := b.cfg.consumer(b.clientID(name), b.maxMessage)
	if err != nil {
		return nil, err
	}
	client, err := b.dial(ctx, cfg)
	if err != nil {
		return nil, b.cfg.explain(err)
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("follow %s: %w", name, err), client.Close())
	}
	partition, err := consumePartition(ctx, consumer, name, sarama.OffsetNewest)
	if err != nil {
		return nil, errors.Join(err, consumer.Close(), client.Close())
	}
	var running sync.WaitGroup
	running.Go(func() {
		for m := range partition.Messages() {
			each(m.Value)
		}
	})
	running.Go(func() {
		for err := range partition.Errors() {
			b.log.Warn("following a topic failed; trying again", zap.String("topic", name), zap.Error(err.Err))
		}
	})
	stop = sync.OnceFunc(func() {
		partition.AsyncClose()
		running.Wait()
		if err := errors.Join(consumer.Close(), client.Close()); err != nil {
			b.log.Debug("closing a consumer failed", zap.String("topic", name), zap.Error(err))
		}
	})
	b.onClose(stop)
	return stop, nil
}

// consumePartition begins to read a topic at an offset. It tries until the topic's leader
// answers: that of a new topic may not have heard of it yet.
func consumePartition(ctx context.Context, consumer sarama.Consumer, topic string, from int64) (partition sarama.PartitionConsumer, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err = retried(ctx, func() (err error) {
		partition, err = consumer.ConsumePartition(topic, 0, from)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	return partition, nil
}
