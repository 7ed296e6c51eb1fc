package balancer

import (
	"slices"
	"time"

	"github.com/gowhisk/gowhisk/controller/invoke"
)

const (
	// maxActions bounds the actions whose durations are remembered.
	maxActions = 200_000
	// memory of durations: after so many activations half of what was seen is forgotten.
	durationMemory = 64
	// unknownDuration is taken for an action that has not ended yet: nothing waits for
	// it.
	unknownDuration = time.Hour
)

// durations measures how long activations of one action are served, by Little's law:
// the time that containers were busy with them, divided by how many ended. What waits
// is not served, so that a queue does not look like a slow action. What never reached
// its invoker, or was lost, is not counted as served: it makes an action look slower
// than it is, never quicker.
type durations struct {
	// loads are where activations of the action are under way, in the order in which
	// they came: first its home.
	loads   []*load
	vacant  int // places in their containers that nothing has
	serving int // that occupy a place in a container now
	served  float64
	busy    time.Duration
	since   time.Time // until when busy was counted
}

// at returns the action's load on an invoker, nil if there is none.
func (d *durations) at(i *invoker) *load {
	for _, l := range d.loads {
		if l.invoker == i {
			return l
		}
	}
	return nil
}

// on returns the action's load on an invoker, an empty one if there was none.
func (d *durations) on(i *invoker) *load {
	if l := d.at(i); l != nil {
		return l
	}
	l := &load{invoker: i}
	d.loads = append(d.loads, l)
	return l
}

func (d *durations) remove(l *load) {
	d.loads = slices.DeleteFunc(d.loads, func(x *load) bool { return x == l })
}

// advance counts the time since the last change.
func (d *durations) advance(now time.Time) {
	if !d.since.IsZero() && now.After(d.since) {
		d.busy += time.Duration(d.serving) * now.Sub(d.since)
	}
	d.since = now
	if d.served > durationMemory {
		d.served /= 2
		d.busy /= 2
	}
}

// mean is how long one activation is served.
func (d *durations) mean() time.Duration {
	if d.served < 1 {
		return unknownDuration
	}
	return time.Duration(float64(d.busy) / d.served)
}

// wait is how long the n-th that waits is expected to wait for one of some places.
func (d *durations) wait(n, places int) time.Duration {
	if places == 0 {
		return unknownDuration
	}
	return d.mean() * time.Duration(n) / time.Duration(places)
}

// actions remembers durations by action.
type actions struct{ by map[actionKey]*durations }

func newActions() actions { return actions{make(map[actionKey]*durations)} }

func (a *actions) of(p *invoke.Placement) *durations {
	key := actionKey{p.Namespace, p.Action, p.Version}
	d := a.by[key]
	if d == nil {
		if len(a.by) >= maxActions {
			a.forget()
		}
		d = &durations{}
		a.by[key] = d
	}
	return d
}

// forget drops actions that have nothing under way, whichever come first, until a
// quarter is gone.
func (a *actions) forget() {
	left := maxActions / 4
	for key, d := range a.by {
		if len(d.loads) == 0 {
			delete(a.by, key)
			if left--; left == 0 {
				return
			}
		}
	}
}
