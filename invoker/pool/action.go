package pool

import (
	"slices"
	"time"
)

// task is a job in the pool: waiting in its action's queue, or running in a
// container.
type task struct {
	job      *Job
	action   *action
	enqueued time.Time
	// container is nil while the task waits.
	container *member
	// runStart is when the run began, after the initialisation; zero before.
	runStart     time.Time
	initialising bool
	reschedules  int
	// startAttempts counts failed starts; those that began by attemptsAt are
	// one with the last that was counted.
	startAttempts int
	attemptsAt    time.Time
	next          *task
}

// queue is the line of an action's waiting tasks.
type queue struct {
	head, tail *task
	length     int
}

func (q *queue) pushBack(t *task) {
	t.next = nil
	if q.tail == nil {
		q.head = t
	} else {
		q.tail.next = t
	}
	q.tail = t
	q.length++
}

func (q *queue) pushFront(t *task) {
	t.next = q.head
	q.head = t
	if q.tail == nil {
		q.tail = t
	}
	q.length++
}

func (q *queue) popFront() *task {
	t := q.head
	q.head = t.next
	if q.head == nil {
		q.tail = nil
	}
	t.next = nil
	q.length--
	return t
}

// action is what the pool knows of all jobs of one reuse key.
type action struct {
	key         string
	namespace   *namespace
	class       class
	concurrency int
	stemCells   bool

	waiting queue
	// containers are all that belong to the action, in any state but Gone.
	containers []*member
	// open containers can take a job now; the one to use first is in front.
	open memberList
	// active counts the runs under way, initialising those of them that are at
	// /init, and slots the runs that its containers can take now or soon (see
	// member.isServing and isComing).
	active, initialising, slots int
	// starving: jobs wait and slots is zero.
	starving bool

	duration average
	// init is how long /init takes, and uses how often the action runs.
	init average
	uses frequency
	// gap is how long the action is without any job before the next one comes;
	// idleSince is when it last ran out of them.
	gap       average
	idleSince time.Time
	// lastRunStart is when the latest run began.
	lastRunStart time.Time
	// grownAt is when the action's last container was arranged or became ready.
	grownAt time.Time
	// notBefore holds back starts after the user's own mistakes.
	notBefore time.Time
	// dormantSince is when the action lost its last job and container.
	dormantSince time.Time
}

// isDormant: nothing but measurements would be lost with the record.
func (a *action) isDormant() bool {
	return a.waiting.length == 0 && a.active == 0 && len(a.containers) == 0
}

func (a *action) drop(c *member) {
	if i := slices.Index(a.containers, c); i >= 0 {
		a.containers = slices.Delete(a.containers, i, i+1)
	}
}

// namespace holds the actions of a namespace that have waiting jobs, in the
// order in which memory is granted to them.
type namespace struct {
	name    string
	waiting []*action
}
