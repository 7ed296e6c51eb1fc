// Package catalog gives the controller its entities: the store behind a cache, so
// that a warm invocation reads no database, and the resolution of an action's
// address through its package or binding (openwhisk-rest-api.md sections 8.5, 9.1
// and 13.6).
//
// Entities that Entity and Resolve return are shared: nobody may change them.
// Whoever wants to change one reads it with Fresh.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// ErrWrongType: an entity by this name exists in another collection.
var ErrWrongType = errors.New("the entity belongs to another collection")

// loadTimeout bounds a read of the store: callers share it, so it must not
// depend on the request of the first of them.
const loadTimeout = 10 * time.Second

// Catalog is safe for concurrent use.
type Catalog struct {
	store     store.EntityStore
	entities  *otter.Cache[entity.DocID, entity.Entity]
	callables *otter.Cache[entity.DocID, *Callable]
	announce  *announcements // nil if there are no other controllers
}

// New returns a catalog that keeps at most capacity entities (without code) in
// memory, each for at most ttl after it was read: the bound on how long a write by
// another process that nobody announced (Invalidate) stays unseen. Call Close
// when done.
func New(s store.EntityStore, capacity int, ttl time.Duration) (*Catalog, error) {
	entities, err := otter.New(&otter.Options[entity.DocID, entity.Entity]{
		MaximumSize:      capacity,
		ExpiryCalculator: otter.ExpiryWriting[entity.DocID, entity.Entity](ttl),
	})
	if err != nil {
		return nil, fmt.Errorf("entity cache of %d entries: %w", capacity, err)
	}
	callables, err := otter.New(&otter.Options[entity.DocID, *Callable]{MaximumSize: capacity})
	if err != nil {
		return nil, fmt.Errorf("action cache of %d entries: %w", capacity, err)
	}
	return &Catalog{store: s, entities: entities, callables: callables}, nil
}

// Close ends the caches' goroutines.
func (c *Catalog) Close() {
	c.entities.StopAllGoroutines()
	c.callables.StopAllGoroutines()
}

// Entity returns the entity, possibly from the cache; errors are those of
// store.EntityStore.Entity.
func (c *Catalog) Entity(ctx context.Context, id entity.DocID) (entity.Entity, error) {
	if e, ok := c.entities.GetIfPresent(id); ok {
		return e, nil
	}
	return c.entities.Get(ctx, id, otter.LoaderFunc[entity.DocID, entity.Entity](c.load))
}

// Remembers reports whether Entity has no need to read the store for id.
func (c *Catalog) Remembers(id entity.DocID) bool {
	_, ok := c.entities.GetIfPresent(id)
	return ok
}

func (c *Catalog) load(ctx context.Context, id entity.DocID) (entity.Entity, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
	defer cancel()
	return c.store.Entity(ctx, id)
}

// Fresh returns the stored entity, past the cache. The caller owns it.
func (c *Catalog) Fresh(ctx context.Context, id entity.DocID) (entity.Entity, error) {
	return c.store.Entity(ctx, id)
}

// Put stores e as store.EntityStore.Put and makes everyone see it.
func (c *Catalog) Put(ctx context.Context, e entity.Entity) error {
	err := c.store.Put(ctx, e)
	// A failed write may have been made all the same, when its outcome is unknown.
	c.wrote(ctx, e.Head().ID(), err)
	return err
}

// Delete removes e as store.EntityStore.Delete and makes everyone see it.
func (c *Catalog) Delete(ctx context.Context, e entity.Entity) error {
	err := c.store.Delete(ctx, e)
	c.wrote(ctx, e.Head().ID(), err)
	return err
}

// Invalidate forgets an entity that was written elsewhere. Reads that are under
// way are not remembered either.
func (c *Catalog) Invalidate(id entity.DocID) {
	c.entities.Invalidate(id)
	c.callables.Invalidate(id)
}

// InvalidateAll forgets everything.
func (c *Catalog) InvalidateAll() {
	c.entities.InvalidateAll()
	c.callables.InvalidateAll()
}

// As returns e as the type that a collection holds, or ErrWrongType.
func As[E entity.Entity](e entity.Entity, err error) (E, error) {
	var none E
	if err != nil {
		return none, err
	}
	typed, ok := e.(E)
	if !ok {
		return none, ErrWrongType
	}
	return typed, nil
}
