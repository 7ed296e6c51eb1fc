package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
)

// producer appends to topics, over one client for all of them. Messages that come
// while one request is under way share the next.
type producer struct {
	bus     *Bus
	client  sarama.Client
	async   sarama.AsyncProducer
	again   again
	running sync.WaitGroup

	mu     sync.RWMutex // held for reading while a message is handed in
	closed bool         // guarded by mu
}

// appended is the metadata of a message: who waits for its acknowledgement, if anybody
// does.
type appended struct {
	begun time.Time
	// done gets the one outcome; nil for what nobody waits for.
	done chan outcome
	// insist: it is sent again when that failed.
	insist bool
}

type outcome struct {
	offset int64
	at     time.Time
	err    error
}

func newProducer(b *Bus) (*producer, error) {
	cfg, err := b.cfg.producer(b.clientID("producer"), b.maxMessage)
	if err != nil {
		return nil, err
	}
	client, err := sarama.NewClient(b.cfg.Brokers, cfg)
	if err != nil {
		return nil, b.cfg.explain(err)
	}
	async, err := sarama.NewAsyncProducerFromClient(client)
	if err != nil {
		return nil, errors.Join(b.cfg.explain(err), client.Close())
	}
	p := &producer{bus: b, client: client, async: async}
	p.again.start(p.sendAgain)
	p.running.Go(p.successes)
	p.running.Go(p.failures)
	return p, nil
}

func (p *producer) successes() {
	for m := range p.async.Successes() {
		a := m.Metadata.(*appended)
		p.bus.metrics.Appended(time.Since(a.begun))
		if a.done != nil {
			a.done <- outcome{offset: m.Offset, at: m.Timestamp}
		}
	}
}

func (p *producer) failures() {
	for e := range p.async.Errors() {
		a := e.Msg.Metadata.(*appended)
		p.bus.metrics.AppendFailed()
		switch {
		case a.done != nil:
			a.done <- outcome{err: e.Err}
		case a.insist && p.again.keep(e):
		default:
			p.drop(e.Msg.Topic, e.Err)
		}
	}
}

func (p *producer) drop(topic string, err error) {
	p.bus.metrics.Dropped(topic)
	p.bus.log.Warn("a message could not be sent and is dropped", zap.String("topic", topic), zap.Error(err))
}

// append appends value to a topic and returns its offset once the append is
// acknowledged. When ctx ends first, the outcome is not known. A nil value is a
// tombstone of its key.
func (p *producer) append(ctx context.Context, topic string, key string, value []byte) (outcome, error) {
	done, err := p.begin(ctx, topic, key, value)
	if err != nil {
		return outcome{}, err
	}
	return await(ctx, topic, done)
}

// begin begins to append; done gets the outcome, whenever it comes.
func (p *producer) begin(ctx context.Context, topic, key string, value []byte) (done chan outcome, err error) {
	done = make(chan outcome, 1)
	return done, p.hand(ctx, topic, key, value, &appended{begun: time.Now(), done: done})
}

// await waits for the outcome of an append.
func await(ctx context.Context, topic string, done chan outcome) (outcome, error) {
	select {
	case o := <-done:
		if errors.Is(o.err, sarama.ErrMessageSizeTooLarge) {
			return o, fmt.Errorf("append to %s: %w", topic, bus.ErrTooLarge)
		}
		if o.err != nil {
			return o, fmt.Errorf("append to %s: %w", topic, o.err)
		}
		return o, nil
	case <-ctx.Done():
		return outcome{}, fmt.Errorf("append to %s was not acknowledged in time: %w", topic, ctx.Err())
	}
}

// send appends and waits for nothing but a place among the appends under way.
func (p *producer) send(ctx context.Context, topic string, key string, value []byte) error {
	return p.hand(ctx, topic, key, value, &appended{begun: time.Now()})
}

// insist is send of what is sent again for a while when the brokers cannot be reached.
func (p *producer) insist(ctx context.Context, topic string, value []byte) error {
	return p.hand(ctx, topic, "", value, &appended{begun: time.Now(), insist: true})
}

func (p *producer) hand(ctx context.Context, topic, key string, value []byte, a *appended) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m := &sarama.ProducerMessage{Topic: topic, Metadata: a}
	if value != nil {
		m.Value = sarama.ByteEncoder(value)
	}
	if key != "" {
		m.Key = sarama.StringEncoder(key)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return fmt.Errorf("append to %s: %w", topic, bus.ErrClosed)
	}
	select {
	case p.async.Input() <- m:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("append to %s: too many appends are under way: %w", topic, ctx.Err())
	}
}

// close waits until what was handed in has its outcome.
func (p *producer) close() error {
	p.again.close()
	p.mu.Lock()
	again := p.closed
	p.closed = true
	p.mu.Unlock()
	if again {
		return nil
	}
	p.async.AsyncClose()
	p.running.Wait()
	return p.client.Close()
}
