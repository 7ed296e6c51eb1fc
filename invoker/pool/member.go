package pool

import (
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// class is what a container was started as; an action needs an equal one.
type class struct {
	kind, image string
	memory      entity.Megabytes
}

// member is a container of the pool.
type member struct {
	id    ContainerID
	state State
	class class
	// concurrency is what the container was started with; the action's own limit
	// may be lower.
	concurrency int
	// action is nil for a stem cell that any action of the class may take.
	action *action
	// stem is what a stem cell was started for; nil for others.
	stem *stemCells
	// origin says how the first job came by the container.
	origin StartKind
	active int
	// clock is the pool's at the last use (see Pool.priority).
	clock float64
	// initialiser is the task whose run initialises the container.
	initialiser *task
	// wake: resume it as soon as it has paused.
	wake bool

	began      time.Time // of the start
	assignedAt time.Time // to the action
	lastUsed   time.Time
	pausedAt   time.Time
	expires    time.Time // zero: never

	// slots and spare are what the container adds to its action's capacity and to
	// the pool's spare slots at present.
	slots, spare int

	links [linkCount]links
}

// isOpen: a job of the action can run in the container now.
func (c *member) isOpen() bool {
	return c.state == Idle || c.state == Running && c.active < c.action.concurrency
}

// isComing: a job of the action will be able to run here soon.
func (c *member) isComing() bool {
	switch c.state {
	case Planned, Starting, Resuming:
		return true
	case Pausing:
		return c.wake
	}
	return false
}

// isServing: jobs of the action run in the container, or can.
func (c *member) isServing() bool {
	return c.state == Initializing || c.state == Running || c.state == Idle
}

// A member can be in one list of the pool (by its state) and, while it can take
// jobs, in its action's list of open containers.
const (
	byState = iota
	byAction
	linkCount
)

type links struct{ prev, next *member }

// memberList is a doubly linked list through links[link] of its members, so that
// the hot path moves containers between lists without allocating.
type memberList struct {
	link        int
	front, back *member
	length      int
}

func (l *memberList) pushBack(c *member) {
	at := &c.links[l.link]
	at.prev, at.next = l.back, nil
	if l.back == nil {
		l.front = c
	} else {
		l.back.links[l.link].next = c
	}
	l.back = c
	l.length++
}

func (l *memberList) pushFront(c *member) {
	at := &c.links[l.link]
	at.prev, at.next = nil, l.front
	if l.front == nil {
		l.back = c
	} else {
		l.front.links[l.link].prev = c
	}
	l.front = c
	l.length++
}

func (l *memberList) contains(c *member) bool {
	return l.front == c || c.links[l.link].prev != nil
}

func (l *memberList) remove(c *member) {
	at := &c.links[l.link]
	if at.prev == nil {
		l.front = at.next
	} else {
		at.prev.links[l.link].next = at.next
	}
	if at.next == nil {
		l.back = at.prev
	} else {
		at.next.links[l.link].prev = at.prev
	}
	*at = links{}
	l.length--
}

// all iterates from the front; the member in hand may be removed.
func (l *memberList) all(yield func(*member) bool) {
	for c := l.front; c != nil; {
		next := c.links[l.link].next
		if !yield(c) {
			return
		}
		c = next
	}
}
