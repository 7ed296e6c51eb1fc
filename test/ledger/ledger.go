// Package ledger puts a platform under load, notes what its clients are told, and holds
// that against what was recorded and what ran: every accepted activation has exactly one
// record, and none ran twice (durability.md sections 2 and 6).
package ledger

import (
	"fmt"
	"sync"

	"github.com/gowhisk/gowhisk/test/harness"
)

// answer is what a client was told about one activation.
type answer struct {
	status int    // 202: accepted; 200 or 502: ended, seen by the client
	ran    string // the id that the action itself reported, if it ended well
}

// Ledger collects what clients were told. Safe for concurrent use.
type Ledger struct {
	mu       sync.Mutex // guards what follows
	answers  map[string]answer
	refused  map[int]int // answers that accept nothing, by status
	unknown  int         // requests whose connection broke: perhaps accepted
	surprise []string    // answers that no client should ever see
}

// New returns an empty ledger.
func New() *Ledger {
	return &Ledger{answers: map[string]answer{}, refused: map[int]int{}}
}

// Accepted is how many activations clients know of.
func (l *Ledger) Accepted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.answers)
}

// IDs are the activations that clients know of.
func (l *Ledger) IDs() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make([]string, 0, len(l.answers))
	for id := range l.answers {
		ids = append(ids, id)
	}
	return ids
}

// Failures is how many requests were not answered with an activation.
func (l *Ledger) Failures() (refused map[int]int, unknown int, surprise []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused, l.unknown, l.surprise
}

// Note takes down the outcome of one request.
func (l *Ledger) Note(r *harness.Response, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.unknown++
		return
	}
	switch id := r.ActivationID(); {
	case id != "" && (r.Status == 200 || r.Status == 202 || r.Status == 502 || r.Status == 500):
		if _, twice := l.answers[id]; twice {
			l.surprise = append(l.surprise, "two requests were given the activation id "+id)
		}
		l.answers[id] = answer{status: r.Status, ran: r.Field("response.result.id").String()}
	case r.Status == 503 || r.Status == 429:
		l.refused[r.Status]++
	case r.Status == 502 || r.Status == 504:
		l.unknown++ // a front door that was cut off from the controller
	default:
		l.surprise = append(l.surprise, fmt.Sprintf("status %d without an activation id: %.300s", r.Status, r.Body))
	}
}
