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
	"github.com/gowhisk/gowhisk/controller/invoke"
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
	log             *zap.Logger
	registry        *prometheus.Registry
	public, private net.Listener
	service         *service.Service
	id              entity.ControllerID
	closers         []func() error
}

// join connects to the cluster and takes the controller's place in it. Its errors say
// what to change.
func join(ctx context.Context, cfg *Config, log *zap.Logger) (*member, error) {
	m := &member{log: log, registry: metrics.NewRegistry()}
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
	var err error
	if m.public, err = m.listen(cfg.Addr, "--addr"); err != nil {
		return err
	}
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
	return m.assemble(ctx, cfg, manifest, keys, store, messages)
}

type bringUp struct {
	*balancer.Balancer
	service *service.Service
	seen    map[entity.InvokerID]bool
}

func (b *bringUp) Pinged(p *bus.Ping) {
	b.Balancer.Pinged(p)
	b.Balancer.TestOutcome(p.Invoker, invoke.Completed)
}
func (b *bringUp) Beat(*bus.Heartbeat)        {}
func (b *bringUp) Invalidate(id entity.DocID) { b.service.Invalidate(id) }
func (b *bringUp) InvalidateSubjects()        { b.service.Forget() }

func (m *member) assemble(ctx context.Context, cfg *Config, manifest *runtimes.Manifest, keys *encryption.Keyring, store *couchdb.DB, messages *kafka.Bus) error {
	bal := balancer.New(balancer.DefaultConfig())
	var err error
	m.service, err = service.New(cfg.service(m.id), service.Deps{
		Entities: encryption.Entities(store.Entities(), keys), Activations: store.Activations(), Subjects: store.Subjects(), Deliveries: store.Deliveries(),
		Publisher: messages, Journal: messages, Balancer: bal, Manifest: manifest, Log: m.requestLog(cfg), Registry: m.registry,
	})
	if err != nil {
		return err
	}
	if _, err := messages.HandleCompletions(ctx, m.id, m.service.Completed); err != nil {
		return err
	}
	return messages.Listen(ctx, m.id, &bringUp{Balancer: bal, service: m.service})
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
		return m.service.Serve(ctx, m.public)
	})
	group.Go(func() error {
		return metrics.Serve(private, m.private, metrics.Handler(m.registry, m.service.Internal()))
	})
	fmt.Printf("Gowhisk controller%s is ready on http://%s\n", m.id, m.public.Addr())
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
