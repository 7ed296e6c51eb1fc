package kafka

import (
	"math"
	"time"
)

const (
	// aheadTime is for how much time of arrivals, as they came of late, messages are
	// claimed ahead.
	aheadTime = 100 * time.Millisecond
	// maxAhead bounds how many.
	maxAhead = 256
	// aheadLease is how long a claim ahead holds after its commit was sent. Who takes a
	// queue over waits for longer before it looks where the topic ends: whatever an
	// owner that has not heard of its end yet hands out without asking was there then.
	aheadLease = 250 * time.Millisecond
)

// claimAhead lets messages be handed out as they arrive, without a commit for each: their
// offsets are committed as claimed before they exist. What arrives in that range after
// its owner has died counts as handed out, although it never ran; so the range is no
// longer than what comes in a moment, and empty when nothing comes or what came waits.
// The zero value claims nothing. The queue's lock guards it.
type claimAhead struct {
	// to: what arrives before this offset is claimed, until leaseEnd.
	to       int64
	leaseEnd time.Time
	// pending is what to will be when the commit under way is acknowledged, which was
	// sent at sent.
	pending int64
	sent    time.Time
	// recent is how many messages were handed out in the last aheadTime or so, at seen.
	recent float64
	seen   time.Time
}

// has reports whether an arriving offset is claimed already.
func (a *claimAhead) has(now time.Time, offset int64) bool {
	return offset < a.to && now.Before(a.leaseEnd)
}

// isIdle reports whether nothing is claimed that did not arrive.
func (a *claimAhead) isIdle(next int64) bool { return a.to <= next }

// handed counts messages that are handed out, and reports whether it is time to claim
// more; next is the first offset that was not read.
func (a *claimAhead) handed(now time.Time, n int, next int64) (renew bool) {
	a.decay(now)
	a.recent += float64(n)
	return float64(a.to-next) < a.recent/2
}

func (a *claimAhead) decay(now time.Time) {
	if !a.seen.IsZero() {
		a.recent *= math.Exp(-float64(now.Sub(a.seen)) / float64(aheadTime))
	}
	a.seen = now
}

// begin returns how many offsets from next are claimed by the commit that begins now.
func (a *claimAhead) begin(now time.Time, next int64) int64 {
	a.decay(now)
	n := min(int64(a.recent), maxAhead)
	a.until(now, next+n)
	return n
}

// none makes the commit that begins now leave open what waits, and what arrives, from an
// offset.
func (a *claimAhead) none(now time.Time, from int64) { a.until(now, from) }

// until: until the commit is acknowledged nothing counts as claimed that either the last
// commit or this one leaves open.
func (a *claimAhead) until(now time.Time, end int64) {
	a.pending, a.sent = end, now
	a.to = min(a.to, end)
}

// committed is called when the commit is acknowledged that began last.
func (a *claimAhead) committed() {
	a.to, a.leaseEnd = a.pending, a.sent.Add(aheadLease)
}
