package pool

import "fmt"

// submit runs the job at once where a warm container has room, and otherwise
// lets it wait and looks for a container.
func (p *Pool) submit(job *Job) {
	if p.draining {
		p.emit(Effect{Op: Refuse, Job: job, Err: ErrClosed})
		return
	}
	if _, exists := p.jobs[job.ActivationID]; exists {
		p.emit(Effect{Op: Refuse, Job: job, Err: ErrDuplicate})
		return
	}
	a := p.actionOf(job)
	if a.active == 0 && a.waiting.length == 0 && !a.idleSince.IsZero() {
		a.gap.add(p.now.Sub(a.idleSince))
	}
	t := &task{job: job, action: a, enqueued: p.now}
	p.jobs[job.ActivationID] = t
	if job.Memory > p.cfg.Memory {
		p.abandon(t, fmt.Errorf("%w: %d MB of %d MB", ErrTooBig, job.Memory, p.cfg.Memory))
		p.judge(a)
		return
	}
	if c := a.open.front; c != nil && a.waiting.length == 0 {
		p.assign(c, t)
		return
	}
	p.enqueue(t, false)
	if a.slots == 0 {
		p.dispatch()
		return
	}
	p.grow(a)
}

func (p *Pool) actionOf(job *Job) *action {
	a := p.actions[job.ReuseKey]
	if a == nil {
		a = &action{
			key:         job.ReuseKey,
			class:       class{kind: job.Kind, image: job.Image, memory: job.Memory},
			concurrency: max(1, job.Concurrency),
			stemCells:   job.StemCells,
			open:        memberList{link: byAction},
		}
		p.actions[job.ReuseKey] = a
	}
	return a
}

// assign runs t in c, which is open or a container that is ready for /init.
func (p *Pool) assign(c *member, t *task) {
	a := t.action
	t.container = c
	t.initialising = c.state == StemCell || c.state == Starting
	startKind := Warmed
	t.runStart = p.now
	if t.initialising {
		startKind = c.origin
		c.assignedAt = p.now
		c.initialiser = t
		a.initialising++
	} else {
		a.lastRunStart = p.now
	}
	c.active++
	c.lastUsed = p.now
	a.active++
	a.uses.add(p.now, p.cfg.IdleTimeout)
	c.clock = p.clock
	switch c.state {
	case Running:
		p.reckon(c)
	case Idle, Resuming:
		p.move(c, Running)
	default:
		p.move(c, Initializing)
	}
	p.emit(Effect{Op: Run, Container: c.id, Job: t.job, Initialise: t.initialising, StartKind: startKind})
}

// fill gives waiting jobs of its action to c while it is open.
func (p *Pool) fill(c *member) {
	for a := c.action; a.waiting.length > 0 && c.isOpen(); {
		p.assign(c, p.dequeue(a))
	}
}

func (p *Pool) initialised(id ContainerID) {
	c := p.containers[id]
	if c == nil || c.state != Initializing {
		return
	}
	p.warm(c)
	p.fill(c)
	p.grow(c.action)
}

// warm notes that c has been initialised by its only job.
func (p *Pool) warm(c *member) {
	a := c.action
	took := p.now.Sub(c.assignedAt)
	p.costOf(a.class.kind).init.add(took)
	a.init.addFalling(took)
	c.initialiser.runStart = p.now
	c.initialiser = nil
	a.initialising--
	a.lastRunStart = p.now
	a.grownAt = p.now
	p.move(c, Running)
}

func (p *Pool) finished(e Finished) {
	t := p.jobs[e.ActivationID]
	c := p.containers[e.Container]
	if t == nil || c == nil || t.container != c {
		return
	}
	a := t.action
	switch {
	case c.state != Initializing:
		if e.Outcome != Reschedule {
			a.duration.add(p.now.Sub(t.runStart))
		}
	case e.Outcome == Keep:
		p.warm(c) // a runner that keeps the container has initialised it
	default:
		a.initialising--
	}
	c.active--
	a.active--
	c.lastUsed = p.now
	if e.Outcome == Reschedule {
		p.reschedule(t)
	} else {
		delete(p.jobs, e.ActivationID)
	}
	if a.active == 0 {
		a.idleSince = p.now
	}
	p.afterRun(c, e.Outcome)
}

// reschedule puts a job that has not run back to the front of its queue, or
// gives it up when too many containers have refused it.
func (p *Pool) reschedule(t *task) {
	if p.handBack {
		p.abandon(t, ErrHandedBack)
		return
	}
	if t.reschedules++; t.reschedules > p.cfg.MaxReschedules {
		p.abandon(t, fmt.Errorf("%w: %d were tried", ErrUnreachable, t.reschedules))
		return
	}
	p.enqueue(t, true)
}

// afterRun decides what c does next, its active count being one lower.
func (p *Pool) afterRun(c *member, outcome Outcome) {
	a := c.action
	switch {
	case c.state == Retiring:
		if c.active == 0 {
			p.remove(c)
		}
	case outcome != Keep || p.yields(c):
		p.retire(c)
	default:
		p.reckon(c)
		p.fill(c)
		if c.active > 0 {
			p.grow(a)
			return
		}
		p.move(c, Idle)
	}
	for a.waiting.length > 0 && a.open.front != nil {
		p.fill(a.open.front) // with a job that came back from c
	}
	if p.waiting > 0 {
		p.dispatch()
	}
}

// retire removes c, once the jobs in it have ended.
func (p *Pool) retire(c *member) {
	if c.active > 0 {
		p.move(c, Retiring)
		return
	}
	p.remove(c)
}

// remove has c, in which nothing runs, destroyed.
func (p *Pool) remove(c *member) {
	p.move(c, Removing)
	p.emit(Effect{Op: Remove, Container: c.id})
}

func (p *Pool) removed(id ContainerID) {
	c := p.containers[id]
	if c == nil || c.state != Removing {
		return
	}
	p.move(c, Gone)
	p.startPlanned()
	if p.waiting > 0 {
		p.dispatch()
	}
}
