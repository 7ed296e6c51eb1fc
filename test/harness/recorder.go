package harness

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// Recorder is an HTTP server on this machine through which actions tell a test that
// they run, and wait until the test lets them go on. Actions may open
// connections, but may not write to files that a test could read; so this is
// how a test knows what really ran.
type Recorder struct {
	server *httptest.Server

	mu      sync.Mutex // guards what follows
	counts  map[string]int
	inside  map[string]int // between /enter and /leave
	peaks   map[string]int
	gates   map[string]chan struct{}
	changed chan struct{} // closed, and replaced, at every change
}

// NewRecorder starts a recorder that ends with the test.
func NewRecorder(t testing.TB) *Recorder {
	r := &Recorder{
		counts: map[string]int{}, inside: map[string]int{}, peaks: map[string]int{},
		gates: map[string]chan struct{}{}, changed: make(chan struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/hit", func(_ http.ResponseWriter, q *http.Request) { r.add(q.FormValue("key"), 0) })
	mux.HandleFunc("/enter", func(_ http.ResponseWriter, q *http.Request) { r.add(q.FormValue("key"), 1) })
	mux.HandleFunc("/leave", func(_ http.ResponseWriter, q *http.Request) { r.leave(q.FormValue("key")) })
	mux.HandleFunc("/gate", func(_ http.ResponseWriter, q *http.Request) {
		key := q.FormValue("key")
		r.add(key, 0)
		select {
		case <-r.gate(key):
		case <-q.Context().Done():
		}
	})
	r.server = httptest.NewUnstartedServer(mux)
	r.server.Listener.Close()
	r.server.Listener = listenForActions(t)
	r.server.Start()
	t.Cleanup(func() {
		r.server.CloseClientConnections() // those that wait at a gate
		r.server.Close()
	})
	return r
}

// URL is the recorder's address. Actions call
//
//	/hit?key=K    counts K
//	/gate?key=K   counts K and answers when the test has opened K
//	/enter?key=K  counts K and one more inside K, /leave?key=K one less
func (r *Recorder) URL() string { return r.server.URL }

// Open lets everybody through who waits at the gate or comes later.
func (r *Recorder) Open(key string) {
	gate := r.gate(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-gate:
	default:
		close(gate)
	}
}

// Count is how often key was counted.
func (r *Recorder) Count(key string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[key]
}

// Counts returns all counts.
func (r *Recorder) Counts() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	copied := make(map[string]int, len(r.counts))
	for key, count := range r.counts {
		copied[key] = count
	}
	return copied
}

// Peak is how many were inside key at the same time, at most.
func (r *Recorder) Peak(key string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peaks[key]
}

// Wait returns when key was counted at least n times.
func (r *Recorder) Wait(t testing.TB, key string, n int) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		r.mu.Lock()
		count, changed := r.counts[key], r.changed
		r.mu.Unlock()
		if count >= n {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("waited %v until the recorder saw %q %d times; it saw it %d times", patience, key, n, count)
		}
	}
}

func (r *Recorder) add(key string, inside int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[key]++
	r.inside[key] += inside
	r.peaks[key] = max(r.peaks[key], r.inside[key])
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *Recorder) leave(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inside[key]--
}

func (r *Recorder) gate(key string) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gates[key] == nil {
		r.gates[key] = make(chan struct{})
	}
	return r.gates[key]
}

// NodeCalling is a JavaScript action that may use `await call(url)`.
func NodeCalling(code string) Action {
	return Node(`const http = require("http")
function call(url) {
  return new Promise((resolve, reject) => http.get(url, answer => {
    answer.resume()
    answer.on("end", () => resolve(answer.statusCode))
  }).on("error", reject))
}
` + code)
}

// PythonCalling is a Python action that may use `call(url)`.
func PythonCalling(code string) Action {
	return Python(`import urllib.request
def call(url):
    with urllib.request.urlopen(url) as answer:
        answer.read()
` + code)
}
