package kafka

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// parallelRecords bounds how many records are looked for or stored at the same time.
const parallelRecords = 32

// recorder is a store that takes many records at once.
type recorder interface {
	// RecordAll stores each record as store.ActivationStore.Record would.
	RecordAll(ctx context.Context, records []*entity.Activation) (stored []bool, err error)
}

// Settle implements bus.Queue. What has a record is done with that: should this process
// die before the window is committed, recovery finds it.
func (q *Queue) Settle(ctx context.Context, list ...bus.Settlement) error {
	if err := q.store(ctx, list); err != nil {
		return err
	}
	commit := false
	for _, s := range list {
		if s.Record == nil {
			commit = true
			if err := q.bury(ctx, s.Delivery); err != nil {
				return err
			}
		}
	}
	q.markDone(list)
	if !commit {
		return nil
	}
	return q.commitNow(ctx)
}

func (q *Queue) markDone(list []bus.Settlement) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.held) >= maxHeld {
		q.notify() // there is room for a claim
	}
	for _, s := range list {
		if q.relays && s.Delivery.Message != nil {
			q.bus.unsure.forget(s.Delivery.Message.ActivationID)
		}
		// What was given back meanwhile is somebody else's.
		if _, ok := q.held[s.Delivery.Offset]; ok {
			delete(q.held, s.Delivery.Offset)
			q.window.set(s.Delivery.Offset, done)
		}
	}
	q.dirty = true
}

func (q *Queue) store(ctx context.Context, list []bus.Settlement) error {
	records := make([]*entity.Activation, 0, len(list))
	for _, s := range list {
		if s.Record != nil {
			records = append(records, s.Record)
		}
	}
	return q.bus.record(ctx, records)
}

// record stores records, unless such exist.
func (b *Bus) record(ctx context.Context, records []*entity.Activation) error {
	if len(records) == 0 {
		return nil
	}
	if all, ok := b.records.(recorder); ok && len(records) > 1 {
		if _, err := all.RecordAll(ctx, records); err != nil {
			return fmt.Errorf("store %d records: %w", len(records), err)
		}
		return nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelRecords)
	for _, r := range records {
		group.Go(func() error {
			if _, err := b.records.Record(ctx, r); err != nil {
				return fmt.Errorf("store the record of %s: %w", r.ActivationID, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// bury keeps what could not be read and has no record, for people to look at.
func (q *Queue) bury(ctx context.Context, d bus.Delivery) error {
	if d.Message != nil {
		return nil
	}
	if _, err := q.bus.producer.append(ctx, q.bus.full(deadLetterTopic), q.topic, d.Raw); err != nil {
		return fmt.Errorf("keep an unreadable message: %w", err)
	}
	q.bus.metrics.DeadLetter()
	return nil
}

// recorded returns the record of an activation, nil if there is none.
func (b *Bus) recorded(ctx context.Context, namespace entity.Path, id entity.ActivationID) (*entity.Activation, error) {
	record, err := b.records.Activation(ctx, namespace, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the record of %s: %w", id, err)
	}
	return record, nil
}

// withoutRecorded settles what may have come twice and has a record. If the store
// cannot tell, the messages wait on.
func (q *Queue) withoutRecorded(ctx context.Context, list []bus.Delivery) []bus.Delivery {
	kept := list[:0]
	for _, d := range list {
		if d.Message == nil || !d.Message.Republished {
			kept = append(kept, d)
			continue
		}
		record, err := q.bus.recorded(ctx, entity.Path(d.Message.User.Namespace), d.Message.ActivationID)
		switch {
		case err != nil:
			if ctx.Err() == nil {
				q.log.Warn("the store cannot tell whether an activation has a record; it waits", zap.String("activationId", string(d.Message.ActivationID)), zap.Error(err))
				pause(ctx, retryPause)
			}
			q.giveBack(d)
		case record != nil:
			q.repeat(ctx, d, record)
		default:
			kept = append(kept, d)
		}
	}
	return kept
}

func (q *Queue) giveBack(d bus.Delivery) {
	q.mu.Lock()
	i, ok := q.held[d.Offset]
	q.mu.Unlock()
	if ok {
		q.putBack([]item{i})
	}
}

// repeat settles what has a record, and tells its controller again, which may not have
// heard.
func (q *Queue) repeat(ctx context.Context, d bus.Delivery, record *entity.Activation) {
	q.markDone([]bus.Settlement{{Delivery: d}})
	if q.relays {
		return // the invoker that recorded it has told
	}
	if err := q.bus.Complete(ctx, d.Message.Controller, completionOf(d.Message, record)); err != nil && ctx.Err() == nil {
		q.log.Warn("telling a controller failed", zap.String("activationId", string(d.Message.ActivationID)), zap.Error(err))
	}
}

// completionOf tells that an activation has ended with a record.
func completionOf(m *bus.ActivationMessage, record *entity.Activation) *bus.Completion {
	c := &bus.Completion{
		Kind: bus.Combined, Transid: m.Transid, ActivationID: m.ActivationID,
		IsSystemError: record.Response.StatusCode == entity.StatusWhiskError,
	}
	if m.Blocking {
		c.Record = record
	}
	return c
}
