package balancer

import (
	"time"

	"github.com/gowhisk/gowhisk/controller/invoke"
)

// State of an invoker, as a controller sees it (openwhisk-invoker.md 5.5). Only a
// healthy one gets work.
type State int

const (
	// Offline: nothing was heard of it for a while, or it takes no work.
	Offline State = iota
	// Unhealthy: it is new, or failed to run what it was sent.
	Unhealthy
	// Unresponsive: it does not end what it was sent.
	Unresponsive
	// Healthy: it runs what it is sent.
	Healthy
)

// String is OpenWhisk's word for the state.
func (s State) String() string {
	return [...]string{"down", "unhealthy", "unresponsive", "up"}[s]
}

const (
	// silence is after how long without a ping an invoker is offline.
	silence = 10 * time.Second
	// testInterval is how often an invoker is tried that is not healthy.
	testInterval = time.Minute
	// testPatience is how long a test may take: after it the next one is sent.
	testPatience = 10 * time.Second
	// remembered outcomes, and how many of them may be bad.
	outcomesKept = 10
	badTolerated = 3
)

// health is the state machine of one invoker.
type health struct {
	state    State
	lastPing time.Time
	since    time.Time // of the state
	// outcomes are the last ones, a ring of which the first filled are used.
	outcomes [outcomesKept]invoke.Outcome
	next     int
	filled   int
	// testDue is when a test action is to be sent next, while it is unhealthy or
	// unresponsive.
	testDue time.Time
}

// pinged takes a sign of life.
func (h *health) pinged(now time.Time, enabled bool) {
	h.lastPing = now
	switch {
	case !enabled:
		h.enter(Offline, now)
	case h.state == Offline:
		// What it did before it went says nothing of what it can do now.
		h.next, h.filled = 0, 0
		h.enter(Unhealthy, now)
	}
}

// ticked notices silence.
func (h *health) ticked(now time.Time) {
	if h.state != Offline && now.Sub(h.lastPing) > silence {
		h.enter(Offline, now)
	}
}

func (h *health) enter(s State, now time.Time) {
	if h.state == s {
		return
	}
	h.state, h.since = s, now
	if s == Unhealthy || s == Unresponsive {
		h.testDue = now
	}
}

// ended takes the outcome of an activation or of a test.
func (h *health) ended(o invoke.Outcome, now time.Time) {
	if o == invoke.NotSent {
		return // the bus's fault, not the invoker's
	}
	h.outcomes[h.next] = o
	h.next = (h.next + 1) % outcomesKept
	h.filled = min(h.filled+1, outcomesKept)
	if h.state == Offline || h.state == Healthy && o == invoke.Completed {
		return
	}
	switch {
	case h.count(invoke.SystemError) > badTolerated:
		h.enter(Unhealthy, now)
	case h.count(invoke.Lost) > badTolerated:
		h.enter(Unresponsive, now)
	case o == invoke.Completed:
		h.enter(Healthy, now)
	case h.filled <= badTolerated && o == invoke.SystemError:
		h.enter(Unhealthy, now)
	case h.filled <= badTolerated:
		h.enter(Unresponsive, now)
	}
	if h.state == Unhealthy && o == invoke.Completed {
		h.testDue = now // the next success pushes a failure out of the memory
	}
}

func (h *health) count(o invoke.Outcome) (n int) {
	for _, x := range h.outcomes[:h.filled] {
		if x == o {
			n++
		}
	}
	return n
}

// wantsTest reports whether a test action is to be sent now, and takes it for sent.
func (h *health) wantsTest(now time.Time) bool {
	if h.state != Unhealthy && h.state != Unresponsive || now.Before(h.testDue) {
		return false
	}
	h.testDue = now.Add(testInterval)
	if h.state == Unhealthy && h.filled == 0 {
		h.testDue = now.Add(testPatience) // a new invoker is wanted soon
	}
	return true
}
