package pool

import (
	"cmp"
	"slices"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Candidate is a container that can be evicted: a paused or idle one, or a stem
// cell.
type Candidate struct {
	Container ContainerID
	Kind      string
	Memory    entity.Megabytes
	// State is Idle, Paused or StemCell.
	State State
	// LastUsed is the end of the last run, or the start of a stem cell.
	LastUsed time.Time
	// Priority says how much its loss would cost, beside that of others (see
	// GreedyDual).
	Priority float64
}

// LeastRecentlyUsed takes paused containers first, then stem cells, which can be
// refilled behind any job's back, then idle ones; and the oldest first among each.
func LeastRecentlyUsed(a, b Candidate) int {
	rank := func(c Candidate) int {
		switch c.State {
		case Paused:
			return 0
		case StemCell:
			return 1
		}
		return 2
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), a.LastUsed.Compare(b.LastUsed), cmp.Compare(a.Container, b.Container))
}

// evictFor removes as few containers as make room for a's next one, or none if
// they cannot. An action that has containers takes only what has not been used
// for longer than it would wait, so that two busy actions do not take turns; one
// that has none takes all but those that are hot.
func (p *Pool) evictFor(a *action, wait time.Duration) bool {
	need := p.promised() + a.class.memory - p.cfg.Memory
	var unusedSince time.Time
	if a.slots > 0 {
		unusedSince = p.now.Add(-wait)
	}
	candidates := slices.DeleteFunc(p.evictable(unusedSince), func(c Candidate) bool {
		return p.isHot(p.containers[c.Container])
	})
	var sum entity.Megabytes
	for _, c := range candidates {
		sum += c.Memory
	}
	if sum < need {
		return false
	}
	p.evict(candidates, need)
	return true
}

// isHot reports whether an idle container will very likely be used again in a
// moment, much sooner than it could be started again: its evictor, were it as busy,
// would lose it again at once, and both would only start containers. A container
// is hot for no longer than its fair time, and jobs that have aged take it.
func (p *Pool) isHot(c *member) bool {
	const patience = 4 // times the usual gap
	if c.state != Idle || !c.action.gap.known {
		return false
	}
	start, init := p.costsFor(c.action)
	expected := patience * c.action.gap.mean
	end := c.lastUsed.Add(expected)
	if fairEnd := c.assignedAt.Add(p.fairTime(c.action)); fairEnd.Before(end) {
		end = fairEnd
	}
	if expected >= start+init || !p.now.Before(end) {
		return false
	}
	p.wakeAt(end)
	return true
}

// evictable returns the containers that can go, best victim first; with a time,
// those that have not been used since.
func (p *Pool) evictable(unusedSince time.Time) []Candidate {
	var candidates []Candidate
	for _, state := range []State{Paused, StemCell, Idle} {
		for c := range p.lists[state].all {
			if !unusedSince.IsZero() && c.lastUsed.After(unusedSince) {
				continue
			}
			candidates = append(candidates, Candidate{
				Container: c.id, Kind: c.class.kind, Memory: c.class.memory, State: state, LastUsed: c.lastUsed,
				Priority: p.priority(c),
			})
		}
	}
	slices.SortFunc(candidates, p.cfg.Eviction)
	return candidates
}

// evict removes containers until need is met, sparing those that turn out to be
// unnecessary beside bigger ones that were chosen later.
func (p *Pool) evict(candidates []Candidate, need entity.Megabytes) {
	var sum entity.Megabytes
	chosen := candidates[:0:0]
	for _, c := range candidates {
		if sum >= need {
			break
		}
		chosen = append(chosen, c)
		sum += c.Memory
	}
	for i := len(chosen) - 1; i >= 0; i-- {
		if spared := chosen[i].Memory; sum-spared >= need {
			sum -= spared
			chosen = slices.Delete(chosen, i, i+1)
		}
	}
	for _, c := range chosen {
		victim := p.containers[c.Container]
		p.clock = max(p.clock, c.Priority)
		p.evicted++
		if victim.state == StemCell {
			p.lostStemCell(victim)
		}
		p.remove(victim)
	}
}

// oldestStarving returns the starving action whose head has waited longest, or
// nil; those that back off after failures are passed over.
func (p *Pool) oldestStarving() *action {
	if p.starving == 0 {
		return nil
	}
	var oldest *action
	for _, n := range p.ring {
		for _, a := range n.waiting {
			if a.starving && (oldest == nil || a.waiting.head.enqueued.Before(oldest.waiting.head.enqueued)) && !p.isBackingOff(a) {
				oldest = a
			}
		}
	}
	return oldest
}

// isAged reports whether a's head has waited so long that memory is kept for it.
func (p *Pool) isAged(a *action) bool {
	due := a.waiting.head.enqueued.Add(p.cfg.ReserveAfter)
	if p.now.Before(due) {
		p.wakeAt(due)
		return false
	}
	return true
}

// reserve keeps all memory that becomes free for a, and removes idle containers
// although they do not suffice yet. Other actions start nothing meanwhile; warm
// containers go on. It reports whether that made enough room after all, and a's
// container is planned.
func (p *Pool) reserve(a *action) bool {
	p.reserved = a
	if need := p.promised() + a.class.memory - p.cfg.Memory; need > 0 {
		p.evict(p.evictable(time.Time{}), need)
	}
	if !p.startFor(a, Recreated) {
		return false
	}
	p.reserved = nil
	return true
}

// yields reports whether c, in which a run has just ended, is taken from its
// action although jobs wait for it, because another action has no container:
// either c's action has more than one and the memory suffices, or the other has
// waited too long, c has served for a fair time, and its action's next job is
// younger.
func (p *Pool) yields(c *member) bool {
	a := c.action
	if p.starving == 0 || a.waiting.length == 0 {
		return false
	}
	poor := p.oldestStarving()
	if poor == nil {
		return false
	}
	need := poor.class.memory - (p.cfg.Memory - p.promised())
	if need <= 0 {
		return false
	}
	if a.slots > a.concurrency && need <= c.class.memory+p.memory[Idle]+p.memory[Paused]+p.memory[StemCell] {
		return true
	}
	return p.isAged(poor) && !p.now.Before(c.assignedAt.Add(p.fairTime(a))) &&
		(a.slots > a.concurrency || poor.waiting.head.enqueued.Before(a.waiting.head.enqueued))
}

// fairTime is how long a container serves its action before it can be taken for
// another: long enough for starts to be a small part of the work.
func (p *Pool) fairTime(a *action) time.Duration {
	const startsWorth = 5
	start, init := p.costsFor(a)
	return max(p.cfg.ReserveAfter, startsWorth*(start+init))
}
