package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gowhisk/gowhisk/controller/api"
	"github.com/gowhisk/gowhisk/controller/membership"
	"github.com/gowhisk/gowhisk/controller/overflow"
	"github.com/gowhisk/gowhisk/controller/probe"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Cluster is what a controller works with that is one of several, and whose invokers are
// other processes. All are needed but
// BeatInterval and Known.
type Cluster struct {
	// UniqueName tells this process from all others.
	UniqueName string
	// Fleet is the Balancer of Deps, as what else it knows.
	Fleet Fleet
	// Overflow takes what no invoker has room for, and OverflowQueue is this controller's
	// queue of it. Serve ends when it is lost to another process; its owner closes it
	// after Serve.
	Overflow      bus.Overflow
	OverflowQueue bus.Queue
	// Announcer tells the other controllers of writes, Beater that this one lives. What
	// they say comes to the Service, a bus.Listener, from before Serve on.
	Announcer bus.Announcer
	Beater    membership.Beater
	// Mover takes over from dead members.
	Mover bus.Mover
	// BeatInterval is between heartbeats; 0 is a second.
	BeatInterval time.Duration
	// Known are controllers that have journals or queues, alive or not.
	Known []entity.ControllerID
}

// Fleet is a balancer that knows invokers by their pings.
type Fleet interface {
	overflow.Balancer
	api.Fleet
	probe.Fleet
	membership.Fleet
	// Pinged: an invoker lives. It does not block.
	Pinged(*bus.Ping)
	// SetControllers says how many controllers share the invokers.
	SetControllers(n int)
}

func (c *Cluster) validate() error {
	if c == nil {
		return nil
	}
	for name, missing := range map[string]bool{
		"UniqueName": c.UniqueName == "", "Fleet": c.Fleet == nil, "Overflow": c.Overflow == nil, "OverflowQueue": c.OverflowQueue == nil,
		"Announcer": c.Announcer == nil, "Beater": c.Beater == nil, "Mover": c.Mover == nil,
	} {
		if missing {
			return fmt.Errorf("the controller was built as one of a cluster without %s", name)
		}
	}
	return nil
}

// cluster are the rooms that only one controller of several has.
type cluster struct {
	fleet      Fleet
	members    *membership.Members
	dispatcher *overflow.Dispatcher
	probe      *probe.Probe
}

// maxSending bounds the activations of the overflow queue on their way to invokers.
const maxSending = 64

// join puts together what makes this controller one of a cluster. The rooms that stand
// alone are there already.
func (s *Service) join(d Deps, m *metrics) error {
	c := d.Cluster
	id := entity.ControllerID(s.cfg.Controller)
	s.catalog.Announce(c.Announcer, m.announceFailed.Inc, d.Log)
	times := membership.DefaultConfig()
	times.Controller, times.UniqueName = id, c.UniqueName
	times.BeatInterval = cmp.Or(c.BeatInterval, times.BeatInterval)
	s.cluster = &cluster{
		fleet: c.Fleet,
		members: membership.New(times, membership.Deps{
			Beater: c.Beater, Mover: c.Mover, Fleet: c.Fleet, Journals: s.composer, Actions: s.catalog, Known: c.Known,
			SetControllers: s.SetControllers, Metrics: m, Log: d.Log.Named("membership"), Now: d.Now,
		}),
		dispatcher: overflow.New(overflow.Config{
			Controller: id, MaxHeld: s.cfg.Overflow.Held, MaxSending: maxSending, MaxAge: s.cfg.Overflow.MaxAge, Patience: s.cfg.Overflow.Patience,
			// Longer than the bus tries by itself: what it gives up on before may still arrive.
			SendTimeout: 2 * time.Minute, StopTimeout: s.cfg.Times.Publish,
		}, overflow.Deps{
			Queue: c.OverflowQueue, Overflow: c.Overflow, Balancer: c.Fleet, Flights: s.invoker, Actions: s.catalog,
			Metrics: m, Log: d.Log.Named("overflow"), Now: d.Now,
		}),
		probe: probe.New(probe.Config{
			Controller: id, Interval: time.Second, Memory: s.cfg.Actions.MinMemory, SendTimeout: s.cfg.Times.Publish,
			Patience: s.cfg.Actions.StdTimeout*time.Duration(s.cfg.Times.LostFactor) + s.cfg.Times.LostExtra,
		}, probe.Deps{Fleet: c.Fleet, Catalog: s.catalog, Publisher: d.Publisher, Manifest: d.Manifest, Log: d.Log.Named("probe"), Now: d.Now}),
	}
	return m.registerCluster(d.Registry, s)
}

// enter takes this controller's place in the cluster, if it is one of several: nobody
// else may have it, and invokers can be tested.
func (s *Service) enter(ctx context.Context) error {
	if s.cluster == nil {
		return nil
	}
	if err := s.cluster.members.Join(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Times.Publish)
	defer cancel()
	return s.cluster.probe.Write(ctx)
}

// How long a start waits for the invokers that it has heard of to pass their tests, and
// how often it looks.
const (
	invokersPatience = 15 * time.Second
	invokersInterval = 50 * time.Millisecond
)

// awaitInvokers waits until the invokers that were heard of are healthy: without them
// every request would be refused. It does not wait for what never was there.
func (s *Service) awaitInvokers(ctx context.Context) {
	if s.cluster == nil {
		return
	}
	patience, tick := time.NewTimer(invokersPatience), time.NewTicker(invokersInterval)
	defer patience.Stop()
	defer tick.Stop()
	for s.cluster.hasUntested() {
		select {
		case <-tick.C:
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// hasUntested reports whether there are invokers whose test is under way.
func (c *cluster) hasUntested() bool {
	for _, state := range c.fleet.Invokers() {
		if state == "unhealthy" {
			return true
		}
	}
	return false
}

// loops are what runs while the service serves.
func (s *Service) loops() []func(context.Context) error {
	loops := []func(context.Context) error{
		s.invoker.Run,
		func(ctx context.Context) error {
			s.Recover(ctx)
			return nil
		},
	}
	if c := s.cluster; c != nil {
		loops = append(loops, c.members.Run, c.probe.Run, func(ctx context.Context) error {
			err := c.dispatcher.Run(ctx)
			if errors.Is(err, bus.ErrOwned) {
				return fmt.Errorf("%w: another controller took it, because this one was not heard of or has a twin; start it again", err)
			}
			return err
		})
	}
	return loops
}

var _ bus.Listener = (*Service)(nil)

// Pinged implements bus.Listener.
func (s *Service) Pinged(p *bus.Ping) {
	if s.cluster != nil {
		s.cluster.fleet.Pinged(p)
	}
}

// Beat implements bus.Listener.
func (s *Service) Beat(h *bus.Heartbeat) {
	if s.cluster != nil {
		s.cluster.members.Beat(h)
	}
}

// Invalidate implements bus.Listener: it forgets an entity that somebody else has written.
func (s *Service) Invalidate(id entity.DocID) { s.catalog.Invalidate(id) }

// InvalidateSubjects implements bus.Listener: it forgets whose keys are whose, and what
// they may.
func (s *Service) InvalidateSubjects() { s.auth.Forget() }

// SetControllers says how many controllers share the work; each grants its part of the
// throttles' limits, and uses its part of the invokers.
func (s *Service) SetControllers(n int) {
	s.throttle.SetControllers(n)
	if s.cluster != nil {
		s.cluster.fleet.SetControllers(n)
	}
}

// Completed is the bus.CompletionHandler of this controller.
func (s *Service) Completed(c *bus.Completion) {
	if s.cluster != nil && c.Transid.ID == probe.Transid {
		s.cluster.probe.Completed(c)
		return
	}
	s.invoker.Completed(c)
}

// overflow is where activations wait that no invoker has room for, nil if nowhere.
func (d *Deps) overflow() bus.Overflow {
	if d.Cluster == nil {
		return nil
	}
	return d.Cluster.Overflow
}
