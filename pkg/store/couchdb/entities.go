package couchdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-kivik/kivik/v4"
	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Entities returns the store of actions, packages, triggers and rules.
func (db *DB) Entities() store.EntityStore { return &entities{db} }

type entities struct{ db *DB }

// Entity implements store.EntityStore.
func (s *entities) Entity(ctx context.Context, id entity.DocID) (entity.Entity, error) {
	raw, err := get(ctx, s.db.whisks, string(id))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", id, err)
	}
	e, err := parseEntity(raw)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", id, err)
	}
	return e, nil
}

func parseEntity(raw []byte) (entity.Entity, error) {
	text, err := original(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", entity.ErrUnreadable, err)
	}
	e, err := entity.ParseDocument(text)
	if err != nil {
		return nil, err
	}
	e.Head().Annotations = restore(e.Head().Annotations)
	e.Head().Revision = gjson.GetBytes(raw, "_rev").String()
	return e, nil
}

// Code implements store.EntityStore.
func (s *entities) Code(ctx context.Context, a *entity.Action) (string, error) {
	id := string(a.ID())
	for {
		raw, err := get(ctx, s.db.whisks, id)
		if err != nil {
			return "", fmt.Errorf("code of %s: %w", id, err)
		}
		p, err := locateCode(raw)
		if err != nil {
			return "", fmt.Errorf("code of %s: %w", id, err)
		}
		if p.attachment == "" {
			return p.text, nil
		}
		content, err := s.attachment(ctx, id, p.attachment, gjson.GetBytes(raw, "_rev").String())
		if err == nil {
			return p.asText(content), nil
		}
		if !errors.Is(translate(err), store.ErrNotFound) {
			return "", fmt.Errorf("code of %s: %w", id, err)
		}
		// It was replaced between the two reads; if it was not, it is lost.
		again, err := get(ctx, s.db.whisks, id)
		if err != nil {
			return "", fmt.Errorf("code of %s: %w", id, err)
		}
		if gjson.GetBytes(again, "_rev").String() == gjson.GetBytes(raw, "_rev").String() {
			return "", fmt.Errorf("code of %s: %w: its attachment %s is missing", id, entity.ErrUnreadable, p.attachment)
		}
	}
}

func (s *entities) attachment(ctx context.Context, id, name, rev string) ([]byte, error) {
	a, err := s.db.whisks.GetAttachment(ctx, id, name, kivik.Rev(rev))
	if err != nil {
		return nil, err
	}
	defer a.Content.Close()
	return io.ReadAll(a.Content)
}

// Put implements store.EntityStore.
func (s *entities) Put(ctx context.Context, e entity.Entity) error {
	id := e.Head().ID()
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := s.codeFor(ctx, e)
	if err != nil {
		return fmt.Errorf("put %s: %w", id, err)
	}
	document, err := faithful(entity.AppendDocumentWithCode(nil, e, c.reference))
	if err != nil {
		return fmt.Errorf("put %s: %w", id, err)
	}
	var options []kivik.Option
	if e.Head().Revision != "" {
		options = append(options, kivik.Rev(e.Head().Revision))
	}
	rev, err := s.db.whisks.Put(ctx, string(id), json.RawMessage(withAttachments(document, c.attachments)), options...)
	if err != nil {
		return fmt.Errorf("put %s: %w", id, translate(err))
	}
	e.Head().Revision = rev
	return nil
}

// codeFor is the code that e is stored with: its own, or what is stored now.
func (s *entities) codeFor(ctx context.Context, e entity.Entity) (code, error) {
	a, ok := e.(*entity.Action)
	switch {
	case !ok || a.Exec.IsSequence():
		return code{}, nil
	case a.Exec.Code != nil:
		return encodeCode(*a.Exec.Code)
	case a.Revision == "":
		return code{}, nil
	}
	raw, err := get(ctx, s.db.whisks, string(a.ID()))
	if errors.Is(err, store.ErrNotFound) {
		return code{}, store.ErrConflict
	}
	if err != nil {
		return code{}, err
	}
	if gjson.GetBytes(raw, "_rev").String() != a.Revision {
		return code{}, store.ErrConflict
	}
	return storedCode(raw)
}

// Delete implements store.EntityStore. The deliveries of a trigger go before it, so that
// none is left for another trigger of its name, and those that came meanwhile after it.
func (s *entities) Delete(ctx context.Context, e entity.Entity) error {
	id := e.Head().ID()
	if e.Type() == entity.TypeTrigger {
		raw, err := get(ctx, s.db.whisks, string(id))
		if err == nil && gjson.GetBytes(raw, "_rev").String() != e.Head().Revision {
			err = store.ErrConflict
		}
		if err == nil {
			err = s.db.deleteDeliveries(ctx, id)
		}
		if err != nil {
			return fmt.Errorf("delete %s: %w", id, err)
		}
	}
	if err := remove(ctx, s.db.whisks, string(id), e.Head().Revision); err != nil {
		return fmt.Errorf("delete %s: %w", id, err)
	}
	if e.Type() == entity.TypeTrigger {
		if err := s.db.deleteDeliveries(ctx, id); err != nil {
			return fmt.Errorf("delete the deliveries of %s: %w", id, err)
		}
	}
	return nil
}

// view is the view that a query reads.
func view(q store.EntityQuery) string {
	switch {
	case q.PublicOnly:
		return "packages-public"
	default:
		return string(q.Type) + "s"
	}
}

// List implements store.EntityStore.
func (s *entities) List(ctx context.Context, q store.EntityQuery) ([]json.RawMessage, error) {
	p := entityPage(q)
	if q.Type == entity.TypeRule {
		p["include_docs"] = true // the view has nothing but their keys
	}
	rows, err := query(ctx, s.db.whisks, entitiesDesign, view(q), p)
	if err != nil {
		return nil, fmt.Errorf("list the %ss of %s: %w", q.Type, q.Path, err)
	}
	list := make([]json.RawMessage, 0, len(rows))
	for _, r := range rows {
		summary, err := summarize(q.Type, r)
		if err != nil {
			continue // as OpenWhisk does: one broken document hides no others
		}
		list = append(list, summary)
	}
	return list, nil
}

func entityPage(q store.EntityQuery) map[string]any {
	return page([]any{string(q.Path), 0}, []any{string(q.Path), after, after}, q.Skip, q.Limit)
}

// Count implements store.EntityStore.
func (s *entities) Count(ctx context.Context, q store.EntityQuery) (int, error) {
	n, err := count(ctx, s.db.whisks, entitiesDesign, view(q), entityPage(q))
	if err != nil {
		return 0, fmt.Errorf("count the %ss of %s: %w", q.Type, q.Path, err)
	}
	return n, nil
}

// summarize makes the item of a list from a row.
func summarize(t entity.Type, r row) (json.RawMessage, error) {
	if t == entity.TypeRule {
		e, err := parseEntity(r.Doc)
		if err != nil {
			return nil, err
		}
		return e.AppendSummary(nil), nil
	}
	var v struct {
		Namespace   entity.Path       `json:"namespace"`
		Name        entity.Name       `json:"name"`
		Version     entity.Version    `json:"version"`
		Publish     bool              `json:"publish"`
		Annotations entity.Parameters `json:"annotations"`
		Updated     int64             `json:"updated"`
		Limits      json.RawMessage   `json:"limits"`
		Exec        struct {
			Binary bool `json:"binary"`
		} `json:"exec"`
		Binding json.RawMessage `json:"binding"`
	}
	if err := json.Unmarshal(r.Value, &v); err != nil {
		return nil, err
	}
	head := entity.Header{
		Namespace: v.Namespace, Name: v.Name, Version: v.Version, Publish: v.Publish,
		Annotations: restore(v.Annotations), Updated: v.Updated,
	}
	switch t {
	case entity.TypeAction:
		limits, err := entity.ParseStoredLimits(v.Limits)
		if err != nil {
			return nil, err
		}
		a := &entity.Action{Header: head, Exec: entity.Exec{Binary: v.Exec.Binary}, Limits: limits}
		return a.AppendSummary(nil), nil
	case entity.TypePackage:
		p := &entity.Package{Header: head}
		var ref struct{ Namespace, Name string }
		if json.Unmarshal(v.Binding, &ref) == nil && ref.Name != "" {
			p.Binding = &entity.PackageRef{Namespace: entity.Path(ref.Namespace), Name: entity.Name(ref.Name)}
		}
		return p.AppendSummary(nil), nil
	case entity.TypeTrigger:
		return (&entity.Trigger{Header: head}).AppendSummary(nil), nil
	}
	return nil, fmt.Errorf("no list of %s", t)
}

// EntityIDs returns the keys of entities of all namespaces behind after in their order,
// at most limit.
func (db *DB) EntityIDs(ctx context.Context, after entity.DocID, limit int) ([]entity.DocID, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := map[string]any{"startkey": string(after), "limit": limit + 1}
	if after != "" {
		p["startkey"] = string(after) + "\x00"
	}
	var ids []entity.DocID
	for len(ids) < limit {
		rs := db.whisks.AllDocs(ctx, kivik.Params(p))
		seen := 0
		for rs.Next() {
			id, err := rs.ID()
			if err != nil {
				rs.Close()
				return nil, fmt.Errorf("go through the entities: %w", err)
			}
			seen++
			p["startkey"] = id + "\x00"
			if !strings.HasPrefix(id, "_design/") && len(ids) < limit {
				ids = append(ids, entity.DocID(id))
			}
		}
		if err := rs.Err(); err != nil {
			return nil, fmt.Errorf("go through the entities: %w", err)
		}
		if seen <= limit {
			break
		}
	}
	return ids, nil
}
