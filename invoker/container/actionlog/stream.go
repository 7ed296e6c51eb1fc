package actionlog

import (
	"bytes"
	"strings"
)

// frame holds the lines of one stream up to a sentinel.
type frame struct {
	lines []line
	bytes int64
	// cut is the sequence of the first line that was dropped for want of room,
	// or 0. Nothing that came later, on either stream, belongs into the logs.
	cut uint64
}

// append moves the lines of g behind those of f.
func (f *frame) append(g frame) {
	f.lines = append(f.lines, g.lines...)
	f.bytes += g.bytes
	f.cut = earlier(f.cut, g.cut)
}

// earlier returns the smaller of two sequences, where 0 means none.
func earlier(a, b uint64) uint64 {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

// lineBuffer collects the bytes of a line that has not ended yet. Once it is
// asked to hold more than fits it keeps the last bytes only: enough to see
// whether the line ends with the sentinel.
type lineBuffer struct {
	// sentinel is what ends an activation.
	sentinel []byte
	held     []byte
	overflow bool
}

// keepTail is how much of an over-long line is kept: a sentinel and "\r".
func (b *lineBuffer) keepTail() int { return len(b.sentinel) + 1 }

// add appends p, which holds no newline. room is how many bytes may be held.
func (b *lineBuffer) add(p []byte, room int64) {
	keepTail := b.keepTail()
	if !b.overflow && int64(len(b.held)+len(p)) <= room+int64(keepTail) {
		b.held = append(b.held, p...)
		return
	}
	b.overflow = true
	if len(p) >= keepTail {
		b.held = append(b.held[:0], p[len(p)-keepTail:]...)
		return
	}
	b.held = append(b.held, p...)
	if excess := len(b.held) - keepTail; excess > 0 {
		b.held = append(b.held[:0], b.held[excess:]...)
	}
}

// take ends the line. It returns the text before a line ending and a sentinel,
// whether a sentinel ended it, whether there is a text line at all, and whether
// the text is incomplete because it did not fit.
func (b *lineBuffer) take() (text string, sentinel, isLine, overflow bool) {
	held := bytes.TrimSuffix(b.held, []byte("\r"))
	// Output without a final newline shares its last line with the sentinel.
	if before, found := bytes.CutSuffix(held, b.sentinel); found {
		sentinel, held = true, before
	}
	overflow = b.overflow
	isLine = !sentinel || len(held) > 0 || overflow
	if isLine && !overflow {
		text = strings.ToValidUTF8(string(held), "\uFFFD")
	}
	b.overflow = false
	if cap(b.held) > keepCapacity {
		b.held = nil
	} else {
		b.held = b.held[:0]
	}
	return text, sentinel, isLine, overflow
}

// mayBeSentinel reports whether the line ends with the beginning of a sentinel.
func (b *lineBuffer) mayBeSentinel() bool {
	for n := min(len(b.sentinel)-1, len(b.held)); n > 0; n-- {
		if bytes.HasSuffix(b.held, b.sentinel[:n]) {
			return true
		}
	}
	return false
}

// keepCapacity is the largest line buffer that is kept for the next line.
const keepCapacity = 16 << 10
