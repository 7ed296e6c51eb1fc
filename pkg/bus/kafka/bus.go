// Package kafka is the bus of a cluster: activations, completions and everything else
// that its members tell each other travel through topics of Apache Kafka.
//
// What was accepted is in a topic: a message counts once its append is acknowledged by
// as many brokers as the configuration asks for. Who may take it out of an invoker's
// topic is decided by membership of the consumer group that has the topic's name; what
// was taken out and what became of it is the group's committed offset with its
// metadata (durability.md sections 3 and 4, and the type window).
package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/store"
)

const (
	// DefaultMaxMessage is OpenWhisk's bound of a message: payload and overhead
	// (openwhisk-invoker.md 2.1).
	DefaultMaxMessage = 1<<20 + 6068
	// recordOverhead is what a record of Kafka needs beside the message.
	recordOverhead = 4096
	// maxInFlight bounds the appends that wait for their acknowledgement.
	maxInFlight = 4096
	// startTimeout bounds what is asked of the brokers at the start, and of a topic that
	// begins to be read.
	startTimeout = 30 * time.Second
	// retryPause is between two tries of what a broker could not do just now.
	retryPause = 100 * time.Millisecond
)

// Options are what a bus works with beside its configuration.
type Options struct {
	// UniqueName tells this process from all others and stays when it is started again.
	// It may have letters, digits, dots, underscores and dashes.
	UniqueName string
	// Activations is where records are stored and looked for.
	Activations store.ActivationStore
	// MaxMessage bounds a message, in bytes of JSON; 0 takes DefaultMaxMessage.
	MaxMessage int
	// Metrics count what happens; nil counts nothing.
	Metrics Metrics
	Log     *zap.Logger
}

// Metrics counts what the bus does. Safe for concurrent use.
type Metrics interface {
	// Appended counts an acknowledged append and the time that it took.
	Appended(d time.Duration)
	// AppendFailed counts an append that was not acknowledged.
	AppendFailed()
	// Committed counts a commit of a queue's state and the time that it took.
	Committed(d time.Duration)
	// CommitFailed counts a commit that was refused or not answered.
	CommitFailed()
	// Moved counts messages that were moved to an overflow queue.
	Moved(n int)
	// DeadLetter counts a message that could not be read.
	DeadLetter()
	// Dropped counts what was dropped because nobody is hurt: completions and events.
	Dropped(topic string)
}

type noMetrics struct{}

func (noMetrics) Appended(time.Duration)  {}
func (noMetrics) AppendFailed()           {}
func (noMetrics) Committed(time.Duration) {}
func (noMetrics) CommitFailed()           {}
func (noMetrics) Moved(int)               {}
func (noMetrics) DeadLetter()             {}
func (noMetrics) Dropped(string)          {}

// Bus is one process's end of the bus. Safe for concurrent use.
type Bus struct {
	cfg        Config
	unique     string
	records    store.ActivationStore
	maxMessage int
	metrics    Metrics
	log        *zap.Logger

	// admin asks the brokers about topics and groups.
	admin sarama.Client
	// commits is for offsets, which must not wait behind anything slow.
	commits  sarama.Client
	producer *producer
	located  located
	unsure   unsure
	journals journals
	news     news

	mu     sync.Mutex
	queues map[string]bool // guarded by mu: the topics whose queue this process has open
	// closers end the goroutines of Listen and the like, in the order of their start.
	closers []func() // guarded by mu
}

// Open connects to Kafka. Its errors say what to change.
func Open(ctx context.Context, cfg Config, o Options) (*Bus, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if o.UniqueName == "" || !validPrefix(o.UniqueName) {
		return nil, fmt.Errorf("--unique-name %q: use 1 to 100 letters, digits, dots, underscores and dashes", o.UniqueName)
	}
	b := &Bus{
		cfg: cfg, unique: o.UniqueName, records: o.Activations, maxMessage: o.MaxMessage, metrics: o.Metrics, log: o.Log,
		queues: make(map[string]bool),
	}
	if b.maxMessage == 0 {
		b.maxMessage = DefaultMaxMessage
	}
	if b.metrics == nil {
		b.metrics = noMetrics{}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := b.connect(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Bus) connect(ctx context.Context) error {
	base, err := b.cfg.base(b.clientID("admin"))
	if err != nil {
		return err
	}
	if b.admin, err = b.dial(ctx, base); err != nil {
		return b.cfg.explain(err)
	}
	if b.commits, err = b.dial(ctx, base); err != nil {
		return b.cfg.explain(err)
	}
	b.producer, err = newProducer(b)
	return err
}

// dial makes a client, and gives up when ctx ends.
func (b *Bus) dial(ctx context.Context, cfg *sarama.Config) (sarama.Client, error) {
	type result struct {
		client sarama.Client
		err    error
	}
	made := make(chan result, 1)
	go func() {
		c, err := sarama.NewClient(b.cfg.Brokers, cfg)
		made <- result{c, err}
	}()
	select {
	case r := <-made:
		return r.client, r.err
	case <-ctx.Done():
		go func() { // the dial has deadlines of its own and ends soon
			if r := <-made; r.client != nil {
				r.client.Close()
			}
		}()
		return nil, fmt.Errorf("connect to Kafka: %w", ctx.Err())
	}
}

// clientID names one client of this process in the brokers' logs.
func (b *Bus) clientID(role string) string { return "gowhisk." + b.unique + "." + role }

// Close ends everything that the bus does. Queues are closed before it.
func (b *Bus) Close() error {
	b.mu.Lock()
	closers := b.closers
	b.closers = nil
	b.mu.Unlock()
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]()
	}
	var err error
	if b.producer != nil {
		err = b.producer.close()
	}
	for _, client := range []sarama.Client{b.commits, b.admin} {
		if client != nil && !client.Closed() {
			err = errors.Join(err, client.Close())
		}
	}
	return err
}

// onClose remembers what ends a goroutine of this bus; stop may also be called before.
func (b *Bus) onClose(stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closers = append(b.closers, stop)
}
