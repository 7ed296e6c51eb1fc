package couchdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-kivik/kivik/v4"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Deliveries returns the store of deliveries to webhooks.
func (db *DB) Deliveries() store.DeliveryStore { return &deliveries{db} }

type deliveries struct{ db *DB }

// recordClock gives the order in which deliveries are recorded: microseconds, each
// later than the one before. A double holds them for two centuries yet.
type recordClock struct {
	mu   sync.Mutex
	last int64 // guarded by mu
}

func (c *recordClock) next() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last+1, time.Now().UnixMicro())
	return c.last
}

type deliveryDocument struct {
	Trigger   entity.DocID           `json:"trigger,omitempty"`
	ID        entity.ActivationID    `json:"id"`
	Outcome   entity.DeliveryOutcome `json:"outcome"`
	Received  int64                  `json:"received"`
	Recorded  int64                  `json:"recorded,omitempty"`
	Verify    entity.WebhookScheme   `json:"verify"`
	SenderID  string                 `json:"senderId,omitempty"`
	EventType string                 `json:"eventType,omitempty"`
	Size      int64                  `json:"size"`
	Reason    string                 `json:"reason,omitempty"`
	ResendOf  entity.ActivationID    `json:"resendOf,omitempty"`
	// Event is the JSON as a text, so that it keeps its spelling.
	Event *string `json:"event,omitempty"`
}

func (d *deliveryDocument) delivery(trigger entity.DocID) *entity.Delivery {
	out := &entity.Delivery{
		Trigger: trigger, ID: d.ID, Outcome: d.Outcome, Received: d.Received, Verify: d.Verify, SenderID: d.SenderID,
		EventType: d.EventType, Size: d.Size, Reason: d.Reason, ResendOf: d.ResendOf,
	}
	if d.Event != nil {
		out.Event = json.RawMessage(*d.Event)
	}
	return out
}

func deliveryID(trigger entity.DocID, id entity.ActivationID) string {
	return string(trigger) + "/" + string(id)
}

// Record implements store.DeliveryStore.
func (s *deliveries) Record(ctx context.Context, d *entity.Delivery) (bool, error) {
	if _, err := get(ctx, s.db.whisks, string(d.Trigger)); errors.Is(err, store.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("record the delivery %s to %s: %w", d.ID, d.Trigger, err)
	}
	stored, err := s.write(ctx, d)
	if err == nil && stored {
		err = s.trim(ctx, d.Trigger, d.Outcome == entity.DeliveryRefused)
	}
	if err != nil {
		return stored, fmt.Errorf("record the delivery %s to %s: %w", d.ID, d.Trigger, err)
	}
	return stored, nil
}

// write stores d, or replaces one with its id that was not accepted.
func (s *deliveries) write(ctx context.Context, d *entity.Delivery) (bool, error) {
	document := deliveryDocument{
		Trigger: d.Trigger, ID: d.ID, Outcome: d.Outcome, Received: d.Received, Recorded: s.db.clock.next(), Verify: d.Verify,
		SenderID: d.SenderID, EventType: d.EventType, Size: d.Size, Reason: d.Reason, ResendOf: d.ResendOf,
	}
	if d.Event != nil {
		text := string(d.Event)
		document.Event = &text
	}
	encoded, err := entity.EncodeJSON(document)
	if err != nil {
		return false, err
	}
	id := deliveryID(d.Trigger, d.ID)
	var options []kivik.Option
	for {
		_, err := s.db.deliveries.Put(ctx, id, json.RawMessage(encoded), options...)
		if err = translate(err); !errors.Is(err, store.ErrConflict) {
			return err == nil, err
		}
		raw, err := get(ctx, s.db.deliveries, id)
		if errors.Is(err, store.ErrNotFound) {
			options = nil
			continue
		}
		if err != nil {
			return false, err
		}
		var present deliveryDocument
		var h header
		if err := errors.Join(json.Unmarshal(raw, &present), json.Unmarshal(raw, &h)); err != nil {
			return false, err
		}
		if present.Outcome == entity.DeliveryAccepted {
			return false, nil
		}
		options = []kivik.Option{kivik.Rev(h.Rev)}
	}
}

// trim deletes the oldest deliveries of a trigger beyond those that are kept.
func (s *deliveries) trim(ctx context.Context, trigger entity.DocID, refused bool) error {
	keep := store.MaxDeliveries
	if refused {
		keep = store.MaxRefusedDeliveries
	}
	p := page([]any{string(trigger), refused}, []any{string(trigger), refused, after}, keep, maxBatch)
	delete(p, "reduce")
	rows, err := query(ctx, s.db.deliveries, deliveriesDesign, "byOutcome", p)
	if err != nil {
		return err
	}
	_, err = bulkDelete(ctx, s.db.deliveries, rows, revisionOf)
	return err
}

func revisionOf(r row) string {
	var rev string
	_ = json.Unmarshal(r.Value, &rev) // an empty revision conflicts
	return rev
}

// Delivery implements store.DeliveryStore.
func (s *deliveries) Delivery(ctx context.Context, trigger entity.DocID, id entity.ActivationID) (*entity.Delivery, error) {
	raw, err := get(ctx, s.db.deliveries, deliveryID(trigger, id))
	if err != nil {
		return nil, fmt.Errorf("read the delivery %s to %s: %w", id, trigger, err)
	}
	var d deliveryDocument
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("read the delivery %s to %s: %w: %w", id, trigger, entity.ErrUnreadable, err)
	}
	return d.delivery(trigger), nil
}

// List implements store.DeliveryStore.
func (s *deliveries) List(ctx context.Context, trigger entity.DocID, skip, limit int) ([]*entity.Delivery, error) {
	p := page([]any{string(trigger)}, []any{string(trigger), after}, skip, limit)
	delete(p, "reduce")
	rows, err := query(ctx, s.db.deliveries, deliveriesDesign, "byTrigger", p)
	if err != nil {
		return nil, fmt.Errorf("list the deliveries to %s: %w", trigger, err)
	}
	list := make([]*entity.Delivery, 0, len(rows))
	for _, r := range rows {
		var d deliveryDocument
		if err := json.Unmarshal(r.Value, &d); err != nil {
			return nil, fmt.Errorf("list the deliveries to %s: %w", trigger, err)
		}
		list = append(list, d.delivery(trigger))
	}
	return list, nil
}

// Expire implements store.DeliveryStore.
func (s *deliveries) Expire(ctx context.Context, before time.Time, max int) (int, error) {
	rows, err := query(ctx, s.db.deliveries, deliveriesDesign, "byReceived", map[string]any{"endkey": before.UnixMilli() - 1, "limit": max})
	if err != nil {
		return 0, fmt.Errorf("look for expired deliveries: %w", err)
	}
	n, err := bulkDelete(ctx, s.db.deliveries, rows, revisionOf)
	if err != nil {
		return n, fmt.Errorf("delete expired deliveries: %w", err)
	}
	return n, nil
}

// deleteDeliveries deletes all deliveries of a trigger.
func (db *DB) deleteDeliveries(ctx context.Context, trigger entity.DocID) error {
	for _, refused := range []bool{false, true} {
		p := page([]any{string(trigger), refused}, []any{string(trigger), refused, after}, 0, 0)
		delete(p, "reduce")
		rows, err := query(ctx, db.deliveries, deliveriesDesign, "byOutcome", p)
		if err != nil {
			return err
		}
		if _, err := bulkDelete(ctx, db.deliveries, rows, revisionOf); err != nil {
			return err
		}
	}
	return nil
}

// bulkDelete deletes the documents of rows, and returns how many were deleted. Those
// that have changed meanwhile stay.
func bulkDelete(ctx context.Context, db *kivik.DB, rows []row, rev func(row) string) (int, error) {
	if len(rows) == 0 {
		return 0, nil
	}
	docs := make([]any, len(rows))
	for n, r := range rows {
		docs[n] = map[string]any{"_id": r.ID, "_rev": rev(r), "_deleted": true}
	}
	results, err := db.BulkDocs(ctx, docs)
	if err != nil {
		return 0, err
	}
	deleted := 0
	for _, r := range results {
		if r.Error == nil {
			deleted++
		}
	}
	return deleted, nil
}
