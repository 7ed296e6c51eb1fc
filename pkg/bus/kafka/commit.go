package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

// committed is what a group's offset says of its topic. Offset -1 is none.
type committed struct {
	offset   int64
	metadata string
}

// fetchCommitted reads the offset of a group in its topic.
func (b *Bus) fetchCommitted(topic string) (committed, error) {
	none := committed{offset: -1}
	coordinator, err := b.commits.Coordinator(topic)
	if err != nil {
		return none, fmt.Errorf("find the coordinator of %s: %w", topic, err)
	}
	request := sarama.NewOffsetFetchRequest(clusterVersion, topic, map[string][]int32{topic: {0}})
	response, err := coordinator.FetchOffset(request)
	if err != nil {
		return none, errors.Join(fmt.Errorf("read the offset of %s: %w", topic, err), b.forgetCoordinator(topic))
	}
	if response.Err == sarama.ErrGroupIDNotFound {
		return none, nil
	}
	if response.Err != sarama.ErrNoError {
		return none, errors.Join(fmt.Errorf("read the offset of %s: %w", topic, response.Err), b.forgetCoordinator(topic))
	}
	block := response.GetBlock(topic, 0)
	if block == nil || block.Offset < 0 && block.Err == sarama.ErrNoError {
		return none, nil
	}
	if block.Err != sarama.ErrNoError {
		return none, fmt.Errorf("read the offset of %s: %w", topic, block.Err)
	}
	return committed{block.Offset, block.Metadata}, nil
}

// commit writes the offset of a group in its topic, in the name of a session. It
// returns nil once the brokers have it. What it cannot know, it says with an error
// that is no sarama.KError.
func (b *Bus) commit(topic, instance string, s *session, c committed) error {
	coordinator, err := b.commits.Coordinator(topic)
	if err != nil {
		return fmt.Errorf("find the coordinator of %s: %w", topic, err)
	}
	request := sarama.NewOffsetCommitRequest(b.commits.Config(), topic)
	request.ConsumerGroupGeneration, request.ConsumerID, request.GroupInstanceId = s.generation, s.member, &instance
	request.AddBlockWithLeaderEpoch(topic, 0, c.offset, -1, 0, c.metadata)
	response, err := coordinator.CommitOffset(request)
	if err != nil {
		return errors.Join(fmt.Errorf("commit %s: %w", topic, err), b.forgetCoordinator(topic))
	}
	code, ok := response.Errors[topic][0]
	switch {
	case !ok:
		return fmt.Errorf("commit %s: the broker's answer says nothing of it", topic)
	case code == sarama.ErrNotCoordinatorForConsumer, code == sarama.ErrConsumerCoordinatorNotAvailable:
		return errors.Join(fmt.Errorf("commit %s: %w", topic, code), b.forgetCoordinator(topic))
	case code != sarama.ErrNoError:
		return fmt.Errorf("commit %s: %w", topic, code)
	}
	return nil
}

// forgetCoordinator makes the next commit look for the group's coordinator again.
func (b *Bus) forgetCoordinator(topic string) error { return b.commits.RefreshCoordinator(topic) }

// retried calls do until it works, ctx ends or the error is not one of the moment.
func retried(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil || ctx.Err() != nil || !isPassing(err) {
			return err
		}
		if !pause(ctx, retryPause) {
			return errors.Join(err, ctx.Err())
		}
	}
}

// isPassing reports whether an error may be over in a moment.
func isPassing(err error) bool {
	var code sarama.KError
	if !errors.As(err, &code) {
		return !errors.Is(err, sarama.ErrClosedClient)
	}
	switch code {
	case sarama.ErrNotCoordinatorForConsumer, sarama.ErrConsumerCoordinatorNotAvailable, sarama.ErrOffsetsLoadInProgress,
		sarama.ErrRequestTimedOut, sarama.ErrNotLeaderForPartition, sarama.ErrLeaderNotAvailable, sarama.ErrUnknownTopicOrPartition:
		return true
	}
	return false
}
