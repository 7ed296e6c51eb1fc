package pool

// drain refuses new jobs from now on.
func (p *Pool) drain(handBack bool) {
	p.draining = true
	p.handBack = p.handBack || handBack
	if handBack {
		for len(p.ring) > 0 {
			a := p.ring[0].waiting[0]
			p.eachWaiting(a, func(t *task) bool {
				p.abandon(t, ErrHandedBack)
				return false
			})
		}
		p.startPlanned() // drops those that nobody needs any more
	}
	p.dispatch()
}

// sweep removes, while draining, every container that no waiting job needs.
func (p *Pool) sweep() {
	for _, state := range []State{Idle, Paused} {
		for c := range p.lists[state].all {
			if c.action.waiting.length == 0 {
				p.remove(c)
			}
		}
	}
	if p.waiting > 0 {
		return
	}
	p.startPlanned()
	for c := range p.lists[StemCell].all {
		p.take(c)
		p.remove(c)
	}
}

// IsDrained reports whether Drain has come to its end: no job and no container is
// left.
func (p *Pool) IsDrained() bool {
	return p.draining && len(p.jobs) == 0 && len(p.containers) == 0
}
