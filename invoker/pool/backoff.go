package pool

import (
	"errors"
	"time"

	"github.com/gowhisk/gowhisk/invoker/container"
)

// backoff holds back starts after failures.
type backoff struct {
	failures int
	until    time.Time
}

// failed notes one more failure at now.
func (b *backoff) failed(now time.Time, first, longest time.Duration) {
	pause := longest
	if b.failures < 16 { // beyond, the shift has long passed any limit
		pause = min(longest, first<<b.failures)
	}
	b.failures++
	b.until = now.Add(pause)
}

// backOff holds back starts of a class. Failures of starts that ran side by side
// count as one.
func (p *Pool) backOff(k class) {
	b := p.backoffs[k]
	if b == nil {
		b = &backoff{}
		p.backoffs[k] = b
	}
	if p.now.Before(b.until) {
		return
	}
	b.failed(p.now, p.cfg.StartBackoff, p.cfg.MaxStartBackoff)
}

// isBackingOff reports whether a must not start a container yet, and sees to it
// that it is asked again when it may.
func (p *Pool) isBackingOff(a *action) bool {
	until := a.notBefore
	if b := p.backoffs[a.class]; b != nil && b.until.After(until) {
		until = b.until
	}
	if !p.now.Before(until) {
		return false
	}
	p.wakeAt(until)
	return true
}

// isStartError: the action's owner can mend it.
func isStartError(err error) bool {
	var users *container.StartError
	return errors.As(err, &users)
}
