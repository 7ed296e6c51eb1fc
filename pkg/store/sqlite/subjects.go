package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Subjects returns the store of subjects and limits.
func (db *DB) Subjects() store.SubjectStore { return &subjects{db: db} }

type subjects struct{ db *DB }

func (s *subjects) Subject(ctx context.Context, name string) (*entity.Subject, error) {
	var found *entity.Subject
	err := s.db.look(ctx, `SELECT s.revision, s.blocked, i.namespace, i.uuid, i.key
		FROM subjects s LEFT JOIN identities i ON i.subject = s.name WHERE s.name = ? ORDER BY i.position`, func(r *Row) error {
		if found == nil {
			found = &entity.Subject{Name: name, Blocked: r.Int64(1) != 0, Revision: formatRevision(r.Int64(0))}
		}
		if !r.IsNull(2) {
			key := entity.AuthKey{UUID: r.String(3), Key: r.String(4)}
			found.Namespaces = append(found.Namespaces, entity.SubjectNamespace{Name: r.String(2), AuthKey: key})
		}
		return nil
	}, name)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, store.ErrNotFound
	}
	return found, nil
}

func (s *subjects) PutSubject(ctx context.Context, subject *entity.Subject) error {
	var revision int64
	err := s.db.Write(ctx, func(tx *Tx) error {
		current, err := subjectRevision(tx, subject.Name)
		if err != nil {
			return err
		}
		if mustCreate := subject.Revision == ""; mustCreate != (current == 0) || !mustCreate && current != parseRevision(subject.Revision) {
			return store.ErrConflict
		}
		if revision, err = nextRevision(tx); err != nil {
			return err
		}
		return writeSubject(tx, subject, revision)
	})
	if err != nil {
		return fmt.Errorf("put subject %s: %w", subject.Name, err)
	}
	subject.Revision = formatRevision(revision)
	return nil
}

func subjectRevision(tx *Tx, name string) (revision int64, err error) {
	err = tx.Query(`SELECT revision FROM subjects WHERE name = ?`, func(r *Row) error { revision = r.Int64(0); return nil }, name)
	return revision, err
}

func writeSubject(tx *Tx, subject *entity.Subject, revision int64) error {
	if _, err := tx.Exec(`INSERT OR REPLACE INTO subjects (name, revision, blocked) VALUES (?,?,?)`, subject.Name, revision, boolean(subject.Blocked)); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM identities WHERE subject = ?`, subject.Name); err != nil {
		return err
	}
	for i, n := range subject.Namespaces {
		if _, err := tx.Exec(`INSERT INTO identities (subject, position, namespace, uuid, key) VALUES (?,?,?,?,?)`, subject.Name, i, n.Name, n.UUID, n.Key); err != nil {
			return err
		}
	}
	return nil
}

func (s *subjects) DeleteSubject(ctx context.Context, subject *entity.Subject) error {
	err := s.db.Write(ctx, func(tx *Tx) error {
		current, err := subjectRevision(tx, subject.Name)
		switch {
		case err != nil:
			return err
		case current == 0:
			return store.ErrNotFound
		case current != parseRevision(subject.Revision):
			return store.ErrConflict
		}
		if _, err := tx.Exec(`DELETE FROM identities WHERE subject = ?`, subject.Name); err != nil {
			return err
		}
		_, err = tx.Exec(`DELETE FROM subjects WHERE name = ?`, subject.Name)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete subject %s: %w", subject.Name, err)
	}
	return nil
}

const selectIdentities = `SELECT i.subject, i.namespace, i.uuid, i.key, l.document
	FROM identities i JOIN subjects s ON s.name = i.subject AND s.blocked = 0
	LEFT JOIN limits l ON l.namespace = i.namespace`

func (s *subjects) IdentityByUUID(ctx context.Context, uuid string) (*entity.Identity, error) {
	list, err := s.identities(ctx, selectIdentities+` WHERE i.uuid = ? ORDER BY i.subject, i.position LIMIT 1`, uuid)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, store.ErrNotFound
	}
	return list[0], nil
}

func (s *subjects) Identities(ctx context.Context, namespace string, limit int) ([]*entity.Identity, error) {
	return s.identities(ctx, selectIdentities+` WHERE i.namespace = ? ORDER BY i.subject, i.position LIMIT ?`, namespace, sqlLimit(limit))
}

func (s *subjects) identities(ctx context.Context, query string, args ...any) ([]*entity.Identity, error) {
	var list []*entity.Identity
	err := s.db.look(ctx, query, func(r *Row) error {
		id := &entity.Identity{Subject: r.String(0), Namespace: r.String(1), Key: entity.AuthKey{UUID: r.String(2), Key: r.String(3)}}
		if limits, ok := parseLimits(r.Bytes(4)); ok {
			id.Limits = *limits
		}
		list = append(list, id)
		return nil
	}, args...)
	return list, err
}

// BlockedNamespaces returns the namespaces that may run nothing: by their limits
// (openwhisk-rest-api.md 20.2), or because all their subjects are blocked.
func (db *DB) BlockedNamespaces(ctx context.Context) (names []string, err error) {
	err = db.look(ctx, `SELECT namespace FROM limits WHERE json_valid(document)
			AND (json_extract(document, '$.invocationsPerMinute') = 0 OR json_extract(document, '$.concurrentInvocations') = 0)
		UNION SELECT i.namespace FROM subjects s JOIN identities i ON i.subject = s.name WHERE s.blocked = 1
			AND NOT EXISTS (SELECT 1 FROM identities o JOIN subjects t ON t.name = o.subject AND t.blocked = 0 WHERE o.namespace = i.namespace)`,
		func(r *Row) error {
			names = append(names, r.String(0))
			return nil
		})
	return names, err
}

// parseLimits reads a limits document. What cannot be read counts as absent, as
// a whole (openwhisk-rest-api.md 20.2).
func parseLimits(document []byte) (*entity.UserLimits, bool) {
	if document == nil {
		return nil, false
	}
	l := new(entity.UserLimits)
	if json.Unmarshal(document, l) != nil {
		return nil, false
	}
	return l, true
}

func (s *subjects) Limits(ctx context.Context, namespace string) (*entity.UserLimits, error) {
	var document []byte
	err := s.db.look(ctx, `SELECT document FROM limits WHERE namespace = ?`, func(r *Row) error { document = r.Bytes(0); return nil }, namespace)
	if err != nil {
		return nil, err
	}
	l, ok := parseLimits(document)
	if !ok {
		return nil, store.ErrNotFound
	}
	return l, nil
}

func (s *subjects) PutLimits(ctx context.Context, namespace string, l *entity.UserLimits) error {
	document := string(l.AppendJSON(nil))
	return s.db.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(`INSERT OR REPLACE INTO limits (namespace, document) VALUES (?,?)`, namespace, document)
		return err
	})
}

func (s *subjects) DeleteLimits(ctx context.Context, namespace string) error {
	return s.db.Write(ctx, func(tx *Tx) error {
		n, err := tx.Exec(`DELETE FROM limits WHERE namespace = ?`, namespace)
		if err == nil && n == 0 {
			return store.ErrNotFound
		}
		return err
	})
}
