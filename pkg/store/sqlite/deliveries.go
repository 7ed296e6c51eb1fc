package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Deliveries returns the store of deliveries to webhooks.
func (db *DB) Deliveries() store.DeliveryStore { return &deliveries{db: db} }

type deliveries struct{ db *DB }

const (
	forgetUnaccepted = `DELETE FROM deliveries WHERE owner = ? AND id = ? AND outcome <> 'accepted'`
	insertDelivery   = `INSERT INTO deliveries (owner, id, refused, outcome, received, verify, sender_id, event_type, size, reason, resend_of, event)
		SELECT ?,?,?,?,?,?,?,?,?,?,?,? WHERE EXISTS (SELECT 1 FROM entities WHERE id = ?)
		ON CONFLICT (owner, id) DO NOTHING`
	trimDeliveries = `DELETE FROM deliveries WHERE seq IN (
		SELECT seq FROM deliveries WHERE owner = ? AND refused = ? ORDER BY seq DESC LIMIT -1 OFFSET ?)`

	deliveryColumns = `d.owner, d.id, d.outcome, d.received, d.verify, d.sender_id, d.event_type, d.size, d.reason, d.resend_of`
	deliveryByID    = `SELECT ` + deliveryColumns + `, d.event FROM deliveries d WHERE d.owner = ? AND d.id = ?`
	listDeliveries  = `SELECT ` + deliveryColumns + ` FROM (
		SELECT seq FROM deliveries WHERE owner = ? ORDER BY seq DESC LIMIT ? OFFSET ?) k
		CROSS JOIN deliveries d ON d.seq = k.seq ORDER BY d.seq DESC`

	expireDeliveries = `DELETE FROM deliveries WHERE seq IN (SELECT seq FROM deliveries WHERE received < ? ORDER BY received LIMIT ?)`
	deleteDeliveries = `DELETE FROM deliveries WHERE owner = ?`
)

func (s *deliveries) Record(ctx context.Context, d *entity.Delivery) (stored bool, err error) {
	refused, keep := d.Outcome == entity.DeliveryRefused, store.MaxDeliveries
	if refused {
		keep = store.MaxRefusedDeliveries
	}
	err = s.db.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Exec(forgetUnaccepted, string(d.Trigger), string(d.ID)); err != nil {
			return err
		}
		n, err := tx.Exec(insertDelivery, string(d.Trigger), string(d.ID), boolean(refused), string(d.Outcome), d.Received, string(d.Verify),
			d.SenderID, d.EventType, d.Size, d.Reason, string(d.ResendOf), []byte(d.Event), string(d.Trigger))
		if stored = n > 0; err != nil || !stored {
			return err
		}
		_, err = tx.Exec(trimDeliveries, string(d.Trigger), boolean(refused), keep)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("record the delivery %s to %s: %w", d.ID, d.Trigger, err)
	}
	return stored, nil
}

func (s *deliveries) Delivery(ctx context.Context, trigger entity.DocID, id entity.ActivationID) (found *entity.Delivery, err error) {
	err = s.db.look(ctx, deliveryByID, func(r *Row) error {
		found = readDelivery(r)
		found.Event = r.Bytes(10)
		return nil
	}, string(trigger), string(id))
	if err == nil && found == nil {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (s *deliveries) List(ctx context.Context, trigger entity.DocID, skip, limit int) ([]*entity.Delivery, error) {
	list := make([]*entity.Delivery, 0, min(limit, store.MaxDeliveries))
	err := s.db.scan(ctx, listDeliveries, func(r *Row) error {
		list = append(list, readDelivery(r))
		return nil
	}, string(trigger), sqlLimit(limit), skip)
	if err != nil {
		return nil, err
	}
	return list, nil
}

func readDelivery(r *Row) *entity.Delivery {
	return &entity.Delivery{
		Trigger: entity.DocID(r.String(0)), ID: entity.ActivationID(r.String(1)), Outcome: entity.DeliveryOutcome(r.String(2)),
		Received: r.Int64(3), Verify: entity.WebhookScheme(r.String(4)), SenderID: r.String(5), EventType: r.String(6),
		Size: r.Int64(7), Reason: r.String(8), ResendOf: entity.ActivationID(r.String(9)),
	}
}

func (s *deliveries) Expire(ctx context.Context, before time.Time, max int) (int, error) {
	deleted := 0
	for deleted < max {
		step := min(expireStep, max-deleted)
		var n int64
		err := s.db.Write(ctx, func(tx *Tx) (err error) {
			n, err = tx.Exec(expireDeliveries, before.UnixMilli(), step)
			return err
		})
		if err != nil {
			return deleted, fmt.Errorf("delete expired deliveries: %w", err)
		}
		deleted += int(n)
		if int(n) < step {
			break
		}
	}
	return deleted, nil
}
