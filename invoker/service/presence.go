package service

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/invoker/pool"
	"github.com/gowhisk/gowhisk/pkg/bus"
)

// pingInterval is how often the controllers hear of an invoker, pingTimeout how long
// one ping may take (openwhisk-invoker.md 5.2, 5.5).
const (
	pingInterval = time.Second
	pingTimeout  = 5 * time.Second
)

// presence tells the controllers that the invoker lives and how it is, once a second
// and at every change. Safe for concurrent use.
type presence struct {
	ping     bus.Ping
	pinger   bus.Pinger
	snapshot func() pool.Snapshot
	backlog  func(context.Context) (int, error)
	log      *zap.Logger
	// disabled by an operator, and leaving because the process stops.
	disabled, leaving atomic.Bool
	changed           chan struct{}
}

func newPresence(cfg Config, pinger bus.Pinger, snapshot func() pool.Snapshot, backlog func(context.Context) (int, error), log *zap.Logger) *presence {
	return &presence{
		ping: bus.Ping{
			Invoker: cfg.ID, UniqueName: cfg.UniqueName, DisplayedName: cfg.DisplayedName,
			UserMemory: cfg.Pool.Memory,
		},
		pinger: pinger, snapshot: snapshot, backlog: backlog, log: log, changed: make(chan struct{}, 1),
	}
}

// run pings until ctx ends.
func (p *presence) run(ctx context.Context) {
	if p.pinger == nil {
		return
	}
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	failing := false
	for {
		err := p.send(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			p.log.Warn("pinging the controllers failed; they will send no work until it works again", zap.Error(err))
		}
		failing = err != nil
		select {
		case <-tick.C:
		case <-p.changed:
		case <-ctx.Done():
			return
		}
	}
}

func (p *presence) send(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	ping := p.ping
	s := p.snapshot()
	for _, state := range []pool.State{pool.Initializing, pool.Running, pool.Resuming, pool.Retiring} {
		ping.BusyMemory += s.Memory[state]
	}
	ping.Waiting = s.Waiting
	if n, err := p.backlog(ctx); err == nil {
		ping.Waiting += n
	}
	ping.Enabled = p.enabled()
	ping.Sent = time.Now()
	return p.pinger.Ping(ctx, &ping)
}

// enabled reports whether the invoker takes work.
func (p *presence) enabled() bool { return !p.disabled.Load() && !p.leaving.Load() }

// leave says that the invoker stops.
func (p *presence) leave() {
	p.leaving.Store(true)
	p.announce()
}

// disable and enable are the operator's words.
func (p *presence) disable() { p.disabled.Store(true); p.announce() }
func (p *presence) enable()  { p.disabled.Store(false); p.announce() }

func (p *presence) announce() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// name is how answers call the invoker.
func (p *presence) name() string { return p.ping.Invoker.String() }
