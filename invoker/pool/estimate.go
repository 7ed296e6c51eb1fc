package pool

import "time"

// average is an exponentially weighted mean of durations.
type average struct {
	mean  time.Duration
	known bool
}

// averageWeight: one part in so many is the newest value's.
const averageWeight = 8

func (e *average) add(d time.Duration) { e.mean, e.known = e.with(d), true }

// addFalling is add where the first values may be far too high, since what they had
// to compile or to fetch the later ones find: the mean follows a fall at once.
func (e *average) addFalling(d time.Duration) {
	if e.known && d < e.mean/2 {
		e.mean = d
		return
	}
	e.add(d)
}

// with is what the mean would be after adding d.
func (e *average) with(d time.Duration) time.Duration {
	if !e.known {
		return d
	}
	return e.mean + (d-e.mean)/averageWeight
}

// until is the value after which the mean would be at least target.
func (e *average) until(target time.Duration) time.Duration {
	if !e.known {
		return target
	}
	return e.mean + (target-e.mean)*averageWeight
}

func (e *average) or(guess time.Duration) time.Duration {
	if e.known {
		return e.mean
	}
	return guess
}

// cost is what a container of a kind has taken to be ready for its first run.
type cost struct{ start, init average }

func (p *Pool) costOf(kind string) *cost {
	k := p.costs[kind]
	if k == nil {
		k = &cost{}
		p.costs[kind] = k
	}
	return k
}

// costBound bounds estimates of costs, in times of Config.StartCostGuess.
const costBound = 10

// costsOf estimates what a container of a kind takes to start and to initialise.
// The start is bounded: one slow pull of an image must not make jobs wait in line
// for ever after.
func (p *Pool) costsOf(kind string) (start, init time.Duration) {
	k := p.costOf(kind)
	return min(k.start.or(p.cfg.StartCostGuess), costBound*p.cfg.StartCostGuess), min(k.init.or(0), costBound*p.cfg.StartCostGuess)
}

// costsFor is costsOf for an action: what it has taken to initialise itself counts
// for more than what others of its kind have.
func (p *Pool) costsFor(a *action) (start, init time.Duration) {
	start, init = p.costsOf(a.class.kind)
	if a.init.known {
		init = min(a.init.mean, costBound*p.cfg.StartCostGuess)
	}
	return start, init
}

// patience is how long an action's last job would wait for the containers that
// the action has.
type patience struct {
	pool        *Pool
	action      *action
	ahead       time.Duration // jobs
	wait        time.Duration
	waitsSince  time.Time
	isUnbounded bool // no containers at all
	isComing    bool // some are not ready yet
}

// patienceOf estimates the wait: the jobs ahead, each taking the action's mean
// duration, divided over its slots. Runs that take longer than runs used to take
// are news, and so is a job that has already waited longer.
func (p *Pool) patienceOf(a *action) patience {
	if a.slots == 0 {
		return patience{isUnbounded: true}
	}
	mean := a.duration.or(p.cfg.DurationGuess)
	if a.active > a.initialising {
		mean = max(mean, a.duration.with(p.now.Sub(a.lastRunStart)))
	}
	w := patience{
		pool: p, action: a, ahead: time.Duration(a.waiting.length + a.active - 1),
		waitsSince: a.waiting.head.enqueued, isComing: a.hasComing(),
	}
	w.wait = w.ahead * mean / time.Duration(a.slots)
	if a.grownAt.After(w.waitsSince) {
		w.waitsSince = a.grownAt
	}
	if !w.isComing {
		w.wait = max(w.wait, p.now.Sub(w.waitsSince))
	}
	return w
}

// exceeds reports whether the wait is at least cost. Where it is not, it sees to
// it that the question is asked again when it will be, should nothing change.
func (w *patience) exceeds(cost time.Duration) bool {
	if w.isUnbounded || w.wait >= cost {
		return true
	}
	a := w.action
	if a.active > a.initialising && w.ahead > 0 {
		// By then the runs under way have made the estimate reach cost.
		mean := cost*time.Duration(a.slots)/w.ahead + time.Microsecond
		w.pool.wakeAt(a.lastRunStart.Add(a.duration.until(mean)))
	}
	if !w.isComing {
		w.pool.wakeAt(w.waitsSince.Add(cost))
	}
	return false
}

func (a *action) hasComing() bool {
	for _, c := range a.containers {
		if c.isComing() {
			return true
		}
	}
	return false
}
