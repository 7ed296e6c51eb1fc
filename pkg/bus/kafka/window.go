package kafka

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// state of one offset of a queue.
type state byte

const (
	// open: accepted, and nobody has it. What is beyond the window is open.
	open state = 'o'
	// claimed: handed out; it may run.
	claimed state = 'c'
	// moving: on its way to another queue; it may be there already.
	moving state = 'm'
	// done: it has ended or is elsewhere, or there is no such message. What is before
	// the window is done.
	done state = 'd'
)

// window is what a queue's owner knows of its messages: the state of each from low,
// the first that is not done. It is committed with the group's offset, which is low,
// and so outlives the owner (durability.md section 3, "Claim window").
//
// The zero value is the window of a queue that nobody has read from.
type window struct {
	low    int64
	states []state // of low, low+1, …
	// attempts counts, for what is not done, the claims before the present one that
	// were not given back.
	attempts map[int64]int
	// ahead is how many offsets from high, of messages that may not exist yet, are
	// claimed as well (claimAhead).
	ahead int64
}

// high is the first offset that was never in the window.
func (w *window) high() int64 { return w.low + int64(len(w.states)) }

func (w *window) state(offset int64) state {
	switch {
	case offset < w.low:
		return done
	case offset >= w.high():
		return open
	}
	return w.states[offset-w.low]
}

// set changes the state of an offset, unless it is done, which is for good.
func (w *window) set(offset int64, s state) {
	if offset < w.low {
		return
	}
	for offset >= w.high() {
		w.states = append(w.states, open)
	}
	if i := offset - w.low; w.states[i] != done {
		w.states[i] = s
	}
	if s == done {
		delete(w.attempts, offset)
		w.advance()
	}
}

// advance moves low over what is done.
func (w *window) advance() {
	n := 0
	for n < len(w.states) && w.states[n] == done {
		n++
	}
	w.low += int64(n)
	w.states = w.states[n:]
}

// attempted counts one more claim of an offset and returns how many there were before
// the present one.
func (w *window) attempted(offset int64) int {
	if w.attempts == nil {
		w.attempts = make(map[int64]int)
	}
	w.attempts[offset]++
	return w.attempts[offset]
}

// startAt begins a window at the first offset that there is.
func (w *window) startAt(offset int64) {
	for o := w.low; o < min(offset, w.high()); o++ {
		w.set(o, done)
	}
	if w.low < offset {
		w.low, w.states = offset, nil
	}
}

// count returns how many offsets are in a state.
func (w *window) count(s state) (n int) {
	for _, x := range w.states {
		if x == s {
			n++
		}
	}
	return n
}

// maxMetadata is what a broker takes beside an offset, by default.
const maxMetadata = 4096

// encode is the window as the metadata of its low offset: the runs of equal states,
// such as "1 c3d20c1", what is claimed ahead, such as " +8", and the attempts, such as
// " @2=1 @22=3", by their distance from low. One that is too long loses what is done, for recovery finds the records of that,
// then the attempts, and then what was given back: it counts as claimed.
func (w *window) encode() string {
	if text := w.text(func(s state) state { return s }, true); len(text) <= maxMetadata {
		return text
	}
	notDone := func(s state) state {
		if s == done {
			return claimed
		}
		return s
	}
	for _, attempts := range []bool{true, false} {
		if text := w.text(notDone, attempts); len(text) <= maxMetadata {
			return text
		}
	}
	return string(w.appendAhead([]byte("1 " + string(claimed) + strconv.Itoa(len(w.states)))))
}

func (w *window) appendAhead(b []byte) []byte {
	if w.ahead == 0 {
		return b
	}
	return strconv.AppendInt(append(b, " +"...), w.ahead, 10)
}

func (w *window) text(as func(state) state, attempts bool) string {
	b := []byte("1 ")
	for i := 0; i < len(w.states); {
		s, n := as(w.states[i]), 1
		for i+n < len(w.states) && as(w.states[i+n]) == s {
			n++
		}
		b = strconv.AppendInt(append(b, byte(s)), int64(n), 10)
		i += n
		if len(b) > maxMetadata {
			return string(b)
		}
	}
	b = w.appendAhead(b)
	if attempts {
		for offset := w.low; offset < w.high() && len(b) <= maxMetadata; offset++ {
			if n := w.attempts[offset]; n > 0 {
				b = fmt.Appendf(b, " @%d=%d", offset-w.low, n)
			}
		}
	}
	return string(b)
}

var errWindow = errors.New("the metadata of the committed offset is not that of a Gowhisk queue")

// maxWindow bounds what a text may describe.
const maxWindow = 1 << 26

// parseWindow reads what encode wrote. Without any text it is an empty window.
func parseWindow(low int64, text string) (*window, error) {
	w := &window{low: low}
	if text == "" {
		return w, nil
	}
	version, rest, _ := strings.Cut(text, " ")
	if version != "1" || low < 0 {
		return nil, errWindow
	}
	runs, attempts, _ := strings.Cut(rest, " ")
	if err := w.parseRuns(runs); err != nil {
		return nil, err
	}
	for a := range strings.FieldsSeq(attempts) {
		if a[0] == '+' {
			ahead, err := strconv.Atoi(a[1:])
			if err != nil || ahead < 1 || ahead > maxAhead {
				return nil, errWindow
			}
			w.ahead = int64(ahead)
			continue
		}
		at, n, _ := strings.Cut(strings.TrimPrefix(a, "@"), "=")
		distance, err := strconv.Atoi(at)
		count, countErr := strconv.Atoi(n)
		if err != nil || countErr != nil || a[0] != '@' || count < 1 || distance < 0 || distance >= len(w.states) {
			return nil, errWindow
		}
		if w.attempts == nil {
			w.attempts = make(map[int64]int)
		}
		w.attempts[low+int64(distance)] = count
	}
	w.advance()
	return w, nil
}

func (w *window) parseRuns(runs string) error {
	for runs != "" {
		s := state(runs[0])
		digits := 1
		for digits < len(runs) && runs[digits] >= '0' && runs[digits] <= '9' {
			digits++
		}
		n, err := strconv.Atoi(runs[1:digits])
		if err != nil || n < 1 || len(w.states)+n > maxWindow || !strings.ContainsRune("ocmd", rune(s)) {
			return errWindow
		}
		for range n {
			w.states = append(w.states, s)
		}
		runs = runs[digits:]
	}
	return nil
}
