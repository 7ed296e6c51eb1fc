package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/gowhisk/gowhisk/controller/balancer"
	"github.com/gowhisk/gowhisk/controller/retention"
	"github.com/gowhisk/gowhisk/controller/service"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/kafka"
	"github.com/gowhisk/gowhisk/pkg/encryption"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/metrics"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/pkg/store/couchdb"
)

// member is this process as a part of its cluster.
type member struct {
	log      *zap.Logger
	registry *prometheus.Registry
	private  net.Listener
	service  *service.Service
	id       entity.ControllerID
	closers  []func() error
	// kept is deleted when it is older than retention.
	kept      map[string]retention.Expirer
	retention time.Duration
	// replaced has the error of one who took this controller's place.
	replaced chan error
}

// join connects to the cluster and takes the controller's place in it. Its errors say
// what to change.
func join(ctx context.Context, cfg *Config, log *zap.Logger) (*member, error) {
	m := &member{log: log, registry: metrics.NewRegistry(), replaced: make(chan error, 1)}
	if err := m.open(ctx, cfg); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// listen opens an address that flag names, until the member is closed.
func (m *member) listen(addr, flag string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w; stop what uses the address, or name another with %s", err, flag)
	}
	m.onClose(func() error { l.Close(); return nil }) // who serves it closes it, too
	return l, nil
}

// open acquires everything, in the order in which failures are cheap to tell.
func (m *member) open(ctx context.Context, cfg *Config) error {
	// The API listens once there is something to answer; whether it will be able to is
	// told at once.
	public, err := m.listen(cfg.Addr, "--addr")
	if err != nil {
		return err
	}
	public.Close()
	if m.private, err = m.listen(cfg.MetricsAddr, "--metrics-addr"); err != nil {
		return err
	}
	if m.id, err = cfg.controller(); err != nil {
		return err
	}
	unique, err := cfg.uniqueName()
	if err != nil {
		return err
	}
	manifest, err := runtimes.Load(cfg.Manifest)
	if err != nil {
		return err
	}
	keys, err := encryption.LoadOptional(cfg.ParameterKeys)
	if err != nil {
		return fmt.Errorf("--parameter-keys: %w", err)
	}
	store, err := couchdb.Open(ctx, cfg.CouchDB)
	if err != nil {
		return err
	}
	m.onClose(store.Close)
	messages, err := kafka.Open(ctx, cfg.Kafka, kafka.Options{
		UniqueName: unique, Activations: store.Activations(), MaxMessage: keys.MaxMessage(kafka.DefaultMaxMessage),
		Metrics: kafka.NewMetrics(m.registry), Log: m.log.Named("bus"),
	})
	if err != nil {
		return err
	}
	m.onClose(messages.Close)
	if err := messages.CheckClock(ctx, time.Now); err != nil {
		return err
	}
	return m.assemble(ctx, cfg, parts{manifest, keys, store, messages, unique})
}

// parts are what a controller is made of.
type parts struct {
	manifest *runtimes.Manifest
	keys     *encryption.Keyring
	store    *couchdb.DB
	bus      *kafka.Bus
	unique   string
}

// assemble puts the controller together and takes its queue and journal.
func (m *member) assemble(ctx context.Context, cfg *Config, p parts) error {
	m.kept = map[string]retention.Expirer{"activation records": p.store.Activations(), "deliveries to webhooks": p.store.Deliveries()}
	m.retention = cfg.Retention
	overflow, err := p.bus.OverflowQueue(ctx, m.id)
	if err != nil {
		return err
	}
	m.onClose(overflow.Close)
	release, err := p.bus.HoldJournal(ctx, m.id, func(err error) { m.lost(err) })
	if err != nil {
		return err
	}
	m.onClose(release)
	known, invokers, err := p.bus.Members()
	if err != nil {
		return err
	}
	var events bus.Events
	if cfg.Events {
		if events, err = p.bus.Events(ctx); err != nil {
			return err
		}
	}
	fleet := balancer.New(cfg.balancer(p.manifest))
	fleet.Expect(invokers)
	if err := fleet.Register(m.registry); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	m.service, err = service.New(cfg.service(m.id), service.Deps{
		Entities: encryption.Entities(p.store.Entities(), p.keys), Activations: p.store.Activations(), Subjects: p.store.Subjects(), Deliveries: p.store.Deliveries(),
		Publisher: p.bus, Journal: p.bus, Balancer: fleet, Manifest: p.manifest, Events: events,
		Cluster: &service.Cluster{
			UniqueName: p.unique, Fleet: fleet, Overflow: p.bus, OverflowQueue: overflow,
			Announcer: p.bus, Beater: p.bus, Mover: p.bus, Known: known,
		},
		Log: m.requestLog(cfg), Registry: m.registry,
	})
	if err != nil {
		return err
	}
	if _, err := p.bus.HandleCompletions(ctx, m.id, m.service.Completed); err != nil {
		return err
	}
	return p.bus.Listen(ctx, m.id, m.service)
}

// lost ends the process because another has taken its journal.
func (m *member) lost(err error) {
	select {
	case m.replaced <- err:
	default:
	}
}

// requestLog leaves the lines about requests out unless they are wanted.
func (m *member) requestLog(cfg *Config) *zap.Logger {
	log := m.log.Named("controller")
	if !cfg.LogRequests && !log.Core().Enabled(zap.DebugLevel) {
		log = log.WithOptions(zap.IncreaseLevel(zap.WarnLevel))
	}
	return log
}

func (m *member) onClose(f func() error) { m.closers = append(m.closers, f) }

// run serves until ctx ends, and then leaves the cluster in order.
func (m *member) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, m.close()) }()
	private, hush := context.WithCancel(context.WithoutCancel(ctx))
	defer hush()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer hush()
		return m.service.Run(ctx, func(addr net.Addr) {
			fmt.Printf("Gowhisk controller%s is ready on http://%s\n", m.id, addr)
		})
	})
	group.Go(func() error {
		return metrics.Serve(private, m.private, metrics.Handler(m.registry, m.service.Internal()))
	})
	group.Go(func() error { return retention.Run(ctx, m.retention, m.kept, m.log) })
	group.Go(func() error {
		select {
		case err := <-m.replaced:
			return err
		case <-private.Done():
			return nil
		}
	})
	return group.Wait()
}

// close releases what was acquired, last first.
func (m *member) close() error {
	var errs []error
	for i := len(m.closers) - 1; i >= 0; i-- {
		errs = append(errs, m.closers[i]())
	}
	m.closers = nil
	return errors.Join(errs...)
}
