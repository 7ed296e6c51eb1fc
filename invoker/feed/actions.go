package feed

import (
	"context"
	"fmt"

	"github.com/maypok86/otter/v2"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// EntitySource reads entities; store.EntityStore is one.
type EntitySource interface {
	Entity(ctx context.Context, id entity.DocID) (entity.Entity, error)
}

// Unlocker decrypts parameters; encryption.Keyring is one.
type Unlocker interface {
	// Unlock returns p with the values decrypted for which it has a key.
	Unlock(p entity.Parameters) entity.Parameters
}

// Runnable is an action as the invoker runs it, without code.
type Runnable struct {
	*entity.Action
	// identity tells which warm containers may serve it, see entity.Action.Identity.
	identity string
}

// reuseKey names the containers that may serve the action warm for a namespace:
// no two namespaces share one, whosever the action is.
func (r *Runnable) reuseKey(namespace string) string { return namespace + "\x00" + r.identity }

// cacheBytes bounds the memory of cached actions, roughly.
const cacheBytes = 64 << 20

// Actions finds the actions that messages name. It keeps the documents it has
// read, without code. Safe for concurrent use.
type Actions struct {
	source EntitySource
	keys   Unlocker
	cache  *otter.Cache[entity.DocID, *Runnable]
}

// NewActions returns an empty cache over source, whose parameters keys decrypts.
func NewActions(source EntitySource, keys Unlocker) *Actions {
	return &Actions{source: source, keys: keys, cache: otter.Must(&otter.Options[entity.DocID, *Runnable]{
		MaximumWeight: cacheBytes,
		Weigher: func(_ entity.DocID, a *Runnable) uint32 {
			return uint32(min(1024+a.Parameters.Size()+a.Annotations.Size(), cacheBytes))
		},
	})}
}

// Cached returns the action if it is known in the revision that m names.
func (c *Actions) Cached(m *bus.ActivationMessage) (*Runnable, bool) {
	a, ok := c.cache.GetIfPresent(m.Action.ID())
	if !ok || a.Revision != m.Revision {
		return nil, false
	}
	return a, true
}

// Fetch reads the action that m names, in its newest revision: when it was
// changed after m was sent, the change counts (openwhisk-invoker.md 6.10).
func (c *Actions) Fetch(ctx context.Context, m *bus.ActivationMessage) (*Runnable, error) {
	e, err := c.source.Entity(ctx, m.Action.ID())
	if err != nil {
		c.cache.Invalidate(m.Action.ID())
		return nil, err
	}
	a, ok := e.(*entity.Action)
	if !ok {
		return nil, fmt.Errorf("%s is a %s: %w", m.Action, e.Type(), entity.ErrUnreadable)
	}
	r := &Runnable{Action: a, identity: c.identity(a)}
	c.cache.Set(m.Action.ID(), r)
	return r, nil
}

// identity is the action's as if its parameters were not encrypted: the same value
// encrypted again is no reason to leave a warm container.
func (c *Actions) identity(a *entity.Action) string {
	plain := *a
	plain.Parameters = c.keys.Unlock(a.Parameters)
	return plain.Identity()
}

// Close ends the cache's goroutines.
func (c *Actions) Close() { c.cache.StopAllGoroutines() }
