package kafka

import (
	"context"
	"fmt"
	"slices"

	"github.com/IBM/sarama"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
)

// acquired implements holder: it reads what the group's offset says and, in the first
// session, takes it for the window. Later it must be what this process committed, or
// another has had the queue meanwhile.
func (q *Queue) acquired(s *session) error {
	var c committed
	var n bounds
	err := retried(s.ctx, func() (err error) {
		c, err = q.bus.fetchCommitted(q.topic)
		return err
	})
	if err == nil {
		q.awaitLease(s, c)
		n, err = q.bus.bounds(s.ctx, q.topic)
	}
	if s.ctx.Err() != nil {
		return nil // the next session tries again
	}
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.notify()
	if q.window == nil {
		if err := q.load(c, n); err != nil {
			return err
		}
	} else if !slices.Contains(q.sent, c) {
		return fmt.Errorf("%s was taken over while this process could not reach Kafka; it has to start afresh: %w", q.topic, bus.ErrOwned)
	}
	q.session = s
	return nil
}

// bounds of the topic: oldest is the first offset that there is, newest the next that
// there will be.
type bounds struct{ oldest, newest int64 }

// bounds asks until the topic's leader answers: the leader of a new topic may not have
// heard of it yet.
func (b *Bus) bounds(ctx context.Context, topic string) (n bounds, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err = retried(ctx, func() (err error) {
		if n.oldest, err = b.commits.GetOffset(topic, 0, sarama.OffsetOldest); err == nil {
			n.newest, err = b.commits.GetOffset(topic, 0, sarama.OffsetNewest)
		}
		return err
	})
	if err != nil {
		return n, fmt.Errorf("read the bounds of %s: %w", topic, err)
	}
	return n, nil
}

// awaitLease waits until an earlier owner, who may not know yet that it is none, hands
// out nothing any more of what it claimed ahead.
func (q *Queue) awaitLease(s *session, c committed) {
	q.mu.Lock()
	isOurs := q.window != nil
	q.mu.Unlock()
	if w, err := parseWindow(max(c.offset, 0), c.metadata); err == nil && w.ahead > 0 && !isOurs {
		pause(s.ctx, aheadLease+aheadLease/5)
	}
}

// load takes over the committed window. The lock is held.
func (q *Queue) load(c committed, n bounds) error {
	w, err := parseWindow(max(c.offset, 0), c.metadata)
	if err != nil {
		return fmt.Errorf("%s: %w; is another program using the topic? Choose another --kafka-topic-prefix", q.topic, err)
	}
	if w.high() > n.newest {
		q.log.Error("the topic is shorter than what was read from it: it was deleted and made again, and with it what waited there",
			zap.Int64("end", n.newest), zap.Int64("read", w.high()))
		w = &window{}
	}
	if w.low < n.oldest && c.offset >= 0 {
		q.log.Error("messages were deleted before they were read: raise retention.ms of the topic", zap.Int64("from", w.low), zap.Int64("to", n.oldest))
	}
	// What arrived where messages were claimed ahead may run.
	for o, end := w.high(), min(w.high()+w.ahead, n.newest); o < end; o++ {
		w.set(o, claimed)
	}
	w.ahead = 0
	w.startAt(n.oldest)
	q.window, q.next, q.recoverTo = w, w.low, w.high()
	q.sent = []committed{c}
	return nil
}
