// Package server is the standalone platform: a controller and an invoker in one
// process, over one SQLite file. It puts together the same rooms that a cluster
// runs apart.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/gowhisk/gowhisk/controller/balancer"
	"github.com/gowhisk/gowhisk/controller/retention"
	controller "github.com/gowhisk/gowhisk/controller/service"
	"github.com/gowhisk/gowhisk/invoker/activation"
	"github.com/gowhisk/gowhisk/invoker/container/process"
	invoker "github.com/gowhisk/gowhisk/invoker/service"
	"github.com/gowhisk/gowhisk/pkg/bus/local"
	"github.com/gowhisk/gowhisk/pkg/datadir"
	"github.com/gowhisk/gowhisk/pkg/encryption"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/metrics"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
	"github.com/gowhisk/gowhisk/runtimes"
	"github.com/gowhisk/gowhisk/standalone/admin"
)

// OpenWhisk's published development credentials: clients and tutorials know them.
// A server that uses them belongs on a loopback address.
var (
	GuestKey = entity.AuthKey{
		UUID: "23bc46b1-71f6-4ed5-8c54-816aa4f8c502",
		Key:  "123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP",
	}
	SystemKey = entity.AuthKey{
		UUID: "789c46b1-71f6-4ed5-8c54-816aa4f8c502",
		Key:  "abczO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP",
	}
)

// Build says what was built, for GET /api/v1 and --version.
type Build struct{ Version, Date string }

// Server is a standalone platform. New acquires what it needs, Run serves, and
// everything is released when Run returns.
type Server struct {
	cfg        Config
	log        *zap.Logger
	dir        *datadir.Dir
	listener   net.Listener
	metrics    net.Listener // nil if they are not served
	db         *sqlite.DB
	found      []runtimes.Interpreter
	controller *controller.Service
	invoker    *invoker.Service
	registry   *prometheus.Registry
	keys       *encryption.Keyring // nil if there are none
	closers    []func() error
}

// controllerID of the only controller.
const controllerID entity.ControllerID = "0"

// New opens the data directory, the database and the address. Its errors say
// which flag to change.
func New(ctx context.Context, cfg Config, build Build, log *zap.Logger) (*Server, error) {
	s := &Server{cfg: cfg, log: log, registry: metrics.NewRegistry()}
	if err := s.open(ctx, build); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// open acquires everything, in the order in which failures are cheap to tell.
func (s *Server) open(ctx context.Context, build Build) error {
	var err error
	if s.listener, err = s.listen(s.cfg.Addr, "--addr"); err != nil {
		return err
	}
	if s.cfg.MetricsAddr != "" {
		if s.metrics, err = s.listen(s.cfg.MetricsAddr, "--metrics-addr"); err != nil {
			return err
		}
	}
	if s.keys, err = encryption.LoadOptional(s.cfg.ParameterKeys); err != nil {
		return fmt.Errorf("--parameter-keys: %w", err)
	}
	if s.dir, err = openDataDir(ctx, s.cfg); err != nil {
		return err
	}
	s.closers = append(s.closers, s.dir.Close)
	if s.db, err = openDatabase(ctx, s.cfg, s.dir.Path()); err != nil {
		return err
	}
	s.closers = append(s.closers, s.db.Close)
	if err = s.dir.Once("subjects-created", func() error { return createSubjects(ctx, s.db) }); err != nil {
		return err
	}
	return s.assemble(ctx, build)
}

// listen opens an address that flag names, until the server is closed.
func (s *Server) listen(addr, flag string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w; stop what uses the address, or name another with %s", err, flag)
	}
	s.closers = append(s.closers, func() error { l.Close(); return nil }) // who serves it closes it, too
	return l, nil
}

func openDataDir(ctx context.Context, cfg Config) (*datadir.Dir, error) {
	if cfg.Ephemeral {
		return datadir.Temporary()
	}
	dir, err := datadir.Open(ctx, cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("%w, or use --ephemeral", err)
	}
	return dir, nil
}

func openDatabase(ctx context.Context, cfg Config, dir string) (*sqlite.DB, error) {
	o := sqlite.Options{Path: DatabasePath(dir), Synchronous: sqlite.Normal, InMemory: cfg.Ephemeral}
	if cfg.Synchronous == "full" {
		o.Synchronous = sqlite.Full
	}
	return sqlite.Open(ctx, o)
}

// createSubjects makes the subjects with published keys. It is done once: whoever
// deletes one of them wants it gone.
func createSubjects(ctx context.Context, db *sqlite.DB) error {
	for name, key := range map[string]entity.AuthKey{"guest": GuestKey, "whisk.system": SystemKey} {
		if err := admin.CreateSubject(ctx, db.Subjects(), name, key); err != nil {
			return fmt.Errorf("creating the subject %s: %w", name, err)
		}
	}
	return nil
}

// assemble puts controller, queue and invoker together.
func (s *Server) assemble(ctx context.Context, build Build) error {
	var err error
	if s.found, err = s.interpreters(ctx); err != nil {
		return err
	}
	manifest, err := localManifest(s.found, s.cfg)
	if err != nil {
		return err
	}
	messages := local.New(s.db, local.Options{MaxMessage: s.keys.MaxMessage(local.DefaultMaxMessage)})
	queue, err := messages.Queue(0)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, queue.Close)

	factory, err := s.containers(ctx)
	if err != nil {
		return err
	}
	s.controller, err = controller.New(s.controllerConfig(build), controller.Deps{
		Entities: encryption.Entities(s.db.Entities(), s.keys), Activations: s.db.Activations(), Subjects: s.db.Subjects(), Deliveries: s.db.Deliveries(),
		Publisher: messages, Journal: messages, Balancer: balancer.Single(0), Manifest: manifest,
		Log: s.controllerLog(), Registry: s.registry,
	})
	if err != nil {
		return errors.Join(err, factory.Close())
	}
	messages.HandleCompletions(controllerID, s.controller.Completed)
	s.invoker, err = invoker.New(ctx, invoker.Config{
		Pool: poolConfig(s.cfg, manifest), Activation: activation.DefaultConfig(),
		MaxQueueAge: s.cfg.MaxQueueAge, Limits: s.limits(), ShutdownTimeout: s.cfg.ShutdownTimeout,
		ContainerEnv: []string{"__OW_API_HOST=" + s.apiHost()},
	}, invoker.Deps{
		Queue: queue, Completer: messages, Entities: s.db.Entities(), Factory: factory, Manifest: manifest,
		Keys: s.keys, Blocked: s.db, Log: s.log.Named("invoker"), Registry: s.registry,
	})
	if err != nil {
		return errors.Join(err, factory.Close())
	}
	return nil
}

func (s *Server) limits() entity.LimitRanges {
	r := entity.DefaultLimitRanges()
	r.Memory.Max = entity.Megabytes(s.cfg.MaxMemory)
	r.Timeout.Max = s.cfg.MaxTimeout.Milliseconds()
	r.Concurrency.Max = s.cfg.MaxConcurrency
	return r
}

// URL is where the API answers.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() }

// controllerLog leaves the lines about requests out unless they are wanted.
func (s *Server) controllerLog() *zap.Logger {
	log := s.log.Named("controller")
	if !s.cfg.LogRequests && !log.Core().Enabled(zap.DebugLevel) {
		log = log.WithOptions(zap.IncreaseLevel(zap.WarnLevel))
	}
	return log
}

// apiHost is where actions reach the API.
func (s *Server) apiHost() string {
	if s.cfg.APIHost != "" {
		return s.cfg.APIHost
	}
	return s.URL()
}

func (s *Server) containers(ctx context.Context) (*process.Factory, error) {
	factory, err := process.Open(ctx, process.Config{
		Dir:            filepath.Join(s.dir.Path(), "containers"),
		Interpreters:   s.found,
		ParallelStarts: s.cfg.ParallelStart,
		Log:            s.log.Named("containers"),
	})
	if err != nil {
		return nil, fmt.Errorf("preparing action containers: %w", err)
	}
	s.log.Info("actions run in " + factory.Isolation().String())
	return factory, nil
}

func (s *Server) controllerConfig(build Build) controller.Config {
	c := controller.Default()
	limits := s.limits()
	c.Controller = string(controllerID)
	c.Throttle = controller.Throttle{
		InvocationsPerMinute:  s.cfg.InvocationsPerMinute,
		ConcurrentInvocations: s.cfg.ConcurrentInvocations,
		FiresPerMinute:        s.cfg.FiresPerMinute,
	}
	c.Actions.MaxMemory, c.Actions.MaxTimeout, c.Actions.MaxConcurrency = limits.Memory.Max, s.cfg.MaxTimeout, limits.Concurrency.Max
	c.AdminCredentials, c.SharedPackagesExecuteOnly = s.cfg.AdminFile, s.cfg.SharedPackagesExecuteOnly
	c.Times.Shutdown, c.Times.Resume = s.cfg.ShutdownTimeout, s.cfg.MaxQueueAge
	if s.cfg.Retention > 0 {
		// The records of its steps say what must not run again: what is older has none.
		c.Times.Resume = min(c.Times.Resume, s.cfg.Retention)
	}
	c.Build = controller.Build{Date: build.Date, Number: build.Version}
	return c
}

// Run serves until ctx ends; ready is called once the API answers. Then it stops
// in order: no new requests, what runs finishes or is recorded, the database is
// closed.
func (s *Server) Run(ctx context.Context, ready func(context.Context) error) (err error) {
	defer func() { err = errors.Join(err, s.close()) }()
	// The invoker outlives the controller's waiting clients.
	invokerCtx, stopInvoker := context.WithCancel(context.WithoutCancel(ctx))
	defer stopInvoker()
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.invoker.Run(invokerCtx) })
	group.Go(func() error {
		defer stopInvoker()
		return s.controller.Serve(groupCtx, s.listener)
	})
	group.Go(func() error {
		kept := map[string]retention.Expirer{"activation records": s.db.Activations(), "deliveries to webhooks": s.db.Deliveries()}
		return retention.Run(groupCtx, s.cfg.Retention, kept, s.log)
	})
	group.Go(func() error {
		return metrics.Serve(groupCtx, s.metrics, metrics.Handler(s.registry, s.controller.Internal()))
	})
	group.Go(func() error {
		if err := ready(groupCtx); err != nil && groupCtx.Err() == nil {
			return err
		}
		return nil
	})
	return group.Wait()
}

// close releases what New acquired, last first.
func (s *Server) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// interpreters finds the languages of this machine.
func (s *Server) interpreters(ctx context.Context) ([]runtimes.Interpreter, error) {
	found, err := runtimes.Detect(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking for language interpreters: %w", err)
	}
	return found, nil
}

// Runs reports whether actions of the kind, or of its family's default, can run
// on this machine.
func (s *Server) Runs(kind string) bool {
	family, _, _ := strings.Cut(kind, ":")
	return slices.ContainsFunc(s.found, func(i runtimes.Interpreter) bool { return i.Family == family })
}
