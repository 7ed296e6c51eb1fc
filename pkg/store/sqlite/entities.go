package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Entities returns the store of actions, packages, triggers and rules.
func (db *DB) Entities() store.EntityStore { return &entities{db: db} }

type entities struct{ db *DB }

func (s *entities) Entity(ctx context.Context, id entity.DocID) (found entity.Entity, err error) {
	var revision int64
	var document []byte
	err = s.db.look(ctx, `SELECT seq, document FROM entities WHERE id = ?`, func(r *Row) error {
		revision, document = r.Int64(0), r.Bytes(1)
		return nil
	}, string(id))
	if err != nil {
		return nil, err
	}
	if revision == 0 {
		return nil, store.ErrNotFound
	}
	e, err := entity.ParseDocument(document)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	e.Head().Revision = formatRevision(revision)
	return e, nil
}

// EntityIDs returns the keys of entities of all namespaces behind after in their
// order, at most limit: how to go through all of them.
func (db *DB) EntityIDs(ctx context.Context, after entity.DocID, limit int) ([]entity.DocID, error) {
	var ids []entity.DocID
	err := db.scan(ctx, `SELECT id FROM entities WHERE id > ? ORDER BY id LIMIT ?`, func(r *Row) error {
		ids = append(ids, entity.DocID(r.String(0)))
		return nil
	}, string(after), limit)
	return ids, err
}

// A revision is the row's seq; nobody else looks into it.
func formatRevision(seq int64) string { return strconv.FormatInt(seq, 10) }

// parseRevision returns 0, which no row has, for what is not a revision of this
// store.
func parseRevision(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// nextRevision returns a number that was never a revision in this file.
func nextRevision(tx *Tx) (n int64, err error) {
	if _, err := tx.Exec(`UPDATE sequences SET value = value + 1 WHERE name = 'revision'`); err != nil {
		return 0, err
	}
	err = tx.Query(`SELECT value FROM sequences WHERE name = 'revision'`, func(r *Row) error { n = r.Int64(0); return nil })
	return n, err
}

func (s *entities) Put(ctx context.Context, e entity.Entity) error {
	row := newEntityRow(e)
	err := s.db.Write(ctx, row.put)
	if err != nil {
		return fmt.Errorf("put %s: %w", row.id, err)
	}
	e.Head().Revision = formatRevision(row.seq)
	return nil
}

// entityRow is an entity encoded, ready to be written.
type entityRow struct {
	id, kind, namespace, path string
	updated, packaged, public int64
	summary, document         []byte
	code                      *code // nil keeps what is stored
	replaces                  int64 // 0 to create
	mustCreate                bool
	seq                       int64 // set by put
}

func newEntityRow(e entity.Entity) *entityRow {
	h := e.Head()
	row := &entityRow{
		id: string(h.ID()), kind: string(e.Type()), namespace: h.Namespace.Namespace(), path: string(h.Namespace), updated: h.Updated,
		summary: e.AppendSummary(nil), document: entity.AppendDocument(nil, e),
		packaged: boolean(h.Namespace.Package() != ""),
		replaces: parseRevision(h.Revision), mustCreate: h.Revision == "",
	}
	switch e := e.(type) {
	case *entity.Package:
		row.public = boolean(e.Publish && e.Binding == nil)
	case *entity.Action:
		if e.Exec.Code != nil {
			row.code = encodeCode(*e.Exec.Code)
		}
	}
	if e.Type() != entity.TypeAction {
		row.code = &code{} // what an action of this name may have left
	}
	return row
}

func (row *entityRow) put(tx *Tx) error {
	old, err := tx.stored(row.id)
	if err != nil {
		return err
	}
	current := old.seq
	if row.mustCreate != (current == 0) || !row.mustCreate && current != row.replaces {
		return store.ErrConflict
	}
	if row.seq, err = nextRevision(tx); err != nil {
		return err
	}
	if current == 0 {
		_, err = tx.Exec(`INSERT INTO entities (seq, id, type, namespace, path, updated, packaged, public, summary, document) VALUES (?,?,?,?,?,?,?,?,?,?)`,
			row.seq, row.id, row.kind, row.namespace, row.path, row.updated, row.packaged, row.public, row.summary, row.document)
	} else {
		_, err = tx.Exec(`UPDATE entities SET seq = ?, type = ?, namespace = ?, path = ?, updated = ?, packaged = ?, public = ?, summary = ?, document = ? WHERE id = ?`,
			row.seq, row.kind, row.namespace, row.path, row.updated, row.packaged, row.public, row.summary, row.document, row.id)
	}
	if err != nil {
		return err
	}
	if current != 0 {
		tx.countEntity(old.in, current, true)
	}
	tx.countEntity(lists{row.kind, row.namespace, row.path, row.packaged, row.public, row.updated}, row.seq, false)
	if row.code == nil {
		return nil
	}
	return row.code.write(tx, row.id, row.seq, old.attachment)
}

func (s *entities) Delete(ctx context.Context, e entity.Entity) error {
	id, revision := string(e.Head().ID()), parseRevision(e.Head().Revision)
	err := s.db.Write(ctx, func(tx *Tx) error {
		old, err := tx.stored(id)
		switch {
		case err != nil:
			return err
		case old.seq == 0:
			return store.ErrNotFound
		case old.seq != revision:
			return store.ErrConflict
		}
		if err := deleteAttachment(tx, old.attachment); err != nil {
			return err
		}
		if e.Type() == entity.TypeTrigger {
			if _, err := tx.Exec(deleteDeliveries, id); err != nil {
				return err
			}
		}
		tx.countEntity(old.in, old.seq, true)
		_, err = tx.Exec(`DELETE FROM entities WHERE seq = ?`, old.seq)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete %s: %w", id, err)
	}
	return nil
}

// The selections of lists. Each is a range of one index, and the index alone
// yields the keys of a page, so what is skipped is not read.
const (
	ofNamespace = `FROM entities WHERE type = ? AND namespace = ?`
	ofPackage   = `FROM entities WHERE type = ? AND path = ? AND packaged = 1`
	ofPublic    = `FROM entities WHERE type = ? AND namespace = ? AND public = 1`

	entityPage = `SELECT e.summary FROM (SELECT seq %s AND updated <= ? ORDER BY updated DESC, seq DESC LIMIT ? OFFSET ?) k
		CROSS JOIN entities e ON e.seq = k.seq ORDER BY e.updated DESC, e.seq DESC`
)

var (
	listNamespace = fmt.Sprintf(entityPage, ofNamespace)
	listPackage   = fmt.Sprintf(entityPage, ofPackage)
	listPublic    = fmt.Sprintf(entityPage, ofPublic)
)

// listOf returns the list that q selects from, and the query of a page. A namespace's
// index holds the packaged actions too.
func listOf(q store.EntityQuery) (s series, page string) {
	s = series{entitiesOfNamespace, string(q.Type), string(q.Path)}
	switch {
	case q.PublicOnly:
		s.kind = entitiesPublic
		return s, listPublic
	case q.Path.Package() != "":
		s.kind = entitiesOfPackage
		return s, listPackage
	}
	return s, listNamespace
}

// lists are those that an entity is in.
type lists struct {
	kind, namespace, path     string
	packaged, public, updated int64
}

// countEntity notes for the tally that an entity came into its lists or left them.
func (tx *Tx) countEntity(in lists, seq int64, removed bool) {
	add := func(kind seriesKind, filter string) {
		tx.changes = append(tx.changes, change{series{kind, in.kind, filter}, in.updated, seq, removed})
	}
	add(entitiesOfNamespace, in.namespace)
	if in.packaged != 0 {
		add(entitiesOfPackage, in.path)
	}
	if in.public != 0 {
		add(entitiesPublic, in.namespace)
	}
}

// stored is what a write needs to know of the document that it replaces.
type stored struct {
	seq, attachment int64
	in              lists
}

// stored returns it for an id; its seq is 0 if there is none.
func (tx *Tx) stored(id string) (s stored, err error) {
	err = tx.Query(`SELECT seq, attachment, type, namespace, path, packaged, public, updated FROM entities WHERE id = ?`, func(r *Row) error {
		s = stored{r.Int64(0), r.Int64(1), lists{r.String(2), r.String(3), r.String(4), r.Int64(5), r.Int64(6), r.Int64(7)}}
		return nil
	}, id)
	return s, err
}

func (s *entities) List(ctx context.Context, q store.EntityQuery) ([]json.RawMessage, error) {
	selected, query := listOf(q)
	upto, skip, err := s.db.narrow(ctx, selected, math.MaxInt64, q.Skip)
	if err != nil {
		return nil, err
	}
	list := make([]json.RawMessage, 0, min(q.Limit, 200))
	err = s.db.scan(ctx, query, func(r *Row) error {
		list = append(list, r.Bytes(0))
		return nil
	}, append(selected.args(), upto, sqlLimit(q.Limit), skip)...)
	if err != nil {
		return nil, err
	}
	return list, nil
}

func (s *entities) Count(ctx context.Context, q store.EntityQuery) (int, error) {
	selected, _ := listOf(q)
	return s.db.count(ctx, selected, math.MinInt64, math.MaxInt64)
}
