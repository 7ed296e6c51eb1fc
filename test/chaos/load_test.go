package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gowhisk/gowhisk/test/harness"
)

// answer is what a client was told about one activation.
type answer struct {
	status int    // 202: accepted; 200 or 502: ended, seen by the client
	ran    string // the id that the action itself reported, if it ended well
}

// ledger collects what clients were told, over all rounds.
type ledger struct {
	mu       sync.Mutex // guards what follows
	answers  map[string]answer
	refused  map[int]int // answers that accept nothing, by status
	unknown  int         // requests whose connection broke: perhaps accepted
	surprise []string    // answers that no client should ever see
}

func newLedger() *ledger {
	return &ledger{answers: map[string]answer{}, refused: map[int]int{}}
}

func (l *ledger) accepted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.answers)
}

// note takes down the outcome of one request.
func (l *ledger) note(r *harness.Response, err error) {
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
	default:
		l.surprise = append(l.surprise, fmt.Sprintf("status %d without an activation id: %.300s", r.Status, r.Body))
	}
}

// load is a group of clients that call as fast as they are answered.
type load struct {
	workers sync.WaitGroup
	answers chan struct{}
}

func startLoad(ctx context.Context, client *harness.Client, told *ledger, seed uint64) *load {
	l := &load{answers: make(chan struct{}, 1<<16)}
	for worker := range workers {
		l.workers.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(worker)))
			for ctx.Err() == nil {
				path := "_/actions/" + names[random.IntN(len(names))]
				if random.IntN(2) == 0 {
					path += "?blocking=true"
				}
				// Most calls are short; some are surely under way at the kill.
				pause := []int{0, 0, 0, 20, 200}[random.IntN(5)]
				r, err := client.Try(context.WithoutCancel(ctx), http.MethodPost, path, fmt.Sprintf(`{"pause":%d}`, pause))
				told.note(r, err)
				if err != nil {
					return // the server is gone
				}
				l.answers <- struct{}{}
			}
		})
	}
	return l
}

func (l *load) waitForAnswers(t *testing.T, count int) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for i := range count {
		select {
		case <-l.answers:
		case <-deadline.C:
			t.Fatalf("the server under load gave %d answers in a minute, not %d", i, count)
		}
	}
}

func (l *load) wait() { l.workers.Wait() }
