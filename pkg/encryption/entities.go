package encryption

import (
	"context"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Entities returns the store with the parameters of actions and packages encrypted
// on the way in. Entities that are put keep their values, so that whoever wrote them
// can show them as they were sent; what is read is as it is stored. The one
// parameter of a sequence is set by the server, repeats its exec and is no secret.
func Entities(s store.EntityStore, keys *Keyring) store.EntityStore {
	if !keys.IsOn() {
		return s
	}
	return &entities{s, keys}
}

type entities struct {
	store.EntityStore
	keys *Keyring
}

// Put implements store.EntityStore.
func (s *entities) Put(ctx context.Context, e entity.Entity) error {
	stored := e
	switch e := e.(type) {
	case *entity.Action:
		if !e.Exec.IsSequence() {
			locked := *e
			locked.Parameters = s.keys.Lock(e.Parameters)
			stored = &locked
		}
	case *entity.Package:
		locked := *e
		locked.Parameters = s.keys.Lock(e.Parameters)
		stored = &locked
	}
	if err := s.EntityStore.Put(ctx, stored); err != nil {
		return err
	}
	e.Head().Revision = stored.Head().Revision
	return nil
}
