package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Activations returns the store of activation records.
func (db *DB) Activations() store.ActivationStore { return &activations{db: db} }

type activations struct{ db *DB }

const insertActivation = `INSERT INTO activations (id, namespace, start, filter_path, name, version, cause, end,
		duration, status_code, publish, annotations, subject, size, result, logs)
	VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
	ON CONFLICT (id, namespace) DO NOTHING`

// EncodedActivation is a record in the form that the file keeps, so that
// encoding it happens outside of the transaction.
type EncodedActivation struct {
	record            *entity.Activation
	path              string
	version           string
	annotations, logs []byte
}

// EncodeActivation prepares a for Tx.RecordActivation. a must not change until
// then.
func EncodeActivation(a *entity.Activation) EncodedActivation {
	e := EncodedActivation{record: a, path: a.FilterPath(), version: a.Version.String()}
	e.annotations = a.Annotations.AppendJSON(make([]byte, 0, 32+2*a.Annotations.Size()))
	if a.Logs != nil {
		e.logs = entity.AppendStrings(nil, a.Logs)
	}
	return e
}

// RecordActivation stores the record unless one with its namespace and id
// exists, and reports whether it did.
func (tx *Tx) RecordActivation(e *EncodedActivation) (stored bool, err error) {
	a := e.record
	n, seq, err := tx.conn.insert(insertActivation, string(a.ActivationID), string(a.Namespace), a.Start, e.path, string(a.Name),
		e.version, string(a.Cause), a.End, a.Duration, int64(a.Response.StatusCode), boolean(a.Publish), e.annotations,
		a.Subject, a.Response.Size, []byte(a.Response.Result), e.logs)
	if err != nil {
		return false, fmt.Errorf("record activation %s: %w", a.ActivationID, err)
	}
	tx.changed += n
	if n > 0 {
		tx.countActivation(string(a.Namespace), e.path, a.Start, seq, false)
	}
	return n > 0, nil
}

// countActivation notes for the tally that a record came or went.
func (tx *Tx) countActivation(namespace, path string, start, seq int64, removed bool) {
	tx.changes = append(tx.changes,
		change{series{kind: activationsOfNamespace, scope: namespace}, start, seq, removed},
		change{series{activationsByName, namespace, path}, start, seq, removed})
}

func boolean(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (s *activations) Record(ctx context.Context, a *entity.Activation) (stored bool, err error) {
	encoded := EncodeActivation(a)
	err = s.db.Write(ctx, func(tx *Tx) (err error) {
		stored, err = tx.RecordActivation(&encoded)
		return err
	})
	return stored && err == nil, err
}

const summaryColumns = `a.id, a.namespace, a.start, a.name, a.version, a.cause, a.end, a.duration, a.status_code, a.publish, a.annotations`

const recordColumns = summaryColumns + `, a.subject, a.size, a.result, a.logs`

func (s *activations) Activation(ctx context.Context, namespace entity.Path, id entity.ActivationID) (found *entity.Activation, err error) {
	each := func(r *Row) (err error) {
		found, err = readRecord(r)
		return err
	}
	err = s.db.look(ctx, `SELECT `+recordColumns+` FROM activations a WHERE a.id = ? AND a.namespace = ?`, each, string(id), string(namespace))
	if err == nil && found == nil {
		err = store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

// The keys of a page come from an index alone, so skipped records are not read;
// the records of the page are joined to them.
const (
	activationPage = `SELECT %s FROM (
		SELECT seq FROM activations WHERE namespace = ? AND start >= ? AND start <= ?
		ORDER BY start DESC, seq DESC LIMIT ? OFFSET ?) k
	CROSS JOIN activations a ON a.seq = k.seq ORDER BY a.start DESC, a.seq DESC`
	activationPageByName = `SELECT %s FROM (
		SELECT seq FROM activations WHERE namespace = ? AND filter_path = ? AND start >= ? AND start <= ?
		ORDER BY start DESC, seq DESC LIMIT ? OFFSET ?) k
	CROSS JOIN activations a ON a.seq = k.seq ORDER BY a.start DESC, a.seq DESC`
)

var (
	listSummaries       = fmt.Sprintf(activationPage, summaryColumns)
	listSummariesByName = fmt.Sprintf(activationPageByName, summaryColumns)
	listRecords         = fmt.Sprintf(activationPage, recordColumns)
	listRecordsByName   = fmt.Sprintf(activationPageByName, recordColumns)
)

func (s *activations) List(ctx context.Context, q store.ActivationQuery) ([]*entity.Activation, error) {
	query, read := listSummaries, readSummary
	switch {
	case q.Docs && q.Name != "":
		query, read = listRecordsByName, readRecord
	case q.Docs:
		query, read = listRecords, readRecord
	case q.Name != "":
		query = listSummariesByName
	}
	since, upto := bounds(q)
	upto, skip, err := s.db.narrow(ctx, seriesOf(q), upto, q.Skip)
	if err != nil {
		return nil, err
	}
	list := make([]*entity.Activation, 0, min(q.Limit, 200))
	err = s.db.scan(ctx, query, func(r *Row) error {
		a, err := read(r)
		if err == nil {
			list = append(list, a)
		}
		return err
	}, append(seriesOf(q).args(), since, upto, sqlLimit(q.Limit), skip)...)
	if err != nil {
		return nil, err
	}
	return list, nil
}

func (s *activations) Count(ctx context.Context, q store.ActivationQuery) (int, error) {
	since, upto := bounds(q)
	return s.db.count(ctx, seriesOf(q), since, upto)
}

// seriesOf is the list that q selects from.
func seriesOf(q store.ActivationQuery) series {
	if q.Name != "" {
		return series{activationsByName, string(q.Namespace), q.Name}
	}
	return series{kind: activationsOfNamespace, scope: string(q.Namespace)}
}

// bounds are the starts between which q selects, inclusively.
func bounds(q store.ActivationQuery) (since, upto int64) {
	since, upto = math.MinInt64, math.MaxInt64
	if q.Since != nil {
		since = *q.Since
	}
	if q.Upto != nil {
		upto = *q.Upto
	}
	return since, upto
}

// sqlLimit is a query's limit as SQL has it, where a negative one is no bound.
func sqlLimit(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

func readSummary(r *Row) (*entity.Activation, error) {
	a := &entity.Activation{
		ActivationID: entity.ActivationID(r.String(0)),
		Namespace:    entity.Path(r.String(1)),
		Start:        r.Int64(2),
		Name:         entity.Name(r.String(3)),
		Cause:        entity.ActivationID(r.String(5)),
		End:          r.Int64(6),
		Duration:     r.OptionalInt64(7),
		Response:     entity.Response{StatusCode: entity.StatusCode(r.Int64(8))},
		Publish:      r.Int64(9) != 0,
	}
	var err error
	if a.Version, err = entity.ParseVersion(r.String(4)); err != nil {
		return nil, fmt.Errorf("activation %s: version %q: %w", a.ActivationID, r.String(4), err)
	}
	if a.Annotations, err = entity.ParseStoredParameters(r.Bytes(10)); err != nil {
		return nil, fmt.Errorf("activation %s: annotations: %w", a.ActivationID, err)
	}
	return a, nil
}

func readRecord(r *Row) (*entity.Activation, error) {
	a, err := readSummary(r)
	if err != nil {
		return nil, err
	}
	a.Subject = r.String(11)
	a.Response.Size = r.OptionalInt64(12)
	a.Response.Result = r.Bytes(13)
	if logs := r.Bytes(14); logs != nil {
		if err := json.Unmarshal(logs, &a.Logs); err != nil {
			return nil, fmt.Errorf("activation %s: logs: %w", a.ActivationID, err)
		}
	}
	return a, nil
}

// expireStep bounds how many records one transaction deletes, so that a
// clean-up never keeps other writers waiting for long.
const expireStep = 200

// Expire goes from namespace to namespace along the index by start. An index by
// start alone would make this simpler and every record dearer.
func (s *activations) Expire(ctx context.Context, before time.Time, max int) (int, error) {
	deleted, namespace := 0, ""
	for deleted < max {
		next, oldest, err := s.nextNamespace(ctx, namespace)
		if err != nil || next == "" {
			return deleted, err
		}
		namespace = next
		for oldest < before.UnixMilli() && deleted < max {
			step := min(expireStep, max-deleted)
			n, err := s.expireSome(ctx, namespace, before.UnixMilli(), step)
			deleted += n
			if err != nil {
				return deleted, err
			}
			if n < step {
				break
			}
		}
	}
	return deleted, nil
}

// nextNamespace returns the first namespace behind after that has records, with
// the start of its oldest; "" if there is none.
func (s *activations) nextNamespace(ctx context.Context, after string) (next string, oldest int64, err error) {
	err = s.db.look(ctx, `SELECT namespace, start FROM activations WHERE namespace > ? ORDER BY namespace, start LIMIT 1`, func(r *Row) error {
		next, oldest = r.String(0), r.Int64(1)
		return nil
	}, after)
	return next, oldest, err
}

func (s *activations) expireSome(ctx context.Context, namespace string, before int64, max int) (n int, err error) {
	err = s.db.Write(ctx, func(tx *Tx) error {
		err := tx.Query(`SELECT filter_path, start, seq FROM activations WHERE namespace = ? AND start < ? ORDER BY start LIMIT ?`, func(r *Row) error {
			tx.countActivation(namespace, r.String(0), r.Int64(1), r.Int64(2), true)
			return nil
		}, namespace, before, max)
		if err != nil {
			return err
		}
		deleted, err := tx.Exec(`DELETE FROM activations WHERE seq IN (
			SELECT seq FROM activations WHERE namespace = ? AND start < ? ORDER BY start LIMIT ?)`, namespace, before, max)
		n = int(deleted)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("delete expired activations of %s: %w", namespace, err)
	}
	return n, nil
}
