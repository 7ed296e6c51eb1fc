package pool

import "time"

// idleLimit is how long a container stays Idle.
func (p *Pool) idleLimit() time.Duration {
	if p.cfg.PauseGrace > 0 {
		return p.cfg.PauseGrace
	}
	return p.cfg.IdleTimeout
}

// retireIdle pauses containers that have been idle for PauseGrace and removes
// those that have been paused for IdleTimeout.
func (p *Pool) retireIdle() {
	for c := range p.lists[Paused].all {
		if p.now.Before(c.pausedAt.Add(p.cfg.IdleTimeout)) {
			break
		}
		p.remove(c)
	}
	for c := range p.lists[Idle].all {
		if p.now.Before(c.lastUsed.Add(p.idleLimit())) {
			break
		}
		if p.cfg.PauseGrace <= 0 {
			p.remove(c)
			continue
		}
		p.move(c, Pausing)
		p.emit(Effect{Op: Pause, Container: c.id})
	}
}

// resume wakes c for a waiting job. A container that is still being paused is
// resumed as soon as it has been.
func (p *Pool) resume(c *member) {
	if c.state == Pausing {
		c.wake = true
	} else {
		p.move(c, Resuming)
		p.emit(Effect{Op: Resume, Container: c.id})
	}
	c.action.grownAt = p.now
	p.reckon(c)
}

func (p *Pool) pauseDone(id ContainerID, err error) {
	c := p.containers[id]
	if c == nil || c.state != Pausing {
		return
	}
	isWanted := c.wake && c.action.waiting.length > 0
	c.wake = false
	switch {
	case err != nil:
		p.remove(c)
	case isWanted:
		p.move(c, Resuming)
		p.emit(Effect{Op: Resume, Container: c.id})
	default:
		c.pausedAt = p.now
		p.move(c, Paused)
	}
	p.dispatch()
}

func (p *Pool) resumeDone(id ContainerID, err error) {
	c := p.containers[id]
	if c == nil || c.state != Resuming {
		return
	}
	switch {
	case err != nil:
		p.remove(c)
	case c.action.waiting.length > 0:
		p.assign(c, p.dequeue(c.action))
		p.fill(c)
	default:
		c.lastUsed = p.now // keeps the idle list in order
		p.move(c, Idle)
	}
	p.dispatch()
}
