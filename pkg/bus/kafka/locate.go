package kafka

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/IBM/sarama"
	"github.com/tidwall/gjson"
	"golang.org/x/sync/errgroup"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// located remembers what waited in the queues when it was last looked: messages that an
// earlier life of a controller sent.
type located struct {
	mu  sync.Mutex
	ids map[entity.ActivationID]bool // nil until it was looked for the first time
}

// isQueued reports whether an activation that an earlier life may have sent waits or
// runs somewhere. It looks once; refresh looks again.
func (b *Bus) isQueued(ctx context.Context, id entity.ActivationID) (bool, error) {
	b.located.mu.Lock()
	ids := b.located.ids
	b.located.mu.Unlock()
	if ids == nil {
		var err error
		if ids, err = b.lookAgain(ctx); err != nil {
			return false, err
		}
	}
	return ids[id], nil
}

// lookAgain reads what waits in all queues now.
func (b *Bus) lookAgain(ctx context.Context) (map[entity.ActivationID]bool, error) {
	ids, err := b.unsettled(ctx, "")
	if err != nil {
		return nil, err
	}
	b.located.mu.Lock()
	defer b.located.mu.Unlock()
	b.located.ids = ids
	return ids, nil
}

// unsettled returns the activations that wait, run or move in the queues of the cluster,
// except in one topic. It looks at the windows of all queues before it reads any: a
// message that moves meanwhile was appended to its new queue before its old one let go
// of it, so that it is found in one of them.
func (b *Bus) unsettled(ctx context.Context, except string) (map[entity.ActivationID]bool, error) {
	topics, err := b.queueTopics()
	if err != nil {
		return nil, err
	}
	windows := make(map[string]*window, len(topics))
	for _, topic := range topics {
		if topic == except {
			continue
		}
		var c committed
		err := retried(ctx, func() (err error) {
			c, err = b.fetchCommitted(topic)
			return err
		})
		if err != nil {
			return nil, err
		}
		w, err := parseWindow(max(c.offset, 0), c.metadata)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", topic, err)
		}
		windows[topic] = w
	}
	cfg, err := b.cfg.consumer(b.clientID("locate"), b.maxMessage)
	if err != nil {
		return nil, err
	}
	client, err := b.dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	found := make(map[entity.ActivationID]bool)
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for topic, w := range windows {
		group.Go(func() error {
			return b.scan(ctx, client, topic, w.low, func(m *sarama.ConsumerMessage) {
				if w.state(m.Offset) == done {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				found[entity.ActivationID(gjson.GetBytes(m.Value, "activationId").String())] = true
			})
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("look through the queues: %w", err)
	}
	return found, nil
}

// queueTopics are the topics of invokers and of overflow queues.
func (b *Bus) queueTopics() ([]string, error) {
	if err := b.admin.RefreshMetadata(); err != nil {
		return nil, fmt.Errorf("list the topics: %w", err)
	}
	all, err := b.admin.Topics()
	if err != nil {
		return nil, fmt.Errorf("list the topics: %w", err)
	}
	var queues []string
	for _, full := range all {
		topic, ours := strings.CutPrefix(full, b.cfg.TopicPrefix)
		if number, ok := strings.CutPrefix(topic, "invoker"); ours && (ok && isNumber(number) || strings.HasPrefix(topic, "overflow")) {
			queues = append(queues, full)
		}
	}
	return queues, nil
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// scan calls each with the messages of a topic from an offset to what is its end now.
func (b *Bus) scan(ctx context.Context, client sarama.Client, topic string, from int64, each func(*sarama.ConsumerMessage)) error {
	n, err := b.bounds(ctx, topic)
	if err != nil {
		return err
	}
	from = max(from, n.oldest)
	if from >= n.newest {
		return nil
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	defer consumer.Close()
	partition, err := consumePartition(ctx, consumer, topic, from)
	if err != nil {
		return err
	}
	defer partition.AsyncClose()
	// Past the last message there may be offsets without any.
	for {
		select {
		case m, ok := <-partition.Messages():
			if !ok {
				return fmt.Errorf("read %s: the consumer was closed", topic)
			}
			each(m)
			if m.Offset >= n.newest-1 {
				return nil
			}
		case err := <-partition.Errors():
			if err != nil {
				b.log.Warn("reading a topic failed; trying again")
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
