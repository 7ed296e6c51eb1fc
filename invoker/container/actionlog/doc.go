// Package actionlog turns what a container prints into the log lines of its
// activations.
//
// A runtime prints user output on two streams and ends each activation with a
// sentinel line on both (openwhisk-invoker.md 1.6). Framer cuts the streams at
// the sentinels and keeps the lines until somebody collects them; it knows
// nothing of where the bytes come from, so that every engine can feed it.
// Follow feeds it from a pipe.
//
// Memory is bounded by the limit given to New however much is printed: what
// exceeds it is dropped while reading, and the activation's logs end with the
// truncation notice.
//
// A sentinel does not say which activation it ends. A container that runs several
// at once therefore cannot say whose a line is: the lines before a pair of
// sentinels go to whichever activation collects next. User code may also print
// the sentinel itself. Runtimes of this project add a mark that only they and the
// Framer know, so what users print is text; with others the rest of the output
// shows up with the next activation of the same container, and Begin keeps the
// shift from lasting.
package actionlog

import "time"

const (
	// Sentinel ends an activation on each stream (openwhisk-invoker.md 1.6).
	Sentinel = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"

	// Idle is how long a collector waits for the next line before it gives the
	// missing sentinel up (openwhisk-invoker.md 3.2).
	Idle = 2 * time.Second

	// Grace is how long a collector that does not wait for sentinels lets the
	// readers catch up. What a crashed program printed last is what its author
	// needs most.
	Grace = 50 * time.Millisecond
)

// Stream is one of a container's two output streams.
type Stream uint8

// The streams, in the order in which lines of the same instant are listed.
const (
	Stdout Stream = iota
	Stderr
)

// String returns the stream's label in the record: "stdout" or "stderr".
func (s Stream) String() string {
	if s == Stderr {
		return "stderr"
	}
	return "stdout"
}
