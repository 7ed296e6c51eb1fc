package compose

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Recover goes on with what an earlier life of this controller left, each entry
// with the rights and limits that its caller has now. It is called once, before or
// while the composer is used, and returns when all that was left is under way
// again or has ended, or when ctx ends or the composer is closed.
//
// A store that is down is waited for.
func (c *Composer) Recover(ctx context.Context) {
	_ = c.recover(ctx, c.own) // its error is that there is no time left
}

// recover goes on with what is in a journal. Its error is that ctx ended or the composer
// was closed.
func (c *Composer) recover(ctx context.Context, l *ledger) error {
	done := make(map[entity.ActivationID]bool)
	return c.patiently(ctx, "what was unfinished when the controller stopped cannot be gone on with; trying again", nil, func(ctx context.Context) error {
		return c.deps.Journal.Unfinished(ctx, l.controller, func(e bus.Entry) error {
			if done[e.ID] {
				return nil
			}
			if err := c.resume(ctx, l, e); err != nil {
				return fmt.Errorf("go on with %s: %w", e.ID, err)
			}
			done[e.ID] = true
			return nil
		})
	})
}

// resume goes on with one entry, or ends it with a record that says why not.
func (c *Composer) resume(ctx context.Context, l *ledger, e bus.Entry) error {
	t, err := parseTask(e)
	if err != nil {
		c.deps.Log.Error("an entry of the journal could not be read; it is ended", zap.Error(err), zap.String("activationId", string(e.ID)))
		t = &task{Kind: TriggerFire, ID: e.ID, Namespace: string(e.Namespace), Version: entity.FirstVersion, Trigger: "unknown", Start: c.deps.Now().UnixMilli(), ledger: l}
		return c.end(ctx, t, t.failure("What was to be done could not be read after the controller was stopped."))
	}
	t.ledger = l
	if t.Life == l.life {
		return nil // it came while the journal was read, and is under way
	}
	c.deps.Metrics.Resumed(t.Kind)
	id, err := c.deps.Identities.IdentityByUUID(ctx, t.UUID)
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && id.Namespace != t.Namespace:
		return c.end(ctx, t, t.failure("The caller's credentials were revoked before this was finished."))
	case err != nil:
		return err
	case t.Unrecorded || !id.Limits.StoresActivations():
		// Without records nobody knows what ran, and nothing may run twice.
		c.deps.Log.Warn("the controller was stopped in the middle of something whose namespace keeps no records; it is not gone on with", t.fields()...)
		return c.end(ctx, t, nil)
	}
	if age := c.deps.Now().Sub(time.UnixMilli(t.Start)); age > c.cfg.MaxAge {
		return c.end(ctx, t, t.failure(fmt.Sprintf("The activation waited longer than %s to be gone on with and was given up.", c.cfg.MaxAge)))
	}
	if err := c.enterWaiting(ctx); err != nil {
		return err
	}
	c.start(&run{composer: c, task: t, identity: id, resumed: true})
	return nil
}

// enterWaiting is enter for those who may not be refused.
func (c *Composer) enterWaiting(ctx context.Context) error {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		<-c.slots
		return context.Canceled
	}
	c.running.Add(1)
	c.count.Add(1)
	return nil
}

// failure is the record of a task that is given up.
func (t *task) failure(text string) *entity.Activation {
	a := &entity.Activation{
		Namespace: t.namespace(), Name: t.Action.Name, Version: t.Version, Subject: t.Subject, ActivationID: t.ID,
		Start: t.Start, Response: entity.ErrorResponse(entity.StatusWhiskError, text),
	}
	if t.Kind == TriggerFire {
		a.Name = t.Trigger
		return a
	}
	duration := int64(0)
	a.End, a.Duration = t.Start, &duration
	p := &parent{action: t.Action, binding: t.Binding, topmost: true, conductor: t.Kind == Composition}
	a.Annotations = p.annotations(0)
	return a
}
