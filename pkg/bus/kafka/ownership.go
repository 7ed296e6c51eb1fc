package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
)

const (
	// sessionTimeout is how long a member of a group may be silent until the broker
	// gives its topic to another.
	sessionTimeout = 10 * time.Second
	// drainerPrefix begins the instance ids of those that only take over what a dead
	// member left.
	drainerPrefix = "drainer-"
)

// session is the right to commit offsets of a group, until a broker gives it to
// another member.
type session struct {
	member     string
	generation int32
	ctx        context.Context
}

// holder does something while it owns a topic.
type holder interface {
	// acquired is called at the beginning of each session, before hold. An error ends
	// the ownership.
	acquired(s *session) error
	// hold is called with what follows the committed offset. It returns when the
	// session's context ends, or the messages do.
	hold(s *session, messages <-chan *sarama.ConsumerMessage)
	// lost says that the ownership is over for good.
	lost(err error)
}

// ownership is a place in the consumer group of a topic: the broker sees to it that one
// process at a time has it. The member is static: who is started again under the same
// name has the topic at once, and fences what was started before.
type ownership struct {
	bus      *Bus
	topic    string // also the group
	instance string
	holder   holder
	client   sarama.Client
	group    sarama.ConsumerGroup
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// own joins the group of a topic. An owner refuses to join while another member is
// alive, and a drainer while any is: ErrOwned.
func (b *Bus) own(ctx context.Context, topic, instance string, h holder) (*ownership, error) {
	if err := b.awaitVacancy(ctx, topic, instance); err != nil {
		return nil, err
	}
	cfg, err := b.cfg.consumer(b.clientID(topic), b.maxMessage)
	if err != nil {
		return nil, err
	}
	cfg.Consumer.Group.InstanceId = instance
	cfg.Consumer.Group.Session.Timeout = sessionTimeout
	cfg.Consumer.Group.Heartbeat.Interval = sessionTimeout / 5
	cfg.Consumer.Group.Rebalance.Retry.Backoff = 200 * time.Millisecond
	o := &ownership{bus: b, topic: topic, instance: instance, holder: h}
	if o.client, err = b.dial(ctx, cfg); err != nil {
		return nil, b.cfg.explain(err)
	}
	if o.group, err = sarama.NewConsumerGroupFromClient(topic, o.client); err != nil {
		return nil, errors.Join(fmt.Errorf("join the group %s: %w", topic, err), o.client.Close())
	}
	running, stop := context.WithCancel(context.Background())
	o.stop = stop
	o.running.Go(func() { o.run(running) })
	o.running.Go(func() {
		for err := range o.group.Errors() {
			b.log.Debug("consumer group", zap.String("topic", topic), zap.Error(err))
		}
	})
	return o, nil
}

// run joins again and again: brokers restart, and sessions end with them.
func (o *ownership) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := o.group.Consume(ctx, []string{o.topic}, o)
		switch {
		case ctx.Err() != nil || errors.Is(err, sarama.ErrClosedConsumerGroup):
			return
		case errors.Is(err, errLost), errors.Is(err, sarama.ErrFencedInstancedId):
			o.holder.lost(o.lostError(err))
			return
		case err != nil:
			o.bus.log.Warn("holding a topic failed; trying again", zap.String("topic", o.topic), zap.Error(err))
			pause(ctx, 500*time.Millisecond)
		}
		if o.isDrainer() {
			// Whoever wants the topic back gets it.
			o.holder.lost(fmt.Errorf("%s: %w", o.topic, bus.ErrOwned))
			return
		}
	}
}

func (o *ownership) isDrainer() bool { return strings.HasPrefix(o.instance, drainerPrefix) }

// errLost is why Consume ended, if the holder does not want to go on.
var errLost = errors.New("the topic was given up")

func (o *ownership) lostError(err error) error {
	if errors.Is(err, sarama.ErrFencedInstancedId) {
		return fmt.Errorf("%s was taken over by another process with the unique name %s: stop one of them, or give it another --unique-name and --id: %w",
			o.topic, o.instance, bus.ErrOwned)
	}
	return err
}

// Setup implements sarama.ConsumerGroupHandler.
func (o *ownership) Setup(s sarama.ConsumerGroupSession) error {
	if len(s.Claims()[o.topic]) == 0 {
		return nil // another member has the topic
	}
	if err := o.holder.acquired(&session{s.MemberID(), s.GenerationID(), s.Context()}); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return nil
}

// Cleanup implements sarama.ConsumerGroupHandler.
func (o *ownership) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim implements sarama.ConsumerGroupHandler.
func (o *ownership) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	o.holder.hold(&session{s.MemberID(), s.GenerationID(), s.Context()}, claim.Messages())
	return nil
}

// close leaves the group, so that another member need not wait for the session to
// time out.
func (o *ownership) close() error {
	o.stop()
	err := o.group.Close()
	o.running.Wait()
	if !o.client.Closed() {
		err = errors.Join(err, o.client.Close())
	}
	o.bus.leave(o.topic, o.instance)
	return err
}

// leave takes a static member out of a group. It is a courtesy: without it the broker
// waits for the session's end.
func (b *Bus) leave(group, instance string) {
	admin, err := sarama.NewClusterAdminFromClient(b.admin)
	if err == nil {
		_, err = admin.RemoveMemberFromConsumerGroup(group, []string{instance})
	}
	if err != nil {
		b.log.Debug("leaving a group failed", zap.String("group", group), zap.Error(err))
	}
}

// awaitVacancy returns nil once no other member holds the group. An owner waits for
// one that may have died to time out; a drainer does not wait.
func (b *Bus) awaitVacancy(ctx context.Context, group, instance string) error {
	deadline := time.Now().Add(sessionTimeout + 2*time.Second)
	for {
		other, err := b.otherMember(group, instance)
		switch {
		case err != nil:
			return err
		case other == "":
			return nil
		case strings.HasPrefix(instance, drainerPrefix):
			return fmt.Errorf("%s belongs to %s: %w", group, other, bus.ErrOwned)
		case time.Now().After(deadline):
			return fmt.Errorf("%s belongs to another process, %s, which is alive: stop that one, or give this one another --id: %w", group, other, bus.ErrOwned)
		}
		if !pause(ctx, 300*time.Millisecond) {
			return fmt.Errorf("%s belongs to another process, %s: stop that one, or give this one another --id: %w", group, other, errors.Join(bus.ErrOwned, ctx.Err()))
		}
	}
}

// otherMember names a member of the group that is not this one, nor one that an owner
// need not mind.
func (b *Bus) otherMember(group, instance string) (string, error) {
	admin, err := sarama.NewClusterAdminFromClient(b.admin)
	if err != nil {
		return "", fmt.Errorf("ask who holds %s: %w", group, err)
	}
	groups, err := admin.DescribeConsumerGroups([]string{group})
	if err != nil {
		return "", fmt.Errorf("ask who holds %s: %w", group, err)
	}
	for _, g := range groups {
		for _, m := range g.Members {
			switch {
			case m.GroupInstanceId == nil:
				return m.ClientId, nil
			case *m.GroupInstanceId == instance, strings.HasPrefix(*m.GroupInstanceId, drainerPrefix) && !strings.HasPrefix(instance, drainerPrefix):
			default:
				return *m.GroupInstanceId, nil
			}
		}
	}
	return "", nil
}

// pause waits, and reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
