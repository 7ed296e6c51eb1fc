package encryption

import (
	"context"
	"errors"
	"fmt"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Documents are the entities that Reencrypt goes through.
type Documents interface {
	// EntityIDs returns keys of entities behind after in their order, at most limit.
	EntityIDs(ctx context.Context, after entity.DocID, limit int) ([]entity.DocID, error)
	// Entity and Put are those of store.EntityStore.
	Entity(ctx context.Context, id entity.DocID) (entity.Entity, error)
	Put(ctx context.Context, e entity.Entity) error
}

// Progress of a Reencrypt.
type Progress struct {
	// Read counts entities, Rewritten those that were not as they should be.
	Read, Rewritten int
	// Failed names values that stay as they are, for no key opens them.
	Failed []Failure
}

// Failure is a parameter, an annotation, or a whole document that was left.
type Failure struct {
	ID entity.DocID
	// Name is "" for a document that cannot be read.
	Name string
	Err  error
}

const (
	// pageSize is how many keys are read at a time.
	pageSize = 500
	// maxConflicts is how often a document may change under our hands.
	maxConflicts = 100
)

// Reencrypt brings all parameters of actions and packages, and the webhooks and
// encrypted annotations of triggers, under the current key, or decrypts them if encryption is
// off. Versions and times of the entities stay. It may run beside a server whose
// keyring has the same keys: an entity that somebody else writes is read again. It
// calls report, unless nil, after every few hundred entities.
func (k *Keyring) Reencrypt(ctx context.Context, d Documents, report func(Progress)) (Progress, error) {
	var p Progress
	after := entity.DocID("")
	for {
		ids, err := d.EntityIDs(ctx, after, pageSize)
		if err != nil || len(ids) == 0 {
			return p, err
		}
		for _, id := range ids {
			if err := k.reencryptOne(ctx, d, id, &p); err != nil {
				return p, fmt.Errorf("%s: %w", id, err)
			}
		}
		after = ids[len(ids)-1]
		if report != nil {
			report(p)
		}
	}
}

func (k *Keyring) reencryptOne(ctx context.Context, d Documents, id entity.DocID, p *Progress) error {
	for range maxConflicts {
		e, err := d.Entity(ctx, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil // deleted meanwhile
		case errors.Is(err, entity.ErrUnreadable):
			p.Read++
			p.Failed = append(p.Failed, Failure{ID: id, Err: entity.ErrUnreadable})
			return nil
		case err != nil:
			return err
		}
		changed, failed := k.rewrite(e)
		if changed {
			if err := d.Put(ctx, e); errors.Is(err, store.ErrConflict) {
				continue
			} else if err != nil {
				return err
			}
			p.Rewritten++
		}
		p.Read++
		p.Failed = append(p.Failed, failed...)
		return nil
	}
	return errors.New("it changes all the time; try again when fewer clients write")
}

// rewrite brings what is encrypted of e, or should be, into its present form.
func (k *Keyring) rewrite(e entity.Entity) (changed bool, failed []Failure) {
	id := e.Head().ID()
	switch e := e.(type) {
	case *entity.Action:
		return k.rewriteList(id, &e.Parameters, !e.Exec.IsSequence())
	case *entity.Package:
		return k.rewriteList(id, &e.Parameters, true)
	case *entity.Trigger:
		// Annotations are not encrypted but for webhooks, and for those that were sealed
		// on purpose.
		only := make(entity.Parameters, 0, len(e.Annotations))
		for _, a := range e.Annotations {
			if a.Encryption != "" || a.Key == entity.WebhookAnnotation {
				only = append(only, a)
			}
		}
		changed, failed = k.rewriteList(id, &only, true)
		e.Annotations = e.Annotations.Merge(only)
	}
	return changed, failed
}

// rewriteList rewrites the values of a list; isSecret says that they are to be
// encrypted while encryption is on.
func (k *Keyring) rewriteList(id entity.DocID, list *entity.Parameters, isSecret bool) (changed bool, failed []Failure) {
	out := make(entity.Parameters, len(*list))
	for i, q := range *list {
		r, err := k.rewriteOne(q, isSecret && k.IsOn())
		if err != nil {
			failed = append(failed, Failure{ID: id, Name: q.Key, Err: err})
		}
		changed = changed || r.Encryption != q.Encryption || string(r.Value) != string(q.Value)
		out[i] = r
	}
	*list = out
	return changed, failed
}

func (k *Keyring) rewriteOne(q entity.Parameter, encrypt bool) (entity.Parameter, error) {
	if encrypt {
		var text string
		if text, _ = (entity.Parameters{q}).String(q.Key); k.isCurrent(q.Encryption, text) {
			return q, nil
		}
	}
	plain, err := k.unlock(q)
	switch {
	case errors.Is(err, ErrFormat):
		return q, nil // marked by whoever sent it: no key ever opens it, so none is missed
	case err != nil:
		return q, err
	case encrypt && plain.IsDefined():
		return k.lock(plain), nil
	}
	return plain, nil
}
