// Package probe tests invokers that are not healthy with an action of its own
// (openwhisk-invoker.md 5.5): the balancer says which invokers want a test, and hears how
// it ended.
package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Transid marks everything about test actions.
const Transid = "sid_invokerHealth"

// Namespace is where test actions live.
const Namespace = "whisk.system"

// Fleet knows how invokers are. Safe for concurrent use.
type Fleet interface {
	// Tick lets time pass and returns the invokers that want a test now.
	Tick(now time.Time) []entity.InvokerID
	// TestOutcome says how an invoker's test ended.
	TestOutcome(invoker entity.InvokerID, o invoke.Outcome)
}

// Catalog is where the test action is written.
type Catalog interface {
	// Fresh returns the stored entity, or store.ErrNotFound.
	Fresh(ctx context.Context, id entity.DocID) (entity.Entity, error)
	Put(ctx context.Context, e entity.Entity) error
}

// Config holds the knobs.
type Config struct {
	Controller entity.ControllerID
	// Interval is how often the fleet is asked for tests.
	Interval time.Duration
	// Memory of the test action.
	Memory entity.Megabytes
	// SendTimeout bounds how long the bus may take.
	SendTimeout time.Duration
	// Patience is how long a test may take until it counts as lost.
	Patience time.Duration
}

// Deps are what a Probe works with.
type Deps struct {
	Fleet     Fleet
	Catalog   Catalog
	Publisher bus.Publisher
	Manifest  *runtimes.Manifest
	Log       *zap.Logger
	Now       func() time.Time
}

// Probe tests invokers. Safe for concurrent use.
type Probe struct {
	cfg    Config
	deps   Deps
	action *entity.Action

	// ended has a token when a test has: the fleet may want another at once.
	ended   chan struct{}
	sending sync.WaitGroup

	mu      sync.Mutex
	pending map[entity.ActivationID]test // guarded by mu
}

type test struct {
	invoker  entity.InvokerID
	deadline time.Time
}

// New returns a probe. Write is called before Run.
func New(cfg Config, deps Deps) *Probe {
	return &Probe{cfg: cfg, deps: deps, ended: make(chan struct{}, 1), pending: make(map[entity.ActivationID]test)}
}

// codes are actions that return their arguments, by family, in the order of preference.
var codes = []struct{ family, code string }{
	{"nodejs", "function main(params) { return params; }"},
	{"python", "def main(args):\n    return args\n"},
	{"php", "<?php\nfunction main(array $args) : array { return $args; }\n"},
	{"ruby", "def main(args)\n  args\nend\n"},
}

// newAction is the test action in a kind that the manifest has.
func (p *Probe) newAction() (*entity.Action, error) {
	var families []string
	for _, c := range codes {
		families = append(families, c.family)
		r, err := p.deps.Manifest.Resolve(c.family + ":default")
		if err != nil || r.Deprecated {
			continue
		}
		a := &entity.Action{
			Header: entity.Header{
				Namespace: Namespace, Name: entity.Name("invokerHealthTestAction" + p.cfg.Controller), Version: entity.FirstVersion,
				Updated: p.deps.Now().UnixMilli(),
			},
			Exec:   entity.Exec{Kind: r.Kind, Code: &c.code},
			Limits: entity.DefaultLimitRanges().Std(),
		}
		a.Limits.Memory = p.cfg.Memory
		return a, nil
	}
	return nil, fmt.Errorf("the runtimes manifest has no default kind of %s, one of which the test action for invokers' health needs: add one of them to the manifest",
		strings.Join(families, ", "))
}

// Write makes sure that the test action is stored. It fails if it is not, and cannot be.
func (p *Probe) Write(ctx context.Context) error {
	a, err := p.newAction()
	if err != nil {
		return err
	}
	p.action = a
	e, err := p.deps.Catalog.Fresh(ctx, a.ID())
	switch old, ok := e.(*entity.Action); {
	case err == nil && ok && old.Exec.Kind == a.Exec.Kind && old.Limits.Memory == a.Limits.Memory:
		return nil
	case err == nil:
		a.Revision, a.Version = e.Head().Revision, e.Head().Version.Next()
	case !errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("look for the test action %s for invokers' health (is the entity store up?): %w", a.FQN(), err)
	}
	exists := err == nil
	if err = p.deps.Catalog.Put(ctx, a); err == nil || errors.Is(err, store.ErrConflict) { // another of this id was first
		return nil
	}
	if exists {
		p.deps.Log.Warn("the test action for invokers' health could not be renewed; the one that is stored is used", zap.Stringer("action", a.FQN()), zap.Error(err))
		return nil
	}
	return fmt.Errorf("write the test action %s for invokers' health (may this controller write to the entity store?): %w", a.FQN(), err)
}

// Run tests invokers until ctx ends.
func (p *Probe) Run(ctx context.Context) error {
	defer p.sending.Wait()
	ticker := time.NewTicker(p.cfg.Interval)
	defer ticker.Stop()
	for {
		now := p.deps.Now()
		p.overdue(now)
		for _, invoker := range p.deps.Fleet.Tick(now) {
			p.sending.Go(func() { p.test(ctx, invoker) })
		}
		select {
		case <-ticker.C:
		case <-p.ended:
		case <-ctx.Done():
			return nil
		}
	}
}

// test sends the test action to an invoker's queue.
func (p *Probe) test(ctx context.Context, invoker entity.InvokerID) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.SendTimeout)
	defer cancel()
	m := p.message()
	p.mu.Lock()
	p.pending[m.ActivationID] = test{invoker, p.deps.Now().Add(p.cfg.Patience)}
	p.mu.Unlock()
	if err := p.deps.Publisher.Publish(ctx, invoker, m); err != nil {
		p.take(m.ActivationID)
		p.deps.Log.Warn("a test of an invoker's health could not be sent", zap.Stringer("invoker", invoker), zap.Error(err))
	}
}

// message is of an identity that nobody has, whose activations are not recorded. It has
// no revision, so that the invoker reads the store.
func (p *Probe) message() *bus.ActivationMessage {
	unrecorded := false
	return &bus.ActivationMessage{
		Transid: bus.Transid{ID: Transid, Start: p.deps.Now()},
		Action:  p.action.FQN(), Version: p.action.Version,
		User:         entity.Identity{Subject: Namespace, Namespace: Namespace, Limits: entity.UserLimits{StoreActivations: &unrecorded}},
		ActivationID: entity.NewActivationID(), Controller: p.cfg.Controller, Content: json.RawMessage("{}"),
	}
}

func (p *Probe) take(id entity.ActivationID) (test, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := p.pending[id]
	delete(p.pending, id)
	return t, ok
}

// Completed takes the completions of tests: those with Transid. It does not block.
func (p *Probe) Completed(c *bus.Completion) {
	if c.Kind == bus.ResultReady {
		return
	}
	t, ok := p.take(c.ActivationID)
	if !ok { // an earlier life's, or too late
		return
	}
	o := invoke.Completed
	if c.IsSystemError {
		o = invoke.SystemError
	}
	p.deps.Fleet.TestOutcome(t.invoker, o)
	select {
	case p.ended <- struct{}{}:
	default:
	}
}

// overdue ends tests that nothing was heard of.
func (p *Probe) overdue(now time.Time) {
	p.mu.Lock()
	var late []entity.InvokerID
	for id, t := range p.pending {
		if now.After(t.deadline) {
			delete(p.pending, id)
			late = append(late, t.invoker)
		}
	}
	p.mu.Unlock()
	for _, invoker := range late {
		p.deps.Fleet.TestOutcome(invoker, invoke.Lost)
	}
}
