package couchdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-kivik/kivik/v4"

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
	db   *kivik.DB
	room chan struct{} // has a token for each record that waits

	mu      sync.Mutex
	pending []*pendingRecord // guarded by mu
	running int              // guarded by mu: requests under way
}

type pendingRecord struct {
	id       string
	document json.RawMessage
	done     chan recordOutcome
}

type recordOutcome struct {
	stored bool
	err    error
}

func newBatcher(db *kivik.DB) *batcher {
	return &batcher{db: db, room: make(chan struct{}, maxPending)}
}

// put stores documents unless others with their ids exist, and says which it stored.
func (b *batcher) put(ctx context.Context, records ...*pendingRecord) ([]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for n := range records {
		select {
		case b.room <- struct{}{}:
		case <-ctx.Done():
			for range n {
				<-b.room
			}
			return nil, ctx.Err()
		}
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
		go b.run()
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
			<-b.room
		}
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

// write tries a batch a few times. That a record exists already may be the work of a
// try that was not answered; it is what its writer wanted in any case.
func (b *batcher) write(batch []*pendingRecord) []recordOutcome {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	docs := make([]any, len(batch))
	for n, r := range batch {
		docs[n] = r.document
	}
	var results []kivik.BulkResult
	err := retry(ctx, func() (err error) {
		results, err = b.db.BulkDocs(ctx, docs)
		return err
	})
	outcomes := make([]recordOutcome, len(batch))
	byID := make(map[string]kivik.BulkResult, len(results))
	for _, r := range results {
		byID[r.ID] = r
	}
	for n, r := range batch {
		result, answered := byID[r.id]
		switch {
		case err != nil:
			outcomes[n].err = fmt.Errorf("store the record %s: %w", r.id, err)
		case !answered && len(results) == len(batch):
			// Some servers leave the id out of an error.
			outcomes[n] = outcomeOf(r.id, results[n].Error)
		case !answered:
			outcomes[n].err = fmt.Errorf("store the record %s: the server's answer says nothing of it", r.id)
		default:
			outcomes[n] = outcomeOf(r.id, result.Error)
		}
	}
	return outcomes
}

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
