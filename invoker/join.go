package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/container/kinds"
	"github.com/gowhisk/gowhisk/invoker/container/process"
	"github.com/gowhisk/gowhisk/invoker/container/wasm"
	"github.com/gowhisk/gowhisk/invoker/service"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/kafka"
	"github.com/gowhisk/gowhisk/pkg/datadir"
	"github.com/gowhisk/gowhisk/pkg/encryption"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/metrics"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/pkg/store/couchdb"
	local "github.com/gowhisk/gowhisk/runtimes"
)

// member is this process as a part of its cluster.
type member struct {
	log      *zap.Logger
	registry *prometheus.Registry
	private  net.Listener
	service  *service.Service
	id       entity.InvokerID
	closers  []func() error
}

// join connects to the cluster and takes the invoker's place in it. Its errors say what
// to change.
func join(ctx context.Context, cfg *Config, log *zap.Logger) (*member, error) {
	m := &member{log: log, registry: metrics.NewRegistry()}
	if err := m.open(ctx, cfg); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// open acquires everything, in the order in which failures are cheap to tell.
func (m *member) open(ctx context.Context, cfg *Config) error {
	listener, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("%w; stop what uses the address, or name another with --addr", err)
	}
	m.private = listener
	m.onClose(func() error { listener.Close(); return nil }) // who serves it closes it, too
	manifest, err := runtimes.Load(cfg.Manifest)
	if err != nil {
		return err
	}
	keys, err := encryption.LoadOptional(cfg.ParameterKeys)
	if err != nil {
		return fmt.Errorf("--parameter-keys: %w", err)
	}
	dir, err := datadir.Open(ctx, cfg.DataDir)
	if err != nil {
		return err
	}
	m.onClose(dir.Close)
	unique := cfg.UniqueName
	if unique == "" {
		if unique, err = dir.Name(); err != nil {
			return err
		}
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
	if m.id, err = place(ctx, cfg, messages); err != nil {
		return err
	}
	return m.assemble(ctx, cfg, parts{manifest, keys, dir, store, messages, unique})
}

// parts are what an invoker is made of.
type parts struct {
	manifest *runtimes.Manifest
	keys     *encryption.Keyring
	dir      *datadir.Dir
	store    *couchdb.DB
	bus      *kafka.Bus
	unique   string
}

// place is the invoker's number.
func place(ctx context.Context, cfg *Config, messages *kafka.Bus) (entity.InvokerID, error) {
	switch cfg.ID {
	case byClaim:
		return messages.ClaimInvokerID(ctx)
	case byOrdinal:
		id, err := ordinal()
		if err != nil {
			return 0, err
		}
		return id, messages.ReserveInvokerID(ctx, id)
	}
	n, err := strconv.Atoi(cfg.ID)
	if err != nil {
		return 0, fmt.Errorf("--id %q: %w", cfg.ID, err)
	}
	id := entity.InvokerID(n)
	return id, messages.ReserveInvokerID(ctx, id)
}

// assemble takes the queue and puts the invoker together.
func (m *member) assemble(ctx context.Context, cfg *Config, p parts) error {
	if err := p.bus.EnsureInvoker(ctx); err != nil {
		return err
	}
	queue, err := p.bus.Queue(ctx, m.id)
	if err != nil {
		return err
	}
	m.onClose(queue.Close)
	found, err := local.Detect(ctx)
	if err != nil {
		return fmt.Errorf("looking for Node.js and Python: %w", err)
	}
	processes, err := process.Open(ctx, process.Config{
		Dir: filepath.Join(p.dir.Path(), "containers"), Interpreters: found, ParallelStarts: cfg.ParallelStart,
		FirstUID: cfg.firstUID(m.id), UIDs: uids, Log: m.log.Named("containers"),
	})
	if err != nil {
		return fmt.Errorf("preparing action containers: %w", err)
	}
	m.log.Info("actions run in " + processes.Isolation().String())
	modules, err := wasm.Open(wasm.Config{Dir: filepath.Join(p.dir.Path(), "wasm"), Log: m.log.Named("wasm")})
	if err != nil {
		return errors.Join(fmt.Errorf("preparing WebAssembly actions: %w", err), processes.Close())
	}
	factory := kinds.Route(processes, map[string]container.Factory{wasm.Family: modules})
	var events bus.Events
	if cfg.Events {
		if events, err = p.bus.Events(ctx); err != nil {
			return errors.Join(err, factory.Close())
		}
	}
	deps := service.Deps{
		Queue: queue, Completer: p.bus, Pinger: p.bus, Entities: p.store.Entities(), Factory: factory, Manifest: p.manifest,
		Keys: p.keys, Blocked: p.store, Events: events, Log: m.log.Named("invoker"), Registry: m.registry,
	}
	m.service, err = service.New(ctx, cfg.service(m.id, p.unique, p.manifest), deps)
	if err != nil {
		return errors.Join(err, factory.Close())
	}
	return nil
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
		return m.service.Run(ctx)
	})
	group.Go(func() error {
		return metrics.Serve(private, m.private, metrics.Handler(m.registry, m.service.Handler()))
	})
	fmt.Printf("Gowhisk %s is ready on http://%s\n", m.id, m.private.Addr())
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
