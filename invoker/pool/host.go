package pool

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/invoker/container"
)

// host is a started container with the goroutines that work for it.
type host struct {
	id        ContainerID
	container container.Container
	// tasks holds effects for the goroutines. Its capacity is the container's
	// concurrency, and no more effects than that are ever under way: sending never
	// blocks.
	tasks chan Effect
	// workers counts the goroutines, busy those that have an effect or are about
	// to take one. Loop.mu guards both.
	workers, busy int
	// isPaused belongs to whoever performs Pause, Resume or Remove; the pool has
	// these performed one after the other.
	isPaused bool
}

const (
	// engineTimeout bounds each pause, resume and removal.
	engineTimeout = 30 * time.Second
	// removeAttempts and removeRetryDelay: how often a removal that fails is tried.
	removeAttempts   = 3
	removeRetryDelay = time.Second
)

// give hands e to a goroutine of h, a new one if all have something to do. Loop.mu
// is held.
func (l *Loop) give(h *host, e Effect) {
	if h.busy == h.workers {
		h.workers++
		l.running.Go(func() { l.work(h) })
	}
	h.busy++
	h.tasks <- e
}

// work performs the effects for h until it is gone.
func (l *Loop) work(h *host) {
	for e := range h.tasks {
		l.workFrom(h, e)
	}
}

// workFrom performs e, and then what the pool wants next of h, as long as there
// is something.
func (l *Loop) workFrom(h *host, e Effect) {
	for isMine := true; isMine; {
		answer := l.answer(h, e)
		l.mu.Lock()
		h.busy--
		e, isMine = l.perform(l.pool.Step(l.clock.Now(), answer), h)
		if _, isGone := answer.(Removed); isGone {
			delete(l.hosts, h.id)
			close(h.tasks)
		}
		l.mu.Unlock()
	}
}

// answer performs e and returns the event that says how it went.
func (l *Loop) answer(h *host, e Effect) Event {
	switch e.Op {
	case Run:
		return l.run(h, e)
	case Pause:
		err := l.engine(h, "pause", h.container.Pause)
		h.isPaused = true // perhaps: it does no harm to resume a running one
		return PauseDone{Container: h.id, Err: err}
	case Resume:
		err := l.engine(h, "resume", h.container.Resume)
		h.isPaused = err != nil
		return ResumeDone{Container: h.id, Err: err}
	default:
		l.remove(h)
		return Removed{Container: h.id}
	}
}

func nothing() {}

func (l *Loop) run(h *host, e Effect) Event {
	initialised := nothing
	if e.Initialise {
		initialised = func() { l.step(Initialised{Container: h.id}) }
	}
	outcome := l.runner.Run(l.ctx, h.container, *e.Job, e.Initialise, e.StartKind, initialised)
	return Finished{Container: h.id, ActivationID: e.Job.ActivationID, Outcome: outcome}
}

// engine calls one of the container's life cycle methods. They must come to an
// end even while Close is impatient.
func (l *Loop) engine(h *host, what string, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), engineTimeout)
	defer cancel()
	err := call(ctx)
	if err != nil {
		l.log.Warn("container operation failed",
			zap.String("operation", what), zap.String("container", h.container.ID()), zap.Error(err))
	}
	return err
}

// remove destroys the container. A paused one is resumed first, since engines do
// not remove a frozen container cleanly (openwhisk-invoker.md 2.7).
func (l *Loop) remove(h *host) {
	if h.isPaused {
		_ = l.engine(h, "resume before removal", h.container.Resume) // destroyed next, whatever it says
	}
	for attempt := 1; ; attempt++ {
		if l.engine(h, "destroy", h.container.Destroy) == nil {
			return
		}
		if attempt == removeAttempts {
			break
		}
		timer := l.clock.NewTimer(removeRetryDelay)
		<-timer.C()
	}
	l.log.Error("a container could not be destroyed; the pool goes on without it, but it may still use memory until the invoker restarts: remove it by hand",
		zap.String("container", h.container.ID()))
}

// start asks the factory for a container, and works for it from then on.
func (l *Loop) start(e Effect) {
	began := l.clock.Now()
	spec := container.Spec{
		Name: l.name(e), Kind: e.Kind, Image: e.Image,
		Memory: e.Memory, Concurrency: e.Concurrency, Env: l.cfg.Env,
	}
	if e.Job != nil {
		spec.Namespace = e.Job.Owner
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.cfg.StartTimeout)
	c, err := l.factory.Start(ctx, spec)
	cancel()
	if err != nil {
		l.log.Warn("container did not start", zap.String("name", spec.Name), zap.String("kind", spec.Kind), zap.Error(err))
		l.step(StartFailed{Container: e.Container, Err: err})
		return
	}
	l.log.Debug("container started", zap.String("name", spec.Name), zap.String("kind", spec.Kind),
		zap.String("container", c.ID()), zap.Duration("took", l.clock.Now().Sub(began)))
	h := &host{id: e.Container, container: c, tasks: make(chan Effect, max(1, e.Concurrency)), workers: 1}
	l.mu.Lock()
	l.hosts[h.id] = h
	first, isMine := l.perform(l.pool.Step(l.clock.Now(), Started{Container: h.id}), h)
	l.mu.Unlock()
	if isMine {
		l.workFrom(h, first)
	}
	l.work(h)
}

// name is the name of a container, `<prefix>_<number>_<what>_<for>`: letters,
// digits and underscores only (openwhisk-invoker.md 2.11).
func (l *Loop) name(e Effect) string {
	what, whose := "prewarm", e.Kind
	if e.Job != nil {
		what, whose = e.Job.Namespace, e.Job.Action
	}
	return fmt.Sprintf("%s_%d_%s_%s", l.cfg.NamePrefix, uint64(e.Container), plain(what), plain(whose))
}

func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		}
		return -1
	}, text)
}
