package overflow

import (
	"slices"
	"sort"
	"time"
)

// Queue holds what waits for room, and lets namespaces take turns, and in each of them
// its actions, each of which is served in the order of arrival. What waits for longer
// than the queue's patience is asked before its turn, oldest first: a large action gets
// the first look at room that becomes free. Queue is pure: it reads no clock. It is not
// safe for concurrent use.
type Queue[T any] struct {
	patience   time.Duration
	namespaces turns[*namespace[T]]
	n          int
	// pass numbers the passes; a line that was refused in this one is not asked again.
	pass int
}

// turns are those who take turns, by name and in their order.
type turns[E any] struct {
	by   map[string]E
	ring []E
	next int
}

func (t *turns[E]) get(name string, fresh func() E) E {
	e, ok := t.by[name]
	if !ok {
		e = fresh()
		if t.by == nil {
			t.by = make(map[string]E)
		}
		t.by[name] = e
		t.ring = append(t.ring, e)
	}
	return e
}

// each calls f with all of them, beginning with whose turn it is, until it returns
// true; whoever comes after that one is next then.
func (t *turns[E]) each(f func(E) bool) bool {
	for i := range t.ring {
		at := (t.next + i) % len(t.ring)
		if f(t.ring[at]) {
			t.next = (at + 1) % len(t.ring)
			return true
		}
	}
	return false
}

// drop forgets those that are empty.
func (t *turns[E]) drop(isEmpty func(E) bool) {
	ring := t.ring
	t.ring = t.ring[:0:0]
	next := 0
	for i, e := range ring {
		if i == t.next {
			next = len(t.ring)
		}
		if !isEmpty(e) {
			t.ring = append(t.ring, e)
		}
	}
	t.next = 0
	if len(t.ring) > 0 {
		t.next = next % len(t.ring)
	}
	for name, e := range t.by {
		if isEmpty(e) {
			delete(t.by, name)
		}
	}
}

type namespace[T any] struct{ lines turns[*line[T]] }

// line is what waits of one action.
type line[T any] struct {
	items   []waiting[T]
	refused int // the latest pass in which its first was
}

type waiting[T any] struct {
	at time.Time
	v  T
}

// NewQueue returns an empty queue.
func NewQueue[T any](patience time.Duration) *Queue[T] { return &Queue[T]{patience: patience} }

// Push adds what waits since at, behind what has waited for longer.
func (q *Queue[T]) Push(ns, action string, at time.Time, v T) {
	l := q.namespaces.get(ns, func() *namespace[T] { return new(namespace[T]) }).lines.get(action, func() *line[T] { return new(line[T]) })
	place := len(l.items)
	for place > 0 && l.items[place-1].at.After(at) {
		place--
	}
	l.items = slices.Insert(l.items, place, waiting[T]{at, v})
	q.n++
}

// Pass offers what waits to try, which takes it or not, until nobody's first is taken
// any more, and returns how many were taken.
func (q *Queue[T]) Pass(now time.Time, try func(T) bool) (taken int) {
	q.pass++
	for _, l := range q.impatient(now) {
		if q.offer(l, try) {
			taken++
		}
	}
	for q.namespaces.each(func(n *namespace[T]) bool {
		return n.lines.each(func(l *line[T]) bool { return q.offer(l, try) })
	}) {
		taken++
	}
	if taken > 0 {
		for _, n := range q.namespaces.ring {
			n.lines.drop(func(l *line[T]) bool { return len(l.items) == 0 })
		}
		q.namespaces.drop(func(n *namespace[T]) bool { return len(n.lines.ring) == 0 })
	}
	return taken
}

// offer offers the first of a line.
func (q *Queue[T]) offer(l *line[T], try func(T) bool) bool {
	if len(l.items) == 0 || l.refused == q.pass {
		return false
	}
	if !try(l.items[0].v) {
		l.refused = q.pass
		return false
	}
	l.items = slices.Delete(l.items, 0, 1)
	q.n--
	return true
}

// impatient returns the lines whose first has waited too long, longest first.
func (q *Queue[T]) impatient(now time.Time) (lines []*line[T]) {
	q.lines(func(l *line[T]) {
		if now.Sub(l.items[0].at) > q.patience {
			lines = append(lines, l)
		}
	})
	sort.SliceStable(lines, func(i, j int) bool { return lines[i].items[0].at.Before(lines[j].items[0].at) })
	return lines
}

// lines calls f with all lines that hold something.
func (q *Queue[T]) lines(f func(*line[T])) {
	for _, n := range q.namespaces.ring {
		for _, l := range n.lines.ring {
			if len(l.items) > 0 {
				f(l)
			}
		}
	}
}

// Len returns how many wait.
func (q *Queue[T]) Len() int { return q.n }

// Waiting returns how many wait of one action.
func (q *Queue[T]) Waiting(ns, action string) int {
	if n := q.namespaces.by[ns]; n != nil {
		if l := n.lines.by[action]; l != nil {
			return len(l.items)
		}
	}
	return 0
}

// Oldest returns since when the oldest waits; false if nothing does.
func (q *Queue[T]) Oldest() (oldest time.Time, ok bool) {
	q.lines(func(l *line[T]) {
		if at := l.items[0].at; !ok || at.Before(oldest) {
			oldest, ok = at, true
		}
	})
	return oldest, ok
}
