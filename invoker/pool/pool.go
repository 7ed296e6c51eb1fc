package pool

import (
	"slices"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Pool decides. It is not safe for concurrent use; Loop is.
type Pool struct {
	cfg Config
	now time.Time
	// effects is reused: the slice that Step returned is valid until the next Step.
	effects []Effect

	jobs       map[string]*task // by activation id
	actions    map[string]*action
	namespaces map[string]*namespace
	// ring holds the namespaces with waiting jobs, in the order in which memory is
	// granted to them.
	ring       []*namespace
	containers map[ContainerID]*member
	lastID     ContainerID

	// lists hold the containers of the states that are searched: Planned in order
	// of promise, Idle by last use, Paused by time of pause, StemCell by start.
	lists [stateCount]*memberList
	// counts and memory are by state.
	counts [stateCount]int
	memory [stateCount]entity.Megabytes

	waiting  int // jobs
	starving int // actions that have waiting jobs and no container
	spare    int // slots in containers that run something already
	stems    []*stemCells
	costs    map[string]*cost // by kind
	backoffs map[class]*backoff
	refills  bucket // of stem cells

	// clock is the highest priority of the containers that were evicted; evicted
	// counts them.
	clock   float64
	evicted uint64

	// reserved is the action for which memory is being kept.
	reserved *action
	// wakeUp is when waiting work or a refill is worth another look; zero for never.
	wakeUp    time.Time
	nextCheck time.Time // of reactive stem cells
	forgetAt  time.Time // next look for dormant actions
	draining  bool
	handBack  bool // and jobs that were not started are handed back

	// observe, if set, is told of every transition.
	observe func(from, to State)
}

// New returns an empty pool; its stem cells start with the first Tick.
func New(cfg Config) *Pool {
	if cfg.Eviction == nil {
		cfg.Eviction = GreedyDual
	}
	p := &Pool{
		cfg:        cfg,
		jobs:       make(map[string]*task),
		actions:    make(map[string]*action),
		namespaces: make(map[string]*namespace),
		containers: make(map[ContainerID]*member),
		costs:      make(map[string]*cost),
		backoffs:   make(map[class]*backoff),
	}
	for _, s := range []State{Planned, StemCell, Idle, Paused} {
		p.lists[s] = &memberList{link: byState}
	}
	for _, c := range cfg.StemCells {
		p.stems = append(p.stems, newStemCells(c))
	}
	return p
}

// Step takes an event that happened at now, which never goes back, and returns
// what to do. The result is valid until the next call.
func (p *Pool) Step(now time.Time, event Event) []Effect {
	p.now = now
	clear(p.effects) // lets go of jobs
	p.effects = p.effects[:0]
	switch e := event.(type) {
	case Submit:
		p.submit(e.Job)
	case Finished:
		p.finished(e)
	case Initialised:
		p.initialised(e.Container)
	case Started:
		p.started(e.Container)
	case StartFailed:
		p.startFailed(e.Container, e.Err)
	case PauseDone:
		p.pauseDone(e.Container, e.Err)
	case ResumeDone:
		p.resumeDone(e.Container, e.Err)
	case Removed:
		p.removed(e.Container)
	case Drain:
		p.drain(e.HandBack)
	case Tick:
		p.tick()
	}
	if p.draining {
		p.sweep()
	} else if len(p.stems) > 0 {
		p.refill()
	}
	return p.effects
}

func (p *Pool) emit(e Effect) { p.effects = append(p.effects, e) }

// move puts c into a state and keeps every index of containers.
func (p *Pool) move(c *member, to State) {
	from := c.state
	to.mustFollow(from, c.id)
	if p.observe != nil {
		p.observe(from, to)
	}
	p.counts[from]--
	p.memory[from] -= c.class.memory
	if list := p.lists[from]; list != nil {
		list.remove(c)
	}
	c.state = to
	if to == Gone {
		delete(p.containers, c.id)
	} else {
		p.counts[to]++
		p.memory[to] += c.class.memory
		if list := p.lists[to]; list != nil {
			list.pushBack(c)
		}
	}
	p.reckon(c)
}

// reckon brings the sums of the action and the pool up to date with c.
func (p *Pool) reckon(c *member) {
	a := c.action
	if a == nil {
		return
	}
	slots, spare := 0, 0
	if c.isServing() || c.isComing() {
		slots = a.concurrency
	}
	isOpen := c.isOpen()
	if isOpen && c.active > 0 {
		spare = a.concurrency - c.active
	}
	if isOpen != a.open.contains(c) {
		if isOpen {
			a.open.pushFront(c)
		} else {
			a.open.remove(c)
		}
	}
	p.spare += spare - c.spare
	a.slots += slots - c.slots
	c.slots, c.spare = slots, spare
	if c.state == Gone {
		a.drop(c)
	}
	p.judge(a)
}

// judge keeps the count of starving actions.
func (p *Pool) judge(a *action) {
	if starving := a.waiting.length > 0 && a.slots == 0; starving != a.starving {
		a.starving = starving
		if starving {
			p.starving++
		} else {
			p.starving--
		}
	}
	if a.isDormant() {
		a.dormantSince = p.now
		if p.forgetAt.IsZero() {
			p.forgetAt = p.now.Add(p.cfg.IdleTimeout)
		}
	}
}

// held is the memory that containers occupy now.
func (p *Pool) held() (sum entity.Megabytes) {
	for s := Starting; s < Gone; s++ {
		sum += p.memory[s]
	}
	return sum
}

// promised is the memory that will be occupied once all containers that are
// leaving are gone and all planned ones have started.
func (p *Pool) promised() (sum entity.Megabytes) {
	for s := Planned; s < Retiring; s++ {
		sum += p.memory[s]
	}
	return sum
}

// wakeAt asks for a Tick at t, if that is still to come.
func (p *Pool) wakeAt(t time.Time) {
	if t.After(p.now) && (p.wakeUp.IsZero() || t.Before(p.wakeUp)) {
		p.wakeUp = t
	}
}

// Deadline is when the next Tick is due; ok is false if only an event can change
// anything. Later Steps may bring it forward.
func (p *Pool) Deadline() (at time.Time, ok bool) {
	consider := func(t time.Time) {
		if !t.IsZero() && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	consider(p.wakeUp)
	consider(p.forgetAt)
	if p.draining {
		return at, ok
	}
	consider(p.nextCheck)
	if c := p.lists[Idle].front; c != nil {
		consider(c.lastUsed.Add(p.idleLimit()))
	}
	if c := p.lists[Paused].front; c != nil {
		consider(c.pausedAt.Add(p.cfg.IdleTimeout))
	}
	for c := range p.lists[StemCell].all {
		if c.stem == nil { // those of a configured set expire at the checks
			consider(c.expires)
		}
	}
	return at, ok
}

// tick does what has become due.
func (p *Pool) tick() {
	p.wakeUp = time.Time{}
	if !p.draining {
		p.retireIdle()
		p.checkStemCells()
	}
	if !p.forgetAt.IsZero() && !p.now.Before(p.forgetAt) {
		p.forget()
	}
	p.dispatch()
}

// forget drops the records of actions that have been dormant for IdleTimeout.
func (p *Pool) forget() {
	p.forgetAt = time.Time{}
	for key, a := range p.actions {
		if !a.isDormant() {
			continue
		}
		if due := a.dormantSince.Add(p.cfg.IdleTimeout); p.now.Before(due) {
			if p.forgetAt.IsZero() || due.Before(p.forgetAt) {
				p.forgetAt = due
			}
			continue
		}
		delete(p.actions, key)
	}
	for kind, b := range p.backoffs {
		if p.now.After(b.until) {
			delete(p.backoffs, kind)
		}
	}
}

// enqueue lets t wait at the back of its action's queue, or at its front.
func (p *Pool) enqueue(t *task, front bool) {
	a := t.action
	t.container = nil
	if front {
		a.waiting.pushFront(t)
	} else {
		a.waiting.pushBack(t)
	}
	p.waiting++
	if a.waiting.length == 1 {
		n := p.namespaces[t.job.Namespace]
		if n == nil {
			n = &namespace{name: t.job.Namespace}
			p.namespaces[n.name] = n
			p.ring = append(p.ring, n)
		}
		a.namespace = n
		n.waiting = append(n.waiting, a)
	}
	p.judge(a)
}

// dequeue takes the head of a's queue.
func (p *Pool) dequeue(a *action) *task {
	t := a.waiting.popFront()
	p.waiting--
	if a.waiting.length == 0 {
		n := a.namespace
		n.waiting = slices.DeleteFunc(n.waiting, func(other *action) bool { return other == a })
		if len(n.waiting) == 0 {
			delete(p.namespaces, n.name)
			p.ring = slices.DeleteFunc(p.ring, func(other *namespace) bool { return other == n })
		}
		if p.reserved == a {
			p.reserved = nil
		}
	}
	p.judge(a)
	return t
}

// abandon ends a job that no container will run.
func (p *Pool) abandon(t *task, err error) {
	delete(p.jobs, t.job.ActivationID)
	p.emit(Effect{Op: Abandon, Job: t.job, Err: err})
}
