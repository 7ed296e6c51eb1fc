package pool

import "time"

// stemCells are the stem cells of one kind and memory size.
type stemCells struct {
	cfg   StemCellConfig
	class class
	// target is how many should stand ready, count how many do or are starting.
	target, count int
	// coldStarts counts starts that a stem cell would have spared, since the
	// previous check.
	coldStarts int
	// uses counts the starts that stem cells have spared, or would have.
	uses    frequency
	backoff backoff
}

func newStemCells(cfg StemCellConfig) *stemCells {
	cfg.Concurrency = max(1, cfg.Concurrency)
	return &stemCells{
		cfg: cfg, target: cfg.InitialCount,
		class: class{kind: cfg.Kind, image: cfg.Image, memory: cfg.Memory},
	}
}

// refill starts missing stem cells: never while jobs wait for memory, never by
// evicting, and few at a time.
func (p *Pool) refill() {
	if p.starving > 0 || p.reserved != nil || p.counts[Planned] > 0 {
		return
	}
	for _, s := range p.stems {
		for s.count < s.target {
			if p.now.Before(s.backoff.until) {
				p.wakeAt(s.backoff.until)
				break
			}
			if p.counts[Starting] >= p.cfg.MaxParallelStarts || p.held()+s.class.memory > p.cfg.Memory || !p.mayRefill() {
				break
			}
			c := p.newMember(s.class, s.cfg.Concurrency)
			c.origin, c.stem = Prewarmed, s
			if r := s.cfg.Reactive; r != nil {
				c.expires = p.now.Add(r.TTL) // from its creation
			}
			s.count++
			p.move(c, Starting)
			p.emit(Effect{
				Op: Start, Container: c.id, Kind: c.class.kind, Image: c.class.image,
				Memory: c.class.memory, Concurrency: c.concurrency,
			})
		}
	}
}

// bucket holds a token for each stem cell that may start.
type bucket struct {
	tokens float64
	at     time.Time
}

// mayRefill takes a token, or sees to it that it is asked again when there is one.
func (p *Pool) mayRefill() bool {
	rate, most := p.cfg.StemCellRate, float64(max(1, p.cfg.MaxParallelStarts))
	if rate <= 0 {
		return true
	}
	b := &p.refills
	if b.at.IsZero() {
		b.tokens = most
	} else {
		b.tokens = min(most, b.tokens+p.now.Sub(b.at).Seconds()*rate)
	}
	b.at = p.now
	if b.tokens < 1 {
		// A little more than the time, so that rounding does not lose the token.
		p.wakeAt(p.now.Add(time.Duration((1-b.tokens)/rate*float64(time.Second)) + time.Microsecond))
		return false
	}
	b.tokens--
	return true
}

// takeStemCell runs a's next job in a stem cell of the same kind and exactly the
// same memory; the one that expires first goes first, and those without an expiry
// last.
func (p *Pool) takeStemCell(a *action) bool {
	var best *member
	for c := range p.lists[StemCell].all {
		if p.fits(c, a) && (best == nil || expiresBefore(c, best)) {
			best = c
		}
	}
	if best == nil {
		return false
	}
	p.countUse(best)
	p.take(best)
	best.origin = Prewarmed
	p.belongTo(best, a)
	p.assign(best, p.dequeue(a))
	return true
}

func expiresBefore(a, b *member) bool {
	return !a.expires.IsZero() && (b.expires.IsZero() || a.expires.Before(b.expires))
}

// adopt makes a stem cell that is still starting the container for a's next job.
func (p *Pool) adopt(a *action) bool {
	if p.counts[Starting] == 0 {
		return false
	}
	var first *member
	for _, c := range p.containers {
		if c.state == Starting && c.action == nil && p.fits(c, a) && (first == nil || c.id < first.id) {
			first = c
		}
	}
	if first == nil {
		return false
	}
	p.countUse(first)
	p.take(first)
	p.belongTo(first, a)
	return true
}

func (p *Pool) fits(c *member, a *action) bool {
	isFree := c.action == nil && a.stemCells || c.action == a
	return isFree && c.class == a.class && c.concurrency >= a.concurrency
}

// countUse notes that a stem cell has spared a start.
func (p *Pool) countUse(c *member) {
	if c.stem != nil {
		c.stem.uses.add(p.now, p.cfg.IdleTimeout)
	}
}

// take takes c out of the stem cells; its replacement starts behind it.
func (p *Pool) take(c *member) {
	if c.stem != nil {
		c.stem.count--
		c.stem = nil
	}
}

// toStemCell keeps a container that has started, but for which no job waits.
func (p *Pool) toStemCell(c *member) {
	c.lastUsed = p.now
	c.origin = Prewarmed
	if a := c.action; a != nil && a.stemCells {
		c.action = nil
		a.slots -= c.slots
		c.slots = 0
		a.drop(c)
		p.move(c, StemCell)
		p.judge(a)
		p.adoptAsStemCell(c)
	} else {
		p.move(c, StemCell)
	}
	if c.stem == nil {
		c.expires = p.now.Add(p.cfg.IdleTimeout)
	}
}

// adoptAsStemCell lets a surplus container fill a gap among the stem cells.
func (p *Pool) adoptAsStemCell(c *member) {
	for _, s := range p.stems {
		if s.class == c.class && s.cfg.Concurrency <= c.concurrency && s.count < s.target {
			s.count++
			c.stem = s
			if r := s.cfg.Reactive; r != nil {
				c.expires = c.began.Add(r.TTL)
			}
			return
		}
	}
}

// lostStemCell notes that a stem cell goes without having been used. Reactive
// ones are not replaced beyond their minimum until the next check.
func (p *Pool) lostStemCell(c *member) {
	s := c.stem
	if s == nil {
		return
	}
	p.take(c)
	if r := s.cfg.Reactive; r != nil {
		s.target = max(r.MinCount, min(s.target, s.count))
	}
}

// stemCellFailed backs off after a stem cell that did not start.
func (p *Pool) stemCellFailed(c *member) {
	const patience = 10 // times that of starts for jobs
	s := c.stem
	p.lostStemCell(c)
	s.backoff.failed(p.now, patience*p.cfg.StartBackoff, patience*p.cfg.MaxStartBackoff)
}

// countColdStart notes a start that a stem cell would have spared.
func (p *Pool) countColdStart(k class) {
	for _, s := range p.stems {
		if s.class.kind == k.kind && s.class.memory == k.memory {
			s.coldStarts++
			s.uses.add(p.now, p.cfg.IdleTimeout)
		}
	}
}

// checkStemCells removes surplus containers past their time and, when the check
// is due, expires stem cells and sets the reactive targets.
func (p *Pool) checkStemCells() {
	for c := range p.lists[StemCell].all {
		if c.stem == nil && !p.now.Before(c.expires) {
			p.remove(c)
		}
	}
	if p.nextCheck.IsZero() {
		if p.hasReactive() {
			p.nextCheck = p.now.Add(p.cfg.ReactiveCheckDelay)
		}
		return
	}
	if p.now.Before(p.nextCheck) {
		return
	}
	p.nextCheck = p.now.Add(max(p.cfg.ReactiveCheckInterval, time.Second))
	p.expireStemCells()
	for _, s := range p.stems {
		s.target = s.cfg.InitialCount
		if r := s.cfg.Reactive; r != nil {
			s.target = r.Desired(s.coldStarts)
		}
		s.coldStarts = 0
	}
}

func (p *Pool) hasReactive() bool {
	for _, s := range p.stems {
		if s.cfg.Reactive != nil {
			return true
		}
	}
	return false
}

// expireStemCells removes stem cells past their time, oldest first.
func (p *Pool) expireStemCells() {
	expired := 0
	for c := range p.lists[StemCell].all {
		if c.stem == nil || c.expires.IsZero() || p.now.Before(c.expires) {
			continue
		}
		if expired++; expired > p.cfg.ReactiveExpirationLimit {
			return
		}
		p.take(c)
		p.remove(c)
	}
}
