package couchdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-kivik/kivik/v4"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Subjects returns the store of subjects and limits.
func (db *DB) Subjects() store.SubjectStore { return &subjects{db} }

type subjects struct{ db *DB }

// Subject implements store.SubjectStore.
func (s *subjects) Subject(ctx context.Context, name string) (*entity.Subject, error) {
	raw, err := get(ctx, s.db.subjects, name)
	if err != nil {
		return nil, fmt.Errorf("read the subject %s: %w", name, err)
	}
	subject := &entity.Subject{}
	var h header
	if err := errors.Join(json.Unmarshal(raw, subject), json.Unmarshal(raw, &h)); err != nil {
		return nil, fmt.Errorf("read the subject %s: %w: %w", name, entity.ErrUnreadable, err)
	}
	subject.Name, subject.Revision = name, h.Rev
	if len(subject.Namespaces) == 0 {
		subject.Namespaces = nil
	}
	return subject, nil
}

// PutSubject implements store.SubjectStore.
func (s *subjects) PutSubject(ctx context.Context, subject *entity.Subject) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stored := *subject
	if stored.Namespaces == nil {
		stored.Namespaces = []entity.SubjectNamespace{}
	}
	document, err := entity.EncodeJSON(stored)
	if err != nil {
		return fmt.Errorf("put subject %s: %w", subject.Name, err)
	}
	var options []kivik.Option
	if subject.Revision != "" {
		options = append(options, kivik.Rev(subject.Revision))
	}
	rev, err := s.db.subjects.Put(ctx, subject.Name, json.RawMessage(document), options...)
	if err != nil {
		return fmt.Errorf("put subject %s: %w", subject.Name, translate(err))
	}
	subject.Revision = rev
	return nil
}

// DeleteSubject implements store.SubjectStore.
func (s *subjects) DeleteSubject(ctx context.Context, subject *entity.Subject) error {
	if err := remove(ctx, s.db.subjects, subject.Name, subject.Revision); err != nil {
		return fmt.Errorf("delete subject %s: %w", subject.Name, err)
	}
	return nil
}

// IdentityByUUID implements store.SubjectStore.
func (s *subjects) IdentityByUUID(ctx context.Context, uuid string) (*entity.Identity, error) {
	list, err := s.identities(ctx, map[string]any{"startkey": []any{uuid}, "endkey": []any{uuid, after}})
	if err != nil {
		return nil, err
	}
	// A namespace may have the name of a uuid; its key has the same beginning.
	for _, id := range list {
		if id.Key.UUID == uuid {
			return id, nil
		}
	}
	return nil, store.ErrNotFound
}

// Identities implements store.SubjectStore.
func (s *subjects) Identities(ctx context.Context, namespace string, limit int) ([]*entity.Identity, error) {
	p := map[string]any{"key": []any{namespace}}
	if limit > 0 {
		p["limit"] = limit
	}
	return s.identities(ctx, p)
}

// identities reads the view with the limits that its rows link to.
func (s *subjects) identities(ctx context.Context, p map[string]any) ([]*entity.Identity, error) {
	p["include_docs"] = true
	rows, err := query(ctx, s.db.subjects, subjectsDesign, "identities", p)
	if err != nil {
		return nil, fmt.Errorf("look up identities: %w", err)
	}
	list := make([]*entity.Identity, 0, len(rows))
	for _, r := range rows {
		var v struct{ Namespace, UUID, Key string }
		if err := json.Unmarshal(r.Value, &v); err != nil {
			return nil, fmt.Errorf("look up identities: %w", err)
		}
		id := &entity.Identity{Subject: r.ID, Namespace: v.Namespace, Key: entity.AuthKey{UUID: v.UUID, Key: v.Key}}
		if r.Doc != nil {
			id.Limits = parseLimits(r.Doc)
		}
		list = append(list, id)
	}
	return list, nil
}

// parseLimits falls back to the system's limits where a document cannot be read, as
// OpenWhisk does (openwhisk-invoker.md 6.4).
func parseLimits(raw []byte) entity.UserLimits {
	var l entity.UserLimits
	if err := json.Unmarshal(raw, &l); err != nil {
		return entity.UserLimits{}
	}
	return l
}

func limitsID(namespace string) string { return namespace + "/limits" }

// Limits implements store.SubjectStore.
func (s *subjects) Limits(ctx context.Context, namespace string) (*entity.UserLimits, error) {
	raw, err := get(ctx, s.db.subjects, limitsID(namespace))
	if err != nil {
		return nil, fmt.Errorf("read the limits of %s: %w", namespace, err)
	}
	l := parseLimits(raw)
	return &l, nil
}

// PutLimits implements store.SubjectStore.
func (s *subjects) PutLimits(ctx context.Context, namespace string, l *entity.UserLimits) error {
	id := limitsID(namespace)
	for {
		var options []kivik.Option
		raw, err := get(ctx, s.db.subjects, id)
		switch {
		case err == nil:
			var h header
			if err := json.Unmarshal(raw, &h); err != nil {
				return fmt.Errorf("put the limits of %s: %w", namespace, err)
			}
			options = append(options, kivik.Rev(h.Rev))
		case !errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("put the limits of %s: %w", namespace, err)
		}
		_, err = s.db.subjects.Put(ctx, id, json.RawMessage(l.AppendJSON(nil)), options...)
		if err = translate(err); !errors.Is(err, store.ErrConflict) {
			if err != nil {
				return fmt.Errorf("put the limits of %s: %w", namespace, err)
			}
			return nil
		}
	}
}

// DeleteLimits implements store.SubjectStore.
func (s *subjects) DeleteLimits(ctx context.Context, namespace string) error {
	for {
		raw, err := get(ctx, s.db.subjects, limitsID(namespace))
		var h header
		if err == nil {
			err = json.Unmarshal(raw, &h)
		}
		if err == nil {
			err = remove(ctx, s.db.subjects, limitsID(namespace), h.Rev)
		}
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("delete the limits of %s: %w", namespace, err)
		}
		return nil
	}
}

// BlockedNamespaces returns the namespaces that may run nothing.
func (db *DB) BlockedNamespaces(ctx context.Context) ([]string, error) {
	rs := db.subjects.Query(ctx, throttlingDesign, "blockedNamespaces", kivik.Params(map[string]any{"reduce": false}))
	defer rs.Close()
	var names []string
	for rs.Next() {
		var name string
		if err := rs.ScanKey(&name); err != nil {
			return nil, fmt.Errorf("read which namespaces are blocked: %w", err)
		}
		names = append(names, name)
	}
	if err := rs.Err(); err != nil {
		return nil, fmt.Errorf("read which namespaces are blocked: %w", err)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}
