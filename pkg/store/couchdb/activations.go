package couchdb

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Activations returns the store of records.
func (db *DB) Activations() *Activations { return &Activations{db} }

// Activations is a store.ActivationStore that takes many records at once.
type Activations struct{ db *DB }

var _ store.ActivationStore = (*Activations)(nil)

func recordID(namespace entity.Path, id entity.ActivationID) string {
	return string(namespace) + "/" + string(id)
}

func encodeRecord(a *entity.Activation) (*pendingRecord, error) {
	id := recordID(a.Namespace, a.ActivationID)
	document, err := faithful(a.AppendDocument(nil))
	if err != nil {
		return nil, fmt.Errorf("encode the record %s: %w", id, err)
	}
	withID := append(entity.AppendString([]byte(`{"_id":`), id), ',')
	return &pendingRecord{record: a, id: id, document: append(withID, document[1:]...)}, nil
}

// Record implements store.ActivationStore.
func (s *Activations) Record(ctx context.Context, a *entity.Activation) (bool, error) {
	stored, err := s.RecordAll(ctx, []*entity.Activation{a})
	return len(stored) == 1 && stored[0], err
}

// RecordAll stores each record as Record does, in few requests. With an error any of
// them may be stored.
func (s *Activations) RecordAll(ctx context.Context, list []*entity.Activation) ([]bool, error) {
	stored := make([]bool, 0, len(list))
	for part := range slices.Chunk(list, maxBatch) {
		records := make([]*pendingRecord, len(part))
		for n, a := range part {
			var err error
			if records[n], err = encodeRecord(a); err != nil {
				return stored, err
			}
		}
		some, err := s.db.batch.put(ctx, records...)
		stored = append(stored, some...)
		if err != nil {
			return stored, err
		}
	}
	return stored, nil
}

// Activation implements store.ActivationStore.
func (s *Activations) Activation(ctx context.Context, namespace entity.Path, id entity.ActivationID) (*entity.Activation, error) {
	raw, err := get(ctx, s.db.activations, recordID(namespace, id))
	if err != nil {
		return nil, fmt.Errorf("read the record %s: %w", id, err)
	}
	return parseRecord(raw)
}

func parseRecord(raw []byte) (*entity.Activation, error) {
	text, err := original(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", entity.ErrUnreadable, err)
	}
	a, err := entity.ParseActivationDocument(text)
	if err != nil {
		return nil, err
	}
	a.Annotations = restore(a.Annotations)
	return a, nil
}

// viewOf is where a query reads, and with what range.
func viewOf(q store.ActivationQuery) (design string, p map[string]any) {
	path, design := string(q.Namespace), recordsDesign
	if q.Name != "" {
		path, design = path+"/"+q.Name, filtersDesign
	}
	first, last := []any{path, 0}, []any{path, after, after}
	if q.Since != nil {
		first[1] = *q.Since
	}
	if q.Upto != nil {
		last[1] = *q.Upto
	}
	return design, page(first, last, q.Skip, q.Limit)
}

// isEmpty: a range that ends before it begins, which CouchDB refuses.
func isEmpty(q store.ActivationQuery) bool {
	return q.Since != nil && q.Upto != nil && *q.Since > *q.Upto
}

// List implements store.ActivationStore.
func (s *Activations) List(ctx context.Context, q store.ActivationQuery) ([]*entity.Activation, error) {
	if isEmpty(q) {
		return []*entity.Activation{}, nil
	}
	design, p := viewOf(q)
	if q.Docs {
		p["include_docs"] = true
	}
	rows, err := query(ctx, s.db.activations, design, "activations", p)
	if err != nil {
		return nil, fmt.Errorf("list the activations of %s: %w", q.Namespace, err)
	}
	list := make([]*entity.Activation, 0, len(rows))
	for _, r := range rows {
		var a *entity.Activation
		if q.Docs {
			a, err = parseRecord(r.Doc)
		} else {
			a, err = parseRecordSummary(r.Value)
		}
		if err == nil { // as OpenWhisk does: one broken document hides no others
			list = append(list, a)
		}
	}
	return list, nil
}

func parseRecordSummary(value []byte) (*entity.Activation, error) {
	var v struct {
		entity.ActivationSummaryFields
		StatusCode int `json:"statusCode"`
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return nil, err
	}
	a := v.Activation()
	a.Annotations = restore(a.Annotations)
	a.Response.StatusCode = entity.StatusCode(v.StatusCode)
	return a, nil
}

// Count implements store.ActivationStore.
func (s *Activations) Count(ctx context.Context, q store.ActivationQuery) (int, error) {
	if isEmpty(q) {
		return 0, nil
	}
	design, p := viewOf(q)
	n, err := count(ctx, s.db.activations, design, "activations", p)
	if err != nil {
		return 0, fmt.Errorf("count the activations of %s: %w", q.Namespace, err)
	}
	return n, nil
}

// Expire implements store.ActivationStore.
func (s *Activations) Expire(ctx context.Context, before time.Time, max int) (int, error) {
	deleted := 0
	for deleted < max {
		step := min(maxBatch, max-deleted)
		rows, err := query(ctx, s.db.activations, datesDesign, "byDate", map[string]any{
			"endkey": before.UnixMilli() - 1, "limit": step,
		})
		if err != nil {
			return deleted, fmt.Errorf("look for expired records: %w", err)
		}
		n, err := bulkDelete(ctx, s.db.activations, rows, func(r row) string {
			var pair [2]string
			_ = json.Unmarshal(r.Value, &pair) // an empty revision conflicts
			return pair[1]
		})
		deleted += n
		if err != nil {
			return deleted, fmt.Errorf("delete expired records: %w", err)
		}
		if len(rows) < step || n == 0 {
			break
		}
	}
	return deleted, nil
}
