package actionproxy

import (
	"errors"

	"golang.org/x/sys/unix"
)

// sentinel ends an activation's logs on each stream (openwhisk-invoker.md 1.6).
// When the user's output lacks a final newline it ends that line instead of
// being one; readers accept a line that ends with it.
const sentinel = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"

const (
	stdout = 1
	stderr = 2
)

// endMarker returns a function that ends an activation's logs with the sentinel,
// followed by mark. It returns the value of runtimes.LogQuietHeader: on which
// streams it wrote none.
func (o options) endMarker(mark string, concurrent bool) func() string {
	if o.relay != nil {
		// A reader that gave a mark reads the header. What several activations at
		// once printed is nobody's.
		return o.relay.marker(mark, mark != "" && !concurrent)
	}
	line := []byte(sentinel + mark + "\n")
	return func() string {
		writeLog(stdout, line)
		writeLog(stderr, line)
		return ""
	}
}

// maxMark bounds what may follow a sentinel.
const maxMark = 64

// isMark reports whether text can follow a sentinel: letters and digits.
func isMark(text string) bool {
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return text != "" && len(text) <= maxMark
}

// writeLog writes all of text to a log stream. The descriptor is shared with the
// user's code, and Node makes it non-blocking, hence the wait. A stream that
// nobody reads any more is no error.
func writeLog(fd int, text []byte) {
	for len(text) > 0 {
		n, err := unix.Write(fd, text)
		if n > 0 {
			text = text[n:]
		}
		switch {
		case err == nil, errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1)
		default:
			return
		}
	}
}
