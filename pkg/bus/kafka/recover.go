package kafka

import (
	"context"
	"slices"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Recover implements bus.Queue: it reads the topic as far as the earlier owner had, and
// finds out what became of each message that owner had claimed or was moving.
func (q *Queue) Recover(ctx context.Context) ([]bus.Delivery, error) {
	ready := func() bool { return q.session != nil && q.next >= q.recoverTo }
	if err := q.await(ctx, ready); err != nil {
		return nil, err
	}
	var mine, elsewhere []item
	for offset, i := range q.held {
		if q.relays || q.window.state(offset) == moving {
			elsewhere = append(elsewhere, i)
		} else {
			mine = append(mine, i)
		}
	}
	q.mu.Unlock()
	if len(mine)+len(elsewhere) == 0 {
		return nil, nil
	}
	if err := q.settleMoved(ctx, elsewhere); err != nil {
		return nil, err
	}
	left, err := q.unrecorded(ctx, mine)
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	for n := range left {
		left[n].Attempts = q.window.attempted(left[n].Offset)
	}
	q.mu.Unlock()
	if err := q.commitNow(ctx); err != nil {
		return nil, err
	}
	return left, nil
}

// unrecorded returns those claimed messages that have no record, oldest first, and
// settles the others.
func (q *Queue) unrecorded(ctx context.Context, items []item) ([]bus.Delivery, error) {
	slices.SortFunc(items, byOffset)
	deliveries := make([]bus.Delivery, len(items))
	records := make([]*entity.Activation, len(items))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallelRecords)
	for n, i := range items {
		deliveries[n] = q.delivery(i)
		m := deliveries[n].Message
		if m == nil {
			continue
		}
		group.Go(func() (err error) {
			records[n], err = q.bus.recorded(groupCtx, entity.Path(m.User.Namespace), m.ActivationID)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var left []bus.Delivery
	for n, d := range deliveries {
		if records[n] != nil {
			q.repeat(ctx, d, records[n])
		} else {
			left = append(left, d)
		}
	}
	return left, nil
}

// settleMoved settles those messages that have arrived in another queue or have a
// record; the others wait here again.
func (q *Queue) settleMoved(ctx context.Context, items []item) error {
	if len(items) == 0 {
		return nil
	}
	found, err := q.bus.unsettled(ctx, q.topic)
	if err != nil {
		return err
	}
	slices.SortFunc(items, byOffset)
	var again []item
	for _, i := range items {
		d := q.delivery(i)
		if d.Message == nil {
			again = append(again, i)
			continue
		}
		if found[d.Message.ActivationID] {
			q.markDone([]bus.Settlement{{Delivery: d}})
			continue
		}
		record, err := q.bus.recorded(ctx, entity.Path(d.Message.User.Namespace), d.Message.ActivationID)
		if err != nil {
			return err
		}
		if record != nil {
			q.repeat(ctx, d, record)
			continue
		}
		again = append(again, i)
	}
	q.log.Info("looked for what was on its way to other queues when the earlier owner died",
		zap.Int("arrived", len(items)-len(again)), zap.Int("waiting", len(again)))
	q.putBack(again)
	return nil
}

func byOffset(a, b item) int { return int(a.offset - b.offset) }
