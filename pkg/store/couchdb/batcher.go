package couchdb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-kivik/kivik/v4"
	"golang.org/x/sync/semaphore"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

const (
	// maxBatch bounds the records of one request (openwhisk-invoker.md 6.11), and
	// maxBatchBytes their size.
	maxBatch      = 500
	maxBatchBytes = 8 << 20
	// maxBatches bounds the requests under way; what comes meanwhile shares the next.
	maxBatches = 4
	// maxPending bounds the records that wait; further ones make their callers wait.
	maxPending = 10_000
)

// batcher writes records: one request for all that come while others are under way. A
// single write costs a database ten times what its part of a batch does. The first of
// those who come together carries out everybody's.
type batcher struct {
	db      *kivik.DB
	room    *semaphore.Weighted // counts the records that may still wait
	working sync.WaitGroup

	mu      sync.Mutex
	pending []*pendingRecord // guarded by mu
	running int              // guarded by mu: requests under way
}

type pendingRecord struct {
	record   *entity.Activation
	id       string
	document json.RawMessage
	done     chan recordOutcome
}

type recordOutcome struct {
	stored bool
	err    error
}

func newBatcher(db *kivik.DB) *batcher {
	return &batcher{db: db, room: semaphore.NewWeighted(maxPending)}
}

// put stores documents unless others with their ids exist, and says which it stored.
func (b *batcher) put(ctx context.Context, records ...*pendingRecord) ([]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := b.room.Acquire(ctx, int64(len(records))); err != nil {
		return nil, err
	}
	for n := range records {
		records[n].done = make(chan recordOutcome, 1)
	}
	b.mu.Lock()
	b.pending = append(b.pending, records...)
	lead := b.running < maxBatches
	if lead {
		b.running++
	}
	b.mu.Unlock()
	if lead {
		// The work of others is done even if this caller's time is over.
		b.working.Go(b.run)
	}
	stored := make([]bool, len(records))
	var first error
	for n, r := range records {
		select {
		case o := <-r.done:
			stored[n] = o.stored
			first = errors.Join(first, o.err)
		case <-ctx.Done():
			return stored, ctx.Err()
		}
	}
	return stored, first
}

// run writes batches until nothing waits.
func (b *batcher) run() {
	for {
		b.mu.Lock()
		batch := b.take()
		if len(batch) == 0 {
			b.running--
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		outcomes := b.write(batch)
		for n, r := range batch {
			r.done <- outcomes[n]
		}
		b.room.Release(int64(len(batch)))
	}
}

// take removes the next batch, in which no id is twice: the second writer of a record is
// to hear of the first. The lock is held.
func (b *batcher) take() []*pendingRecord {
	n, bytes := 0, 0
	ids := make(map[string]bool)
	for n < len(b.pending) && n < maxBatch && !ids[b.pending[n].id] && (n == 0 || bytes+len(b.pending[n].document) <= maxBatchBytes) {
		ids[b.pending[n].id] = true
		bytes += len(b.pending[n].document)
		n++
	}
	batch := b.pending[:n:n]
	b.pending = b.pending[n:]
	return batch
}

// close waits for the requests under way.
func (b *batcher) close() { b.working.Wait() }

// write writes a batch. One that the server refuses is written in halves, so that a
// record that cannot be stored keeps no other waiting.
func (b *batcher) write(batch []*pendingRecord) []recordOutcome {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	docs := make([]any, len(batch))
	for n, r := range batch {
		docs[n] = r.document
	}
	var results []kivik.BulkResult
	tries := 0
	err := retry(ctx, func() (err error) {
		tries++
		results, err = b.db.BulkDocs(ctx, docs)
		return err
	})
	switch {
	case err == nil:
	case len(batch) > 1 && isRefusal(err):
		half := len(batch) / 2
		return append(b.write(batch[:half]), b.write(batch[half:])...)
	case isTooLarge(err) && batch[0].shrink():
		return b.write(batch)
	default:
		outcomes := make([]recordOutcome, len(batch))
		for n, r := range batch {
			outcomes[n].err = fmt.Errorf("store the record %s: %w", r.id, err)
		}
		return outcomes
	}
	return b.outcomes(ctx, batch, results, tries > 1)
}

// outcomes matches a server's answer with what was sent.
func (b *batcher) outcomes(ctx context.Context, batch []*pendingRecord, results []kivik.BulkResult, retried bool) []recordOutcome {
	outcomes := make([]recordOutcome, len(batch))
	byID := make(map[string]kivik.BulkResult, len(results))
	for _, r := range results {
		byID[r.ID] = r
	}
	for n, r := range batch {
		result, answered := byID[r.id]
		switch {
		case !answered && len(results) == len(batch):
			// Some servers leave the id out of an error.
			outcomes[n] = outcomeOf(r.id, results[n].Error)
		case !answered:
			outcomes[n].err = fmt.Errorf("store the record %s: the server's answer says nothing of it", r.id)
		default:
			outcomes[n] = outcomeOf(r.id, result.Error)
		}
		if retried && !outcomes[n].stored && outcomes[n].err == nil {
			outcomes[n] = b.look(ctx, r)
		}
	}
	return outcomes
}

// look finds out whether a record that is there after a try that was not answered is the
// one that was sent.
func (b *batcher) look(ctx context.Context, r *pendingRecord) recordOutcome {
	raw, err := get(ctx, b.db, r.id)
	if err != nil {
		return recordOutcome{err: fmt.Errorf("look for the record %s: %w", r.id, err)}
	}
	present, err := parseRecord(raw)
	if err != nil {
		return recordOutcome{} // somebody else's, whatever it is
	}
	return recordOutcome{stored: bytes.Equal(present.AppendDocument(nil), r.record.AppendDocument(nil))}
}

// Texts in records that were too large for the database.
const (
	textLogsDropped   = "The logs are too large for the database and were not stored."
	textResultDropped = "The result is too large for the database and was not stored."
)

// shrink makes a record smaller that the database refuses for its size: it loses its
// logs, and then its result. It reports false if there is nothing left to lose.
func (r *pendingRecord) shrink() bool {
	smaller := *r.record
	switch {
	case len(smaller.Logs) > 1:
		smaller.Logs = []string{textLogsDropped}
	case len(smaller.Response.Result) > 1024:
		smaller.Response.Result = entity.ErrorResponse(smaller.Response.StatusCode, textResultDropped).Result
	default:
		return false
	}
	again, err := encodeRecord(&smaller)
	if err != nil {
		return false
	}
	r.record, r.document = &smaller, again.document
	return true
}

// isRefusal: the server will not take the request, however often it is sent.
func isRefusal(err error) bool {
	status := kivik.HTTPStatus(err)
	return status >= http.StatusBadRequest && status < http.StatusInternalServerError && status != http.StatusTooManyRequests
}

func isTooLarge(err error) bool { return kivik.HTTPStatus(err) == http.StatusRequestEntityTooLarge }

func outcomeOf(id string, err error) recordOutcome {
	switch {
	case err == nil:
		return recordOutcome{stored: true}
	case kivik.HTTPStatus(err) == http.StatusConflict:
		return recordOutcome{}
	}
	return recordOutcome{err: fmt.Errorf("store the record %s: %w", id, err)}
}

const (
	maxTries   = 4
	firstPause = 50 * time.Millisecond
)

// retry repeats what may work in a moment: a connection that broke, a server that is
// overloaded or starts.
func retry(ctx context.Context, do func() error) error {
	pause := firstPause
	for try := 1; ; try++ {
		err := do()
		if err == nil || try == maxTries || ctx.Err() != nil || !isPassing(err) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
		pause *= 2
	}
}

func isPassing(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, entity.ErrUnreadable) {
		return false
	}
	status := kivik.HTTPStatus(err)
	return status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}
