package runtimetest

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const sentinel = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"

var errUnknownLength = errors.New("the answer's length was not announced (Content-Length)")

// Stream collects one log stream of a runtime; write what the runtime prints to
// it. It frames activations by the sentinel, as the invoker does: a line that
// ends with it ends an activation, and what precedes it in that line is a line.
type Stream struct {
	mu      sync.Mutex // guards the rest
	changed chan struct{}
	partial []byte
	lines   []string   // since the last sentinel
	framed  [][]string // activations nobody has asked for yet
}

// NewStream returns an empty stream.
func NewStream() *Stream { return &Stream{changed: make(chan struct{})} }

// Write takes output of the runtime; it never fails.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.partial = append(s.partial, p...)
	for {
		line, rest, found := bytes.Cut(s.partial, []byte("\n"))
		if !found {
			break
		}
		text, ends := strings.CutSuffix(string(line), sentinel)
		if text != "" || !ends {
			s.lines = append(s.lines, text)
		}
		if ends {
			s.framed = append(s.framed, s.lines)
			s.lines = nil
		}
		s.partial = rest
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return len(p), nil
}

// Activation returns the lines up to the next sentinel, which it waits for.
func (s *Stream) Activation(t testing.TB) []string {
	t.Helper()
	var lines []string
	s.await(t, "the sentinel", func() bool {
		if len(s.framed) == 0 {
			return false
		}
		lines, s.framed = s.framed[0], s.framed[1:]
		return true
	})
	return lines
}

// Contains waits until some line, of whatever activation nobody has asked for,
// holds text.
func (s *Stream) Contains(t testing.TB, text string) {
	t.Helper()
	s.await(t, text, func() bool {
		for _, lines := range append(s.framed[:len(s.framed):len(s.framed)], s.lines) {
			if strings.Contains(strings.Join(lines, "\n"), text) {
				return true
			}
		}
		return false
	})
}

// await waits until condition, which is called with the lock held, is true.
func (s *Stream) await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		ok, changed, seen := condition(), s.changed, s.lines
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			require.FailNow(t, "the log stream lacks "+what, "since the last sentinel: %q", seen)
		}
	}
}
