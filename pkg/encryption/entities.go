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
// The webhook of a trigger, which has secrets that the controller needs and clients
// never see, is encrypted on the way in and decrypted on the way out.
func Entities(s store.EntityStore, keys *Keyring) store.EntityStore {
	if keys == nil {
		return s
	}
	return &entities{s, keys}
}

type entities struct {
	store.EntityStore
	keys *Keyring
}

// Entity implements store.EntityStore.
func (s *entities) Entity(ctx context.Context, id entity.DocID) (entity.Entity, error) {
	e, err := s.EntityStore.Entity(ctx, id)
	if t, ok := e.(*entity.Trigger); ok && err == nil {
		t.Annotations = onWebhook(t.Annotations, s.keys.Unlock)
	}
	return e, err
}

// onWebhook returns annotations with that of a webhook changed by f.
func onWebhook(annotations entity.Parameters, f func(entity.Parameters) entity.Parameters) entity.Parameters {
	for i, a := range annotations {
		if a.Key == entity.WebhookAnnotation {
			return annotations.With(f(annotations[i : i+1])[0])
		}
	}
	return annotations
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
	case *entity.Trigger:
		locked := *e
		locked.Annotations = onWebhook(e.Annotations, s.keys.Lock)
		stored = &locked
	}
	if err := s.EntityStore.Put(ctx, stored); err != nil {
		return err
	}
	e.Head().Revision = stored.Head().Revision
	return nil
}
