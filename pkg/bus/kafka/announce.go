package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

var _ bus.Announcer = (*Bus)(nil)

const (
	// silence is after how long a controller counts as dead.
	silence = 10 * time.Second
	// reviewInterval is how often an announcement looks who still lives.
	reviewInterval = 200 * time.Millisecond
)

// news are the announcements of this process, and who is to hear them.
type news struct {
	mu     sync.Mutex
	self   string               // as announcements name this process; guarded by mu, as all that follows
	peers  map[string]time.Time // when each other controller was last heard of
	number int64
	// unheard are the peers that have not answered yet, by announcement.
	unheard map[int64]*announcement
}

type announcement struct {
	missing map[string]bool
	heard   chan struct{} // closed when none is missing
}

func instanceName(c entity.ControllerID) string { return "controller" + string(c) }

func (n *news) listenAs(self entity.ControllerID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.self = instanceName(self)
}

// beat notes that a controller lives, or leaves.
func (n *news) beat(h *bus.Heartbeat) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name := instanceName(h.Controller)
	if n.peers == nil {
		n.peers = make(map[string]time.Time)
	}
	switch {
	case name == n.self:
	case h.Leaving:
		delete(n.peers, name)
	default:
		n.peers[name] = time.Now()
	}
}

// begin numbers an announcement and notes who has to answer it.
func (n *news) begin() (number int64, self string, a *announcement) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.number == 0 {
		n.number = time.Now().UnixMicro() // answers to an earlier life's match none of this one's
	}
	n.number++
	a = &announcement{missing: make(map[string]bool), heard: make(chan struct{})}
	for peer, seen := range n.peers {
		if time.Since(seen) < silence {
			a.missing[peer] = true
		}
	}
	if len(a.missing) == 0 {
		close(a.heard)
		return 0, n.self, a
	}
	if n.unheard == nil {
		n.unheard = make(map[int64]*announcement)
	}
	n.unheard[n.number] = a
	return n.number, n.self, a
}

func (n *news) answered(number int64, by string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a := n.unheard[number]; a != nil {
		delete(a.missing, by)
		n.concludeIfHeard(number, a)
	}
}

// concludeIfHeard ends an announcement that all have heard. The lock is held.
func (n *news) concludeIfHeard(number int64, a *announcement) {
	if len(a.missing) == 0 {
		delete(n.unheard, number)
		close(a.heard)
	}
}

// review lets go of peers that have died or left.
func (n *news) review(number int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.unheard[number]
	if a == nil {
		return
	}
	for peer := range a.missing {
		if seen, known := n.peers[peer]; !known || time.Since(seen) >= silence {
			delete(a.missing, peer)
		}
	}
	n.concludeIfHeard(number, a)
}

func (n *news) forget(number int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.unheard, number)
}

// Announce implements bus.Announcer.
func (b *Bus) Announce(ctx context.Context, id entity.DocID) error {
	return b.announce(ctx, bus.Invalidation{Entity: id})
}

// AnnounceSubjects implements bus.Announcer.
func (b *Bus) AnnounceSubjects(ctx context.Context) error {
	return b.announce(ctx, bus.Invalidation{Subjects: true})
}

func (b *Bus) announce(ctx context.Context, i bus.Invalidation) error {
	number, self, a := b.news.begin()
	defer b.news.forget(number)
	i.Number, i.From = number, self
	if self == "" {
		i.From = b.unique
	}
	value, err := i.JSON()
	if err != nil {
		return fmt.Errorf("announce: %w", err)
	}
	if _, err := b.producer.append(ctx, b.full(invalidationTopic), "", value); err != nil {
		return err
	}
	tick := time.NewTicker(reviewInterval)
	defer tick.Stop()
	for {
		select {
		case <-a.heard:
			return nil
		case <-tick.C:
			b.news.review(number)
		case <-ctx.Done():
			return fmt.Errorf("not all controllers have heard of a change: %w", ctx.Err())
		}
	}
}

// heard takes in what was announced.
func (b *Bus) heard(i *bus.Invalidation, l bus.Listener) {
	b.news.mu.Lock()
	self := b.news.self
	b.news.mu.Unlock()
	switch {
	case i.AnswerTo == self:
		b.news.answered(i.Number, i.From)
		return
	case i.AnswerTo != "" || i.From == self:
		return
	}
	if i.Entity != "" {
		l.Invalidate(i.Entity)
	}
	if i.Subjects {
		l.InvalidateSubjects()
	}
	if i.Number == 0 {
		return
	}
	answer := bus.Invalidation{From: self, AnswerTo: i.From, Number: i.Number}
	value, err := answer.JSON()
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err = b.producer.send(ctx, b.full(invalidationTopic), "", value)
	}
	if err != nil {
		b.log.Warn("answering an announcement failed", zap.Error(err))
	}
}

// Attend lets a process that is no controller hear the answers to its announcements: it
// learns from the last heartbeats which controllers there are.
func (b *Bus) Attend(ctx context.Context) error {
	b.news.mu.Lock()
	b.news.self = b.unique
	b.news.mu.Unlock()
	if _, err := b.follow(ctx, invalidationTopic, signs, func(value []byte) {
		if i, err := bus.ParseInvalidation(value); err == nil && i.AnswerTo == b.unique {
			b.news.answered(i.Number, i.From)
		}
	}); err != nil {
		return err
	}
	if err := b.ensure(ctx, controllersTopic, signs); err != nil {
		return err
	}
	return b.learnPeers(ctx)
}

// learnPeers reads the last heartbeats: who lives now is waited for from the beginning.
func (b *Bus) learnPeers(ctx context.Context) error {
	topic := b.full(controllersTopic)
	n, err := b.bounds(ctx, topic)
	if err != nil {
		return err
	}
	cfg, err := b.cfg.consumer(b.clientID("attend"), b.maxMessage)
	if err != nil {
		return err
	}
	client, err := b.dial(ctx, cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	// Many more than all controllers send while they count as alive.
	const last = 2000
	return b.scan(ctx, client, topic, n.newest-last, func(m *sarama.ConsumerMessage) {
		if h, err := bus.ParseHeartbeat(m.Value); err == nil && (h.Leaving || time.Since(h.Sent) < silence/2) {
			b.news.beat(h)
		}
	})
}
