package pool

import "time"

// resumeCost is taken for the time to resume a paused container.
const resumeCost = 10 * time.Millisecond

// stemCellShare: taking a stem cell costs its initialisation and this part of the
// start of its replacement, which happens behind the job's back.
const stemCellShare = 4

// dispatch finds containers for waiting jobs, as far as memory goes: first for
// actions that have none, then for those that want more.
func (p *Pool) dispatch() {
	if p.waiting == 0 {
		return
	}
	p.reserved = nil
	for {
		a := p.oldestStarving()
		if a == nil || !p.isAged(a) {
			break
		}
		if !p.extend(a) && !p.reserve(a) {
			return
		}
	}
	for p.starving > 0 && p.grant(func(a *action) bool { return a.starving && p.extend(a) }) {
	}
	for p.grant(p.extend) {
	}
}

// grant offers memory to the waiting actions in turn, until try takes it for one
// of them; that action and its namespace go to the end of their lines.
func (p *Pool) grant(try func(*action) bool) bool {
	for i, n := range p.ring {
		for j, a := range n.waiting {
			if !try(a) {
				continue
			}
			// A stem cell takes its job at once, which may have emptied the lines.
			if a.waiting.length > 0 {
				n.waiting = append(append(n.waiting[:j:j], n.waiting[j+1:]...), a)
			}
			if i < len(p.ring) && p.ring[i] == n {
				p.ring = append(append(p.ring[:i:i], p.ring[i+1:]...), n)
			}
			return true
		}
	}
	return false
}

// grow arranges as many more containers for an action that has some as its
// waiting jobs are worth.
func (p *Pool) grow(a *action) {
	for p.reserved == nil && p.extend(a) {
	}
}

// extend arranges one more container for a's waiting jobs if that is quicker than
// to wait for those it has, and if there is room. It reports whether it did.
func (p *Pool) extend(a *action) bool {
	if a.waiting.length == 0 || a.slots >= a.waiting.length+a.active {
		return false
	}
	patience := p.patienceOf(a)
	if c := a.pausedContainer(); c != nil && patience.exceeds(resumeCost) {
		p.resume(c)
		return true
	}
	start, init := p.costsFor(a)
	if patience.exceeds(init+start/stemCellShare) && p.takeStemCell(a) {
		return true
	}
	if !patience.exceeds(init+start) || p.isBackingOff(a) {
		return false
	}
	return p.adopt(a) || p.startFor(a, Cold) || p.evictFor(a, init+start) && p.startFor(a, Recreated)
}

// pausedContainer returns the container that is quickest to resume, or nil.
func (a *action) pausedContainer() *member {
	var best *member
	for _, c := range a.containers {
		isAsleep := c.state == Paused || c.state == Pausing && !c.wake
		if isAsleep && (best == nil || best.state == Pausing || c.state == Paused && c.lastUsed.After(best.lastUsed)) {
			best = c
		}
	}
	return best
}

// belongTo makes c a container of a.
func (p *Pool) belongTo(c *member, a *action) {
	if c.action == nil {
		c.action = a
		a.containers = append(a.containers, c)
	}
	a.grownAt = p.now
	p.reckon(c)
}

// startFor plans a container for a if memory allows.
func (p *Pool) startFor(a *action, origin StartKind) bool {
	if p.promised()+a.class.memory > p.cfg.Memory {
		return false
	}
	c := p.newMember(a.class, a.concurrency)
	c.origin = origin
	p.belongTo(c, a)
	p.countColdStart(a.class)
	p.startPlanned()
	return true
}

// newMember returns a container that is Planned.
func (p *Pool) newMember(k class, concurrency int) *member {
	p.lastID++
	c := &member{id: p.lastID, class: k, concurrency: concurrency, began: p.now}
	p.containers[c.id] = c
	p.counts[Planned]++
	p.memory[Planned] += k.memory
	p.lists[Planned].pushBack(c)
	return c
}

// startPlanned starts planned containers, in the order in which they were
// promised their memory, as it becomes free.
func (p *Pool) startPlanned() {
	for c := range p.lists[Planned].all {
		if c.action.waiting.length == 0 {
			p.move(c, Gone)
			continue
		}
		if !p.mayStart() {
			return
		}
		if p.held()+c.class.memory > p.cfg.Memory {
			if p.counts[Retiring] > 0 {
				return
			}
			// All that is leaving goes soon, and then all promises can be kept:
			// what fits already need not wait behind this one.
			continue
		}
		c.began = p.now
		p.move(c, Starting)
		p.emit(Effect{
			Op: Start, Container: c.id, Job: c.action.waiting.head.job, Kind: c.class.kind,
			Image: c.class.image, Memory: c.class.memory, Concurrency: c.concurrency,
		})
	}
}

func (p *Pool) mayStart() bool {
	return p.cfg.MaxParallelUserStarts <= 0 || p.counts[Starting] < p.cfg.MaxParallelUserStarts
}

// started gives the first waiting job to a new container; where there is none any
// more, the container becomes a stem cell.
func (p *Pool) started(id ContainerID) {
	c := p.containers[id]
	if c == nil || c.state != Starting {
		return
	}
	p.costOf(c.class.kind).start.add(p.now.Sub(c.began))
	delete(p.backoffs, c.class)
	if c.stem != nil {
		c.stem.backoff = backoff{}
	}
	a := c.action
	if a != nil {
		a.grownAt = p.now
	}
	if a != nil && a.waiting.length > 0 {
		p.assign(c, p.dequeue(a))
	} else {
		p.toStemCell(c)
	}
	p.startPlanned()
	if p.waiting > 0 {
		p.dispatch()
	}
}

// startFailed: jobs that have waited for such a start fail with a user's fault at
// once and with the platform's after some attempts, unless another container of
// their action serves them.
func (p *Pool) startFailed(id ContainerID, err error) {
	c := p.containers[id]
	if c == nil || c.state != Starting {
		return
	}
	p.move(c, Gone)
	if c.action == nil {
		p.stemCellFailed(c)
	} else {
		p.startFailedFor(c, err)
	}
	p.startPlanned()
	if p.waiting > 0 {
		p.dispatch()
	}
}

func (p *Pool) startFailedFor(c *member, err error) {
	a := c.action
	isUsers := isStartError(err)
	isServed := false
	for _, other := range a.containers {
		isServed = isServed || other.isServing()
	}
	if isServed && isUsers {
		a.notBefore = p.now.Add(p.cfg.MaxStartBackoff)
	}
	if !isUsers {
		p.backOff(c.class)
	}
	if isServed {
		return
	}
	p.eachWaiting(a, func(t *task) (keep bool) {
		if t.enqueued.After(c.began) {
			return true
		}
		if !isUsers && !p.countAttempt(t, c.began) {
			return true
		}
		p.abandon(t, err)
		return false
	})
}

// countAttempt counts a failed start, and reports whether t had enough of them.
// Starts that failed side by side count as one.
func (p *Pool) countAttempt(t *task, began time.Time) (enough bool) {
	if t.startAttempts > 0 && !began.After(t.attemptsAt) {
		return false
	}
	t.startAttempts++
	t.attemptsAt = p.now
	return t.startAttempts >= p.cfg.MaxStartAttempts
}

// eachWaiting calls visit for a's waiting tasks in order, and lets go of those
// for which it returns false.
func (p *Pool) eachWaiting(a *action, visit func(*task) (keep bool)) {
	for range a.waiting.length {
		if t := p.dequeue(a); visit(t) {
			p.enqueue(t, false)
		}
	}
}
