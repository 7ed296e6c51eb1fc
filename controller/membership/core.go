// Package membership knows which controllers of the cluster live, and sees to what the
// dead ones and dead invokers leave behind (durability.md section 3).
//
// Core is pure: it is told what was heard and what time it is, and says what is to be
// done; it starts no goroutines, reads no clock and does no I/O. Members owns a Core,
// sends this controller's heartbeats, and does what Core says.
package membership

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Config holds the knobs.
type Config struct {
	// Controller is this controller, UniqueName this process.
	Controller entity.ControllerID
	UniqueName string
	// BeatInterval is between heartbeats.
	BeatInterval time.Duration
	// Silence is after how long a controller counts as dead.
	Silence time.Duration
	// Settling is how long the number of controllers must stay the same before
	// anybody is told.
	Settling time.Duration
	// TakeOver is after how long of silence a controller's work is taken over.
	TakeOver time.Duration
	// DrainAfter is how long an invoker must be offline until its queue is drained.
	DrainAfter time.Duration
}

// DefaultConfig returns the times of a cluster (durability.md section 3); Controller and
// UniqueName are to be set.
func DefaultConfig() Config {
	return Config{
		BeatInterval: time.Second, Silence: 10 * time.Second, Settling: 3 * time.Second,
		TakeOver: 30 * time.Second, DrainAfter: 20 * time.Second,
	}
}

// Kind is what a duty is about.
type Kind int

const (
	// DrainInvoker: the queue of a dead invoker.
	DrainInvoker Kind = iota + 1
	// TakeJournal: what a dead controller had to see through.
	TakeJournal
	// DrainOverflow: what waits for room in the queue of a dead controller.
	DrainOverflow
)

func (k Kind) String() string {
	switch k {
	case DrainInvoker:
		return "drain invoker"
	case TakeJournal:
		return "take journal"
	case DrainOverflow:
		return "drain overflow"
	}
	return "duty " + strconv.Itoa(int(k))
}

// Duty is something to be done for a dead member. It identifies itself.
type Duty struct {
	Kind       Kind
	Invoker    entity.InvokerID
	Controller entity.ControllerID
}

func (d Duty) String() string {
	if d.Kind == DrainInvoker {
		return fmt.Sprintf("%s %d", d.Kind, d.Invoker)
	}
	return fmt.Sprintf("%s %s", d.Kind, d.Controller)
}

// Pauses before a duty is done again: after a failure, and, because a member that dies
// may still be sent something, after it was done.
const (
	firstRetry  = time.Second
	lastRetry   = time.Minute
	firstRepeat = time.Minute
	lastRepeat  = time.Hour
)

// peer is another controller.
type peer struct {
	heard   time.Time
	leaving bool
}

// duty is a Duty while its target is dead.
type duty struct {
	running bool
	// next is when it is due, pause what next was put off by.
	next  time.Time
	pause time.Duration
	done  bool // the last time, it succeeded
}

// Effects are what is to be done.
type Effects struct {
	// Controllers is how many there are, when that is news; else 0.
	Controllers int
	// Begin these duties; Finished tells how they ended.
	Begin []Duty
	// Stop these, whose targets live again or are another's: cancel them, which ends
	// them as any error does.
	Stop []Duty
}

// Core is the pure part of membership. It is not safe for concurrent use.
type Core struct {
	cfg     Config
	began   time.Time
	leaving bool
	peers   map[entity.ControllerID]*peer
	duties  map[Duty]*duty

	told    int // controllers, as last told
	count   int // controllers, as last counted
	changed time.Time
}

// NewCore returns the membership of a controller that begins now. known are controllers
// that existed before, which may be dead: they are given as long as if they had just been
// heard.
func NewCore(cfg Config, known []entity.ControllerID, now time.Time) *Core {
	c := &Core{cfg: cfg, began: now, peers: make(map[entity.ControllerID]*peer), duties: make(map[Duty]*duty), told: 1, count: 1, changed: now}
	for _, id := range known {
		if id != cfg.Controller {
			c.peers[id] = &peer{heard: now, leaving: true}
		}
	}
	return c
}

// Beat takes in a heartbeat.
func (c *Core) Beat(h *bus.Heartbeat, now time.Time) {
	if h.Controller != c.cfg.Controller {
		c.peers[h.Controller] = &peer{heard: now, leaving: h.Leaving}
	}
}

// Leave says that this controller stops: it counts no more, and does nothing for others.
func (c *Core) Leave() { c.leaving = true }

// Alive reports whether a controller lives and stays.
func (c *Core) Alive(id entity.ControllerID, now time.Time) bool {
	if id == c.cfg.Controller {
		return !c.leaving
	}
	p := c.peers[id]
	return p != nil && !p.leaving && now.Sub(p.heard) < c.cfg.Silence
}

// Controllers returns how many controllers live, with this one.
func (c *Core) Controllers(now time.Time) int {
	n := 1
	for id := range c.peers {
		if c.Alive(id, now) {
			n++
		}
	}
	return n
}

// leads reports whether this controller does the cluster's duties: it has the lowest id
// of those that live, and has listened for long enough to know.
func (c *Core) leads(now time.Time) bool {
	if c.leaving || now.Sub(c.began) < c.cfg.Silence {
		return false
	}
	for id := range c.peers {
		if c.Alive(id, now) && compare(id, c.cfg.Controller) < 0 {
			return false
		}
	}
	return true
}

// compare orders ids: numbers by their value and before all others.
func compare(a, b entity.ControllerID) int {
	x, errA := strconv.Atoi(string(a))
	y, errB := strconv.Atoi(string(b))
	switch {
	case errA == nil && errB == nil:
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, b))
	case errA == nil:
		return -1
	case errB == nil:
		return 1
	}
	return cmp.Compare(a, b)
}

// Tick says what is to be done now. offline are the invokers that are offline for
// longer than cfg.DrainAfter.
func (c *Core) Tick(offline []entity.InvokerID, now time.Time) (e Effects) {
	if n := c.Controllers(now); n != c.count {
		c.count, c.changed = n, now
	}
	if c.count != c.told && now.Sub(c.changed) >= c.cfg.Settling {
		c.told, e.Controllers = c.count, c.count
	}
	due := c.due(offline, now)
	for d, state := range c.duties {
		if !slices.Contains(due, d) {
			delete(c.duties, d)
			if state.running {
				e.Stop = append(e.Stop, d)
			}
		}
	}
	for _, d := range due {
		state := c.duties[d]
		if state == nil {
			state = new(duty)
			c.duties[d] = state
		}
		if !state.running && !now.Before(state.next) {
			state.running = true
			e.Begin = append(e.Begin, d)
		}
	}
	slices.SortFunc(e.Stop, func(a, b Duty) int { return cmp.Compare(a.String(), b.String()) })
	return e
}

// due lists the duties of this controller, in order.
func (c *Core) due(offline []entity.InvokerID, now time.Time) (due []Duty) {
	if !c.leads(now) {
		return nil
	}
	for _, id := range offline {
		due = append(due, Duty{Kind: DrainInvoker, Invoker: id})
	}
	for id, p := range c.peers {
		if now.Sub(p.heard) >= c.cfg.TakeOver {
			due = append(due, Duty{Kind: TakeJournal, Controller: id}, Duty{Kind: DrainOverflow, Controller: id})
		}
	}
	slices.SortFunc(due, func(a, b Duty) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Invoker, b.Invoker), compare(a.Controller, b.Controller))
	})
	return due
}

// Finished takes in that a duty that was begun has ended.
func (c *Core) Finished(d Duty, err error, now time.Time) {
	state := c.duties[d]
	if state == nil { // it was stopped
		return
	}
	first, last := firstRepeat, lastRepeat
	if err != nil {
		first, last = firstRetry, lastRetry
	}
	if done := err == nil; done != state.done {
		state.done, state.pause = done, 0
	}
	state.pause = min(max(2*state.pause, first), last)
	state.running, state.next = false, now.Add(state.pause)
}
