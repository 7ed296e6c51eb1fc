package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

const (
	// insistence is for how long a completion is sent again while the brokers cannot be
	// reached: a controller waits no longer for the completion of a short run.
	insistence = 5 * time.Minute
	// maxAgain and maxAgainBytes bound what waits to be sent again.
	maxAgain      = 10_000
	maxAgainBytes = 32 << 20
)

// again holds messages that failed and are to be sent once more. A lost completion loses
// nothing but time, of that much though: its client waits until the record is found, and
// the controller takes its container for busy.
type again struct {
	ctx     context.Context // ends with the producer
	stop    context.CancelFunc
	wake    chan struct{} // has room for one
	running sync.WaitGroup

	mu    sync.Mutex
	held  []*sarama.ProducerMessage // guarded by mu
	bytes int                       // of held
}

func (a *again) start(send func()) {
	a.ctx, a.stop = context.WithCancel(context.Background())
	a.wake = make(chan struct{}, 1)
	a.running.Go(send)
}

// close ends what start began.
func (a *again) close() {
	a.stop()
	a.running.Wait()
}

// keep takes a message that failed, unless it is too late for it, it would fail again,
// or too many wait already.
func (a *again) keep(e *sarama.ProducerError) bool {
	if errors.Is(e.Err, sarama.ErrMessageSizeTooLarge) || errors.Is(e.Err, sarama.ErrTopicAuthorizationFailed) ||
		time.Since(e.Msg.Metadata.(*appended).begun) > insistence || a.ctx.Err() != nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.held) >= maxAgain || a.bytes+e.Msg.Value.Length() > maxAgainBytes {
		return false
	}
	a.held = append(a.held, e.Msg)
	a.bytes += e.Msg.Value.Length()
	select {
	case a.wake <- struct{}{}:
	default:
	}
	return true
}

func (a *again) take() []*sarama.ProducerMessage {
	a.mu.Lock()
	defer a.mu.Unlock()
	held := a.held
	a.held, a.bytes = nil, 0
	return held
}

// sendAgain sends what is held, a moment after it failed, until the producer is closed.
func (p *producer) sendAgain() {
	for {
		select {
		case <-p.again.wake:
		case <-p.again.ctx.Done():
		}
		pause(p.again.ctx, retryPause)
		for _, m := range p.again.take() {
			value, err := m.Value.Encode()
			if err == nil {
				err = p.hand(p.again.ctx, m.Topic, "", value, m.Metadata.(*appended))
			}
			if err != nil {
				p.drop(m.Topic, err)
			}
		}
		if p.again.ctx.Err() != nil {
			return
		}
	}
}
