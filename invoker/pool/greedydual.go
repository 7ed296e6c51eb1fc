package pool

import (
	"cmp"
	"math"
	"time"
)

// GreedyDual takes the containers first whose loss costs least: those of actions
// that are called rarely, are started and initialised quickly, and are big. What
// has not been used while others were evicted falls behind. Containers of equal
// worth go as with LeastRecentlyUsed.
func GreedyDual(a, b Candidate) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), LeastRecentlyUsed(a, b))
}

// frequency counts uses, of which half are forgotten after every half-life: what
// was popular long ago does not stay for that.
type frequency struct {
	count float64
	at    time.Time
}

// value is the count at now.
func (f *frequency) value(now time.Time, halfLife time.Duration) float64 {
	if halfLife <= 0 || !now.After(f.at) {
		return f.count
	}
	return f.count * math.Exp2(-float64(now.Sub(f.at))/float64(halfLife))
}

func (f *frequency) add(now time.Time, halfLife time.Duration) {
	f.count, f.at = f.value(now, halfLife)+1, now
}

// priority is what c is worth, and the pool's clock at its last use, which is the
// highest priority of any container that had been evicted by then. A container is
// worth the frequency of its action's uses, which the action's containers share,
// times the time that a cold start takes, per megabyte; a stem cell the starts that
// those of its sort save.
func (p *Pool) priority(c *member) float64 {
	switch {
	case c.action != nil:
		start, init := p.costsFor(c.action)
		uses := c.action.uses.value(p.now, p.cfg.IdleTimeout) / float64(len(c.action.containers))
		return c.clock + worth(uses, start+init, c)
	case c.stem != nil:
		start, _ := p.costsOf(c.class.kind)
		uses := c.stem.uses.value(p.now, p.cfg.IdleTimeout) / float64(c.stem.count)
		return p.clock + worth(uses, start, c)
	}
	return p.clock // a start that nobody waits for any more
}

func worth(uses float64, cost time.Duration, c *member) float64 {
	return uses * cost.Seconds() / float64(max(1, c.class.memory))
}
