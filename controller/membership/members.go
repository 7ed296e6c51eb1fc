package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Beater sends heartbeats to all controllers.
type Beater interface {
	Beat(ctx context.Context, h *bus.Heartbeat) error
}

// Fleet knows which invokers are gone.
type Fleet interface {
	// Offline returns the invokers that are offline for longer than after.
	Offline(now time.Time, after time.Duration) []entity.InvokerID
}

// Journals goes on with what a controller has to see through.
type Journals interface {
	// RecoverFrom goes on with all entries of a dead controller, and returns when all have
	// ended or ctx ends.
	RecoverFrom(ctx context.Context, dead entity.ControllerID) error
}

// Actions are read for the records of what they left; catalog.Catalog has them.
type Actions interface {
	// Entity returns the entity, or store.ErrNotFound.
	Entity(ctx context.Context, id entity.DocID) (entity.Entity, error)
}

// Metrics counts what is done for dead members. Safe for concurrent use.
type Metrics interface {
	// DutyDone counts a duty that was done, or failed with an error.
	DutyDone(kind Kind, err error)
	// Drained counts messages of dead members.
	Drained(bus.Drained)
	// BeatFailed counts a heartbeat that could not be sent.
	BeatFailed()
}

// Deps are what Members works with.
type Deps struct {
	Beater   Beater
	Mover    bus.Mover
	Fleet    Fleet
	Journals Journals
	Actions  Actions
	// Known are the controllers whose journals or queues exist, alive or not; this one may
	// be among them.
	Known []entity.ControllerID
	// SetControllers hears how many controllers share the work, when that changes.
	SetControllers func(n int)
	Metrics        Metrics
	Log            *zap.Logger
	Now            func() time.Time
}

// ErrTwin: another process has this controller's id.
var ErrTwin = errors.New("another controller has this id")

// Members keeps this controller's place in the cluster. Safe for concurrent use.
type Members struct {
	cfg  Config
	deps Deps

	mu   sync.Mutex
	core *Core // guarded by mu, as all that follows
	// twin is the unique name of another process with this id, seen when.
	twin     string
	twinSeen time.Time
	complain time.Time

	// deaf: the latest heartbeat could not be sent.
	deaf atomic.Bool

	// own is the loop's: how the duties under way are ended.
	own      map[Duty]context.CancelFunc
	finished chan finished
	duties   sync.WaitGroup
}

type finished struct {
	duty Duty
	err  error
}

// New returns the membership of a controller. Beat must get what is heard of others
// before Join is called.
func New(cfg Config, deps Deps) *Members {
	return &Members{
		cfg: cfg, deps: deps, core: NewCore(cfg, deps.Known, deps.Now()),
		own: make(map[Duty]context.CancelFunc), finished: make(chan finished),
	}
}

// Beat takes in a heartbeat. It does not block.
func (m *Members) Beat(h *bus.Heartbeat) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.deps.Now()
	if h.Controller == m.cfg.Controller && h.UniqueName != m.cfg.UniqueName && !h.Leaving {
		m.twin, m.twinSeen = h.UniqueName, now
	}
	m.core.Beat(h, now)
}

// Controllers returns how many controllers live, with this one.
func (m *Members) Controllers() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.core.Controllers(m.deps.Now())
}

// alive reports whether a controller lives and stays.
func (m *Members) alive(id entity.ControllerID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.core.Alive(id, m.deps.Now())
}

// twinned returns ErrTwin if another process has this id, and is to keep it.
func (m *Members) twinned(givesWay func(other string) bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.twin == "" || !givesWay(m.twin) {
		return nil
	}
	return fmt.Errorf("%w: %q calls itself controller %s, as this process, %q, does; give each controller an id and a unique name of its own, or stop the other first",
		ErrTwin, m.twin, m.cfg.Controller, m.cfg.UniqueName)
}

// listenBeats is for how many heartbeats a controller listens before it sends any.
const listenBeats = 3

// Join listens whether another process has this controller's id, which is an ErrTwin.
func (m *Members) Join(ctx context.Context) error {
	timer := time.NewTimer(listenBeats * m.cfg.BeatInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return m.twinned(func(string) bool { return true })
}

// Run sends heartbeats and does this controller's duties until ctx ends. It returns
// ErrTwin if another process that started at the same time has the same id, and keeps
// it: the one whose unique name sorts first.
func (m *Members) Run(ctx context.Context) error {
	defer m.duties.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var beating sync.WaitGroup
	beating.Go(func() { m.beat(ctx) })
	defer beating.Wait()
	defer stop() // before the wait
	began := m.deps.Now()
	ticker := time.NewTicker(m.cfg.BeatInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			now := m.deps.Now()
			if now.Sub(began) < m.cfg.Silence {
				if err := m.twinned(func(other string) bool { return other < m.cfg.UniqueName }); err != nil {
					return err
				}
			} else {
				m.warnOfTwin(now)
			}
			m.tick(ctx, now)
		case f := <-m.finished:
			m.end(ctx, f)
		case <-ctx.Done():
			return nil
		}
	}
}

// warnOfTwin says now and then that another process has this id.
func (m *Members) warnOfTwin(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.twin == "" || now.Sub(m.twinSeen) > m.cfg.Silence || now.Sub(m.complain) < time.Minute {
		return
	}
	m.complain = now
	m.deps.Log.Error("another process has this controller's id; stop it, or give it an id of its own",
		zap.String("controller", string(m.cfg.Controller)), zap.String("other", m.twin))
}

// beat sends heartbeats beside the loop, which a slow bus must not hold up.
func (m *Members) beat(ctx context.Context) {
	ticker := time.NewTicker(m.cfg.BeatInterval)
	defer ticker.Stop()
	for failing := false; ; {
		err := m.send(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			m.deps.Log.Error("a heartbeat could not be sent; the other controllers take this one for dead if that goes on", zap.Error(err))
		case err == nil && failing:
			m.deps.Log.Info("heartbeats are sent again")
		}
		failing = err != nil
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (m *Members) send(ctx context.Context) error {
	m.mu.Lock()
	leaving := m.core.leaving
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Silence/2)
	defer cancel()
	h := &bus.Heartbeat{Controller: m.cfg.Controller, UniqueName: m.cfg.UniqueName, Leaving: leaving, Sent: m.deps.Now()}
	err := m.deps.Beater.Beat(ctx, h)
	m.deaf.Store(err != nil)
	if err != nil {
		m.deps.Metrics.BeatFailed()
	}
	return err
}

// Leave tells the others that this controller stops: it counts no more. Run says so from
// then on, and does no more duties, until it is ended; only then, and after a while, do
// others take over what this controller has to see through.
func (m *Members) Leave(ctx context.Context) {
	m.mu.Lock()
	m.core.Leave()
	m.mu.Unlock()
	if err := m.send(ctx); err != nil {
		m.deps.Log.Warn("the other controllers could not be told that this one stops; they find out", zap.Error(err))
	}
}

func (m *Members) tick(ctx context.Context, now time.Time) {
	offline := m.deps.Fleet.Offline(now, m.cfg.DrainAfter)
	m.mu.Lock()
	e := m.core.Tick(offline, now)
	m.mu.Unlock()
	if e.Controllers > 0 {
		m.deps.Log.Info("the number of controllers has changed", zap.Int("controllers", e.Controllers))
		m.deps.SetControllers(e.Controllers)
	}
	for _, d := range e.Stop {
		m.own[d]()
	}
	for _, d := range e.Begin {
		if m.own[d] != nil { // it was stopped and has not ended yet
			m.end(ctx, finished{d, errStopping})
			continue
		}
		work, cancel := context.WithCancel(ctx)
		m.own[d] = cancel
		m.duties.Go(func() {
			f := finished{d, m.do(work, d)}
			select {
			case m.finished <- f:
			case <-ctx.Done():
			}
			cancel()
		})
	}
}

var errStopping = errors.New("it is still being stopped")

// end takes in how a duty ended.
func (m *Members) end(ctx context.Context, f finished) {
	if !errors.Is(f.err, errStopping) {
		m.own[f.duty]()
		delete(m.own, f.duty)
	}
	m.mu.Lock()
	m.core.Finished(f.duty, f.err, m.deps.Now())
	m.mu.Unlock()
	if ctx.Err() != nil || errors.Is(f.err, errStopping) || errors.Is(f.err, context.Canceled) {
		return
	}
	m.deps.Metrics.DutyDone(f.duty.Kind, f.err)
	switch {
	case errors.Is(f.err, bus.ErrOwned): // its owner lives, or another controller does it
		m.deps.Log.Debug("somebody else has what a dead member left", zap.Stringer("duty", f.duty))
	case f.err != nil:
		m.deps.Log.Error("taking over from a dead member failed; trying again", zap.Stringer("duty", f.duty), zap.Error(f.err))
	}
}

// do does a duty.
func (m *Members) do(ctx context.Context, d Duty) error {
	var moved bus.Drained
	var err error
	switch d.Kind {
	case DrainInvoker:
		moved, err = m.deps.Mover.DrainInvoker(ctx, d.Invoker, m.cfg.Controller, m.alive, m.crashed)
	case DrainOverflow:
		moved, err = m.deps.Mover.DrainOverflow(ctx, d.Controller, m.cfg.Controller)
	case TakeJournal:
		return m.deps.Mover.TakeJournal(ctx, d.Controller, m.cfg.Controller, func(ctx context.Context) error {
			return m.deps.Journals.RecoverFrom(ctx, d.Controller)
		})
	}
	m.deps.Metrics.Drained(moved)
	if moved != (bus.Drained{}) {
		m.deps.Log.Info("what a dead member left was taken over", zap.Stringer("duty", d),
			zap.Int("moved", moved.Moved), zap.Int("ended", moved.Ended), zap.Int("found", moved.Found))
	}
	return err
}

// crashed is the record of what a dead invoker may have run; nil for a message that
// cannot be read.
func (m *Members) crashed(ctx context.Context, d bus.Delivery) (*entity.Activation, error) {
	if d.Message == nil {
		return nil, nil
	}
	e, err := m.deps.Actions.Entity(ctx, d.Message.Action.ID())
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, entity.ErrUnreadable) {
		return nil, fmt.Errorf("read %s for the record of an activation that was running: %w", d.Message.Action, err)
	}
	action, _ := e.(*entity.Action)
	return d.Message.UnrunRecord(action, entity.ErrorResponse(entity.StatusWhiskError, bus.TextCrashed), m.deps.Now()), nil
}

// Heard reports whether this controller's heartbeats get out.
func (m *Members) Heard() bool { return !m.deaf.Load() }

// Peers returns the ids of the controllers that live, this one's too, in order.
func (m *Members) Peers() []entity.ControllerID {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.deps.Now()
	ids := []entity.ControllerID{m.cfg.Controller}
	for id := range m.core.peers {
		if m.core.Alive(id, now) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, compare)
	return ids
}
