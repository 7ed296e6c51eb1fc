package wasm

import "bytes"

// maxLine is the longest line of an instance's that is logged whole.
const maxLine = 64 << 10

// lines passes output on in whole lines, so that instances of one container do not
// write into each other's.
type lines struct {
	log  func([]byte)
	held []byte
}

// Write takes output; it never fails.
func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	if end := bytes.LastIndexByte(p, '\n'); end >= 0 {
		l.log(append(l.held, p[:end+1]...))
		l.held, p = l.held[:0], p[end+1:]
	}
	l.held = append(l.held, p...)
	if len(l.held) > maxLine {
		l.end()
	}
	return n, nil
}

// end makes a line of what is left.
func (l *lines) end() {
	if len(l.held) > 0 {
		l.log(append(l.held, '\n'))
		l.held = l.held[:0]
	}
}

// lastLine passes lines on as they come and holds back the last that is not blank,
// with the blank ones after it, since it may be the result. Of a line longer than
// limit it holds the beginning.
type lastLine struct {
	log   func([]byte)
	limit int64
	held  []byte
	// length is the held line's, whatever of it is held.
	length int64
	// ended: a line end follows the text in held.
	ended bool
}

// Write takes output; it never fails.
func (l *lastLine) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		piece := p
		if end >= 0 {
			piece = p[:end+1]
		}
		p = p[len(piece):]
		isBlank := len(bytes.TrimSpace(piece)) == 0
		if l.ended && !isBlank {
			l.flush()
		}
		if isBlank && (l.ended || end >= 0 && len(l.held) == 0) {
			if !l.ended {
				l.log(piece)
			}
			continue
		}
		if end >= 0 {
			piece = bytes.TrimRight(piece, "\r\n")
		}
		l.length += int64(len(piece))
		l.held = append(l.held, piece[:min(int64(len(piece)), max(l.limit-int64(len(l.held)), 0))]...)
		l.ended = end >= 0 && len(bytes.TrimSpace(l.held)) > 0
	}
	return n, nil
}

// flush logs the line that is held, if there is one.
func (l *lastLine) flush() {
	if text := bytes.TrimRight(l.held, "\r\n"); len(bytes.TrimSpace(text)) > 0 {
		l.log(append(text, '\n'))
	}
	l.held, l.length, l.ended = l.held[:0], 0, false
}

// take returns the line that is held, and its length.
func (l *lastLine) take() ([]byte, int64) {
	trimmed := bytes.TrimSpace(l.held)
	if l.length > int64(len(l.held)) {
		return l.held, l.length
	}
	return trimmed, int64(len(trimmed))
}
