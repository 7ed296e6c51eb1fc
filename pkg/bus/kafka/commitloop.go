package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
)

// commitNow returns when the window, as it is now or later, is committed.
func (q *Queue) commitNow(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case q.commits <- commitRequest{done}:
	case <-ctx.Done():
		return ctx.Err()
	case <-q.ctx.Done():
		return bus.ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commitLoop commits the window whenever somebody waits for that, and a little after it
// has changed. Who comes while one commit is under way shares the next.
func (q *Queue) commitLoop() {
	tick := time.NewTicker(lazyCommit)
	defer tick.Stop()
	var waiting []commitRequest
	for {
		waiting = waiting[:0]
		select {
		case r := <-q.commits:
			waiting = append(waiting, r)
		case <-q.soon:
		case <-tick.C:
			if !q.needsCommit() {
				continue
			}
		case <-q.ctx.Done():
			q.lastCommit()
			return
		}
		for more := true; more; {
			select {
			case r := <-q.commits:
				waiting = append(waiting, r)
			default:
				more = false
			}
		}
		err := q.commitUntilKnown(q.ctx)
		if errors.Is(err, context.Canceled) {
			err = bus.ErrClosed
		}
		for _, r := range waiting {
			r.done <- err
		}
	}
}

// commitSoon lets the window be committed without waiting for that.
func (q *Queue) commitSoon() {
	select {
	case q.soon <- struct{}{}:
	default:
	}
}

func (q *Queue) needsCommit() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return (q.dirty || !q.ahead.isIdle(q.next)) && q.session != nil && q.failure == nil
}

// lastCommit saves the successor work. Without it the records say what is done.
func (q *Queue) lastCommit() {
	q.mu.Lock()
	s := q.session
	needed := q.dirty && q.failure == nil && s != nil
	var c committed
	if needed {
		c = q.snapshot()
	}
	q.mu.Unlock()
	if !needed {
		return
	}
	if err := q.bus.commit(q.topic, q.owner.instance, s, c); err != nil {
		q.log.Debug("the last commit failed", zap.Error(err))
	}
}

// snapshot is the window as it is committed. The lock is held.
func (q *Queue) snapshot() committed {
	q.dirty = false
	now := time.Now()
	q.window.ahead = 0
	switch {
	case len(q.waiting) > 0: // perhaps for long
		q.ahead.none(now, q.waiting[0].offset)
	case q.closed || q.window.high() != q.next:
		q.ahead.none(now, q.window.high())
	default:
		q.window.ahead = q.ahead.begin(now, q.next)
	}
	c := committed{q.window.low, q.window.encode()}
	if n := len(q.sent); n == 0 || q.sent[n-1] != c {
		q.sent = append(q.sent, c)
	}
	return c
}

// commitUntilKnown commits the window. It tries until it is known that the brokers have
// it, or that the queue is lost.
func (q *Queue) commitUntilKnown(ctx context.Context) error {
	for {
		if err := q.await(ctx, func() bool { return q.session != nil }); err != nil {
			return err
		}
		s, c := q.session, q.snapshot()
		q.mu.Unlock()
		begun := time.Now()
		err := q.bus.commit(q.topic, q.owner.instance, s, c)
		if err == nil {
			q.bus.metrics.Committed(time.Since(begun))
			q.mu.Lock()
			q.sent = append(q.sent[:0], c)
			q.ahead.committed()
			q.mu.Unlock()
			return nil
		}
		q.bus.metrics.CommitFailed()
		q.refused(s, err)
		if !pause(ctx, retryPause) {
			return ctx.Err()
		}
	}
}

// refused looks at why a commit failed: the session may be over, or the queue lost.
func (q *Queue) refused(s *session, err error) {
	var code sarama.KError
	if !errors.As(err, &code) {
		q.log.Warn("committing the state of the queue failed; trying again", zap.Error(err))
		q.markDirty()
		return
	}
	switch code {
	case sarama.ErrFencedInstancedId:
		q.lost(q.owner.lostError(code))
	case sarama.ErrIllegalGeneration, sarama.ErrUnknownMemberId, sarama.ErrRebalanceInProgress:
		q.markDirty()
		q.endSession(s) // the next one commits it, if there is one
	case sarama.ErrOffsetMetadataTooLarge:
		q.lost(fmt.Errorf("%s: the brokers' offset.metadata.max.bytes is below %d: %w", q.topic, maxMetadata, code))
	default:
		q.log.Warn("committing the state of the queue failed; trying again", zap.Error(err))
		q.markDirty()
	}
}

func (q *Queue) markDirty() {
	q.mu.Lock()
	q.dirty = true
	q.mu.Unlock()
}
