package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Topics, before their prefix. Each has one partition (openwhisk-invoker.md 5.1); those
// in the second half are not OpenWhisk's.
const (
	healthTopic       = "health"
	invalidationTopic = "cacheInvalidation"
	eventsTopic       = "events"

	controllersTopic = "controllers"
	invokerIDsTopic  = "invokerIds"
	deadLetterTopic  = "deadletter"
	clockTopic       = "clock"
)

func invokerTopic(i entity.InvokerID) string      { return i.String() }
func completedTopic(c entity.ControllerID) string { return "completed" + string(c) }
func overflowTopic(c entity.ControllerID) string  { return "overflow" + string(c) }
func journalTopic(c entity.ControllerID) string   { return "journal" + string(c) }

// full is the topic's name in Kafka.
func (b *Bus) full(topic string) string { return b.cfg.TopicPrefix + topic }

// retention of a topic: how long its messages stay. Nothing is deleted for its size,
// since what was accepted must be read first.
type retention time.Duration

const (
	// work is kept for longer than anything may wait.
	work retention = retention(7 * 24 * time.Hour)
	// signs are for those who listen now.
	signs retention = retention(time.Hour)
	// latest keeps the last message of each key for ever.
	latest retention = 0
	// always keeps everything.
	always retention = -1
)

// ensure creates a topic, unless it exists. One that exists with several partitions is
// an error: the order of its messages matters.
func (b *Bus) ensure(ctx context.Context, topic string, keep retention) error {
	name := b.full(topic)
	exists, err := b.exists(name)
	if err != nil {
		return err
	}
	if exists {
		return b.awaitTopic(ctx, name)
	}
	settings := map[string]string{
		"max.message.bytes":   strconv.Itoa(b.maxMessage + recordOverhead),
		"min.insync.replicas": strconv.Itoa(b.cfg.MinInSync),
		"retention.bytes":     "-1",
	}
	switch {
	case keep == latest:
		// Deleted is only what its writer deletes.
		settings["cleanup.policy"], settings["retention.ms"] = "compact,delete", "-1"
		// A tombstone has done its work when its entry is gone.
		settings["delete.retention.ms"] = strconv.FormatInt(time.Duration(work).Milliseconds(), 10)
		settings["min.cleanable.dirty.ratio"] = "0.2"
		// Small segments are cleaned soon: the topic is read as a whole at a start.
		settings["segment.bytes"] = strconv.Itoa(16 << 20)
		settings["segment.ms"] = strconv.FormatInt((10 * time.Minute).Milliseconds(), 10)
	case keep == always:
		settings["retention.ms"] = "-1"
	default:
		settings["retention.ms"] = strconv.FormatInt(time.Duration(keep).Milliseconds(), 10)
	}
	if topic == clockTopic {
		settings["message.timestamp.type"] = "LogAppendTime"
	}
	detail := &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: int16(b.cfg.Replication), ConfigEntries: map[string]*string{}}
	for k, v := range settings {
		detail.ConfigEntries[k] = &v
	}
	if err := b.createTopic(name, detail); err != nil {
		return err
	}
	return b.awaitTopic(ctx, name)
}

// exists asks for all topics: to ask for one that there is not takes many tries.
func (b *Bus) exists(name string) (bool, error) {
	if err := b.admin.RefreshMetadata(); err != nil {
		return false, fmt.Errorf("list the topics: %w", err)
	}
	topics, err := b.admin.Topics()
	if err != nil {
		return false, fmt.Errorf("list the topics: %w", err)
	}
	return slices.Contains(topics, name), nil
}

func checkPartitions(name string, n int) error {
	if n != 1 {
		return fmt.Errorf("the topic %s has %d partitions and must have 1: delete it when nothing is in it, or choose another --kafka-topic-prefix", name, n)
	}
	return nil
}

func (b *Bus) createTopic(name string, detail *sarama.TopicDetail) error {
	admin, err := sarama.NewClusterAdminFromClient(b.admin)
	if err != nil {
		return fmt.Errorf("create the topic %s: %w", name, err)
	}
	// The admin is not closed: that would close its client, which is ours.
	err = admin.CreateTopic(name, detail, false)
	switch {
	case err == nil || errors.Is(err, sarama.ErrTopicAlreadyExists):
		return nil
	case errors.Is(err, sarama.ErrInvalidReplicationFactor):
		return fmt.Errorf("create the topic %s: there are not %d brokers; lower --kafka-replication-factor, or start more: %w", name, detail.ReplicationFactor, err)
	case errors.Is(err, sarama.ErrTopicAuthorizationFailed), errors.Is(err, sarama.ErrClusterAuthorizationFailed):
		return fmt.Errorf("create the topic %s: the user of --kafka-sasl-user may not; let it, or create the topic with one partition by hand: %w", name, err)
	}
	return fmt.Errorf("create the topic %s: %w", name, err)
}

// awaitTopic waits until the brokers know the topic and who leads it.
func (b *Bus) awaitTopic(ctx context.Context, name string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := b.admin.RefreshMetadata(name)
		if err == nil {
			if _, err = b.admin.Leader(name, 0); err == nil {
				partitions, err := b.admin.Partitions(name)
				if err != nil {
					return fmt.Errorf("the topic %s: %w", name, err)
				}
				return checkPartitions(name, len(partitions))
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the topic %s has no leader: %w", name, errors.Join(ctx.Err(), err))
		}
	}
}

// Members returns all controllers that have journals or overflow queues, and all
// invokers that have queues, whether they live or not.
func (b *Bus) Members() (controllers []entity.ControllerID, invokers []entity.InvokerID, err error) {
	if err := b.admin.RefreshMetadata(); err != nil {
		return nil, nil, fmt.Errorf("list the topics: %w", err)
	}
	topics, err := b.admin.Topics()
	if err != nil {
		return nil, nil, fmt.Errorf("list the topics: %w", err)
	}
	for _, full := range topics {
		topic, ours := strings.CutPrefix(full, b.cfg.TopicPrefix)
		if !ours {
			continue
		}
		for _, kind := range []string{"journal", "overflow"} {
			id, ok := strings.CutPrefix(topic, kind)
			if ok && isNumber(id) && !slices.Contains(controllers, entity.ControllerID(id)) {
				controllers = append(controllers, entity.ControllerID(id))
			}
		}
		if number, ok := strings.CutPrefix(topic, "invoker"); ok && isNumber(number) {
			n, err := strconv.Atoi(number)
			if err != nil || n > bus.MaxInvoker {
				continue // somebody else's
			}
			invokers = append(invokers, entity.InvokerID(n))
		}
	}
	return controllers, invokers, nil
}
