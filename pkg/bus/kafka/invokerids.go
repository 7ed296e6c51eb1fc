package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// wireClaim is a claim of an id by an invoker. Claims are kept for ever, and their order
// in the topic decides: each new name has the smallest id that was not claimed before
// it.
type wireClaim struct {
	UniqueName string `json:"uniqueName"`
	// ID is set by those who chose theirs themselves.
	ID *int `json:"id,omitempty"`
}

// ClaimInvokerID returns the id of this process's unique name among the invokers of the
// cluster: the one that it had before, or a new one.
func (b *Bus) ClaimInvokerID(ctx context.Context) (entity.InvokerID, error) {
	return b.claimID(ctx, wireClaim{UniqueName: b.unique})
}

// ReserveInvokerID says that this process has chosen its id, so that no other is given
// it.
func (b *Bus) ReserveInvokerID(ctx context.Context, id entity.InvokerID) error {
	n := int(id)
	_, err := b.claimID(ctx, wireClaim{UniqueName: b.unique, ID: &n})
	return err
}

func (b *Bus) claimID(ctx context.Context, claim wireClaim) (entity.InvokerID, error) {
	if err := b.ensure(ctx, invokerIDsTopic, always); err != nil {
		return 0, err
	}
	claims, err := b.invokerClaims(ctx)
	if err != nil {
		return 0, err
	}
	if id, ok := claims[claim.UniqueName]; ok && (claim.ID == nil || *claim.ID == id) {
		return entity.InvokerID(id), nil
	}
	value, err := json.Marshal(claim)
	if err != nil {
		return 0, fmt.Errorf("claim an id: %w", err)
	}
	if _, err := b.producer.append(ctx, b.full(invokerIDsTopic), claim.UniqueName, value); err != nil {
		return 0, fmt.Errorf("claim an id: %w", err)
	}
	if claims, err = b.invokerClaims(ctx); err != nil {
		return 0, err
	}
	id, ok := claims[claim.UniqueName]
	if claim.ID != nil && (!ok || id != *claim.ID) {
		return 0, fmt.Errorf("--id %d belongs to %s: give this process another --id, or the other's --unique-name if it takes its place", *claim.ID, whoHas(claims, *claim.ID))
	}
	if !ok {
		return 0, fmt.Errorf("the claim of %s is not in the topic %s", claim.UniqueName, b.full(invokerIDsTopic))
	}
	return entity.InvokerID(id), nil
}

// invokerClaims reads who has which id.
func (b *Bus) invokerClaims(ctx context.Context) (map[string]int, error) {
	cfg, err := b.cfg.consumer(b.clientID("ids"), b.maxMessage)
	if err != nil {
		return nil, err
	}
	client, err := b.dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ids := claims{byName: make(map[string]int), taken: make(map[int]bool)}
	topic := b.full(invokerIDsTopic)
	err = b.scan(ctx, client, topic, 0, func(m *sarama.ConsumerMessage) {
		var c wireClaim
		if err := json.Unmarshal(m.Value, &c); err != nil || c.UniqueName == "" {
			b.log.Warn("a claim of an invoker's id could not be read", zap.Int64("offset", m.Offset))
			return
		}
		ids.add(c)
	})
	if err != nil {
		return nil, fmt.Errorf("read who has which id: %w", err)
	}
	return ids.byName, nil
}

// claims applies claims in their order.
type claims struct {
	byName map[string]int
	taken  map[int]bool
}

func (c *claims) add(claim wireClaim) {
	if claim.ID != nil {
		// Who chooses an id has it unless another does; what it had before is free.
		if c.taken[*claim.ID] {
			return
		}
		delete(c.taken, c.idOf(claim.UniqueName))
		c.byName[claim.UniqueName] = *claim.ID
		c.taken[*claim.ID] = true
		return
	}
	if _, known := c.byName[claim.UniqueName]; known {
		return
	}
	id := 0
	for c.taken[id] {
		id++
	}
	c.byName[claim.UniqueName] = id
	c.taken[id] = true
}

// idOf is the id of a name, -1 if it has none.
func (c *claims) idOf(name string) int {
	if id, ok := c.byName[name]; ok {
		return id
	}
	return -1
}

// whoHas names who has an id.
func whoHas(ids map[string]int, id int) string {
	for name, n := range ids {
		if n == id {
			return name
		}
	}
	return "nobody"
}

// maxSkew is how far this machine's clock may be from the brokers'.
const maxSkew = 5 * time.Second

// CheckClock compares this machine's clock with the brokers': deadlines and the signs of
// life of a cluster need clocks that agree.
func (b *Bus) CheckClock(ctx context.Context, now func() time.Time) error {
	if err := b.ensure(ctx, clockTopic, signs); err != nil {
		return err
	}
	before := now()
	o, err := b.producer.append(ctx, b.full(clockTopic), "", []byte("{}"))
	if err != nil {
		return err
	}
	after := now()
	return compareClocks(before, o.at, after)
}

// compareClocks compares a broker's time with what this machine said before and after
// it. A broker that gives its senders' times, in a topic that was made by hand, says
// nothing.
func compareClocks(before, broker, after time.Time) error {
	var off time.Duration
	where := ""
	switch {
	case broker.IsZero():
		return nil
	case broker.After(after.Add(maxSkew)):
		off, where = broker.Sub(after), "behind"
	case broker.Before(before.Add(-maxSkew)):
		off, where = before.Sub(broker), "ahead of"
	default:
		return nil
	}
	return fmt.Errorf("this machine's clock is %s %s that of Kafka's broker: synchronise both (NTP), then start again", off.Round(time.Second), where)
}
