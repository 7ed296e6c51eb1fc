// Package service puts the rooms of an invoker together: the feed takes
// activations from the queue, the pool chooses containers, the runner runs them,
// the settler records. invoker/main.go, the standalone server and tests use it.
package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/invoker/activation"
	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/feed"
	"github.com/gowhisk/gowhisk/invoker/pool"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/encryption"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/operator"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Config of an invoker.
type Config struct {
	ID entity.InvokerID
	// UniqueName is the invoker's own whatever its id, DisplayedName for people.
	UniqueName, DisplayedName string
	Pool                      pool.Config
	Activation                activation.Config
	// MaxQueueAge: what waited longer ends with an error instead of being run.
	MaxQueueAge time.Duration
	Limits      entity.LimitRanges
	// ContainerEnv is the environment of every container, as KEY=VALUE.
	ContainerEnv []string
	// AdminCredentials is a file with the operator's user:password, for Handler; ""
	// means that there is no operator.
	AdminCredentials string
	// ShutdownTimeout is how long a stop waits for activations that run.
	ShutdownTimeout time.Duration
}

// Deps are what an invoker works with.
type Deps struct {
	Queue     bus.Queue
	Completer bus.Completer
	// Pinger tells the controllers that the invoker lives; nil if they see that for
	// themselves.
	Pinger bus.Pinger
	// Events takes user events; nil sends none.
	Events   bus.Events
	Entities store.EntityStore
	Factory  container.Factory
	Manifest *runtimes.Manifest
	// Keys decrypt parameters; nil has none.
	Keys *encryption.Keyring
	// Blocked says which namespaces may run nothing; nil knows of none.
	Blocked  feed.Blocked
	Log      *zap.Logger
	Registry prometheus.Registerer
}

// Service is one invoker.
type Service struct {
	cfg      Config
	deps     Deps
	actions  *feed.Actions
	feed     *feed.Feed
	pool     *pool.Loop
	settler  *activation.Settler
	presence *presence
	operator operator.Credentials
	// feeding: the queue is ours, what an earlier life left has ended, and work is taken.
	feeding atomic.Bool
}

// New removes what an earlier invoker left, and puts the new one together. The
// pool starts its stem cells at once; Run must be called, for its end frees all.
func New(ctx context.Context, cfg Config, deps Deps) (*Service, error) {
	credentials, err := operator.Load(cfg.AdminCredentials)
	if err != nil {
		return nil, err
	}
	if err := deps.Factory.Sweep(ctx); err != nil {
		return nil, fmt.Errorf("removing containers of an earlier run: %w", err)
	}
	s := &Service{cfg: cfg, deps: deps, operator: credentials, actions: feed.NewActions(deps.Entities, deps.Keys)}
	s.settler = activation.NewSettler(deps.Queue, deps.Completer, cfg.ID, cfg.Activation.SettleRetry, deps.Log)
	s.settler.Report(deps.Events)
	runner := activation.NewRunner(cfg.Activation, deps.Entities, deps.Keys, s.settler, deps.Log)
	s.pool = pool.NewLoop(cfg.Pool, environment{deps.Factory, cfg.ContainerEnv}, newObserver(runner, deps.Registry), pool.SystemClock{}, deps.Log)
	s.feed = feed.New(feed.Config{
		MaxAge:  cfg.MaxQueueAge,
		Limits:  cfg.Limits,
		Kinds:   kinds{deps.Manifest},
		Blocked: deps.Blocked,
	}, deps.Queue, s.actions, s.settler, s.pool, deps.Log)
	s.presence = newPresence(cfg, deps.Pinger, s.Snapshot, deps.Queue.Backlog, deps.Log)
	registerGauges(deps.Registry, s)
	return s, nil
}

// Run ends what an earlier invoker had begun, and then serves until ctx ends. Then it
// says so to the controllers, takes no more, lets what runs finish for at most
// Config.ShutdownTimeout, records the rest as stopped, and hands back what was
// not begun. It returns bus.ErrOwned if another process has taken the queue over.
func (s *Service) Run(ctx context.Context) error {
	pings, hush := context.WithCancel(context.WithoutCancel(ctx))
	var pinging sync.WaitGroup
	pinging.Go(func() { s.presence.run(pings) })
	defer pinging.Wait()
	defer hush()
	leaving := context.AfterFunc(ctx, s.presence.leave)
	defer leaving()

	err := s.feed.Run(ctx, func() { s.feeding.Store(true) })
	s.feeding.Store(false)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.ShutdownTimeout)
	defer cancel()
	return errors.Join(err, s.stop(stop))
}

// returner is a queue whose owner can give away what waits in it, so that it need not
// wait for the owner's next life.
type returner interface {
	// HandBack moves all that is accepted and not claimed to where another invoker can
	// have it, and returns how many that were.
	HandBack(ctx context.Context) (int, error)
}

// handBack gives away what waits.
func (s *Service) handBack(ctx context.Context) {
	q, ok := s.deps.Queue.(returner)
	if !ok {
		return
	}
	n, err := q.HandBack(ctx)
	if err != nil {
		s.deps.Log.Warn("handing back what waits in the queue failed; it waits for this invoker's next start, or until a controller moves it", zap.Error(err))
	}
	if n > 0 {
		s.deps.Log.Info("handed back what waited in the queue", zap.Int("activations", n))
	}
}

func (s *Service) stop(ctx context.Context) error {
	defer s.actions.Close()
	s.pool.Drain(true)
	poolErr := s.pool.Close(ctx)
	if errors.Is(poolErr, context.DeadlineExceeded) {
		s.deps.Log.Warn("stopped while activations were running; their records say so", zap.Duration("waited", s.cfg.ShutdownTimeout))
		poolErr = nil
	}
	// Records are owed whatever the deadline was; the store is local or retried.
	settle, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := s.settler.Close(settle)
	s.handBack(settle)
	return errors.Join(poolErr, err, s.deps.Factory.Close())
}

// Snapshot tells what the pool holds.
func (s *Service) Snapshot() pool.Snapshot { return s.pool.Snapshot() }

// kinds answers the feed's questions from the manifest.
type kinds struct{ manifest *runtimes.Manifest }

func (k kinds) HasSentinels(e *entity.Exec) bool {
	if e.Kind == entity.KindBlackbox {
		image, err := entity.ParseImage(e.Image)
		return err == nil && k.manifest.IsManagedImage(image)
	}
	r, err := k.manifest.Resolve(e.Kind)
	return err != nil || r.SentinelledLogs
}

func (k kinds) Image(e *entity.Exec) string {
	if e.Kind == entity.KindBlackbox {
		return e.Image
	}
	r, err := k.manifest.Resolve(e.Kind)
	if err != nil {
		return ""
	}
	return r.Image.String()
}

// environment is a factory whose containers all get the same variables.
type environment struct {
	container.Factory
	variables []string
}

// Start implements container.Factory.
func (e environment) Start(ctx context.Context, spec container.Spec) (container.Container, error) {
	spec.Env = append(spec.Env[:len(spec.Env):len(spec.Env)], e.variables...)
	return e.Factory.Start(ctx, spec)
}

// StemCells are the containers that the manifest wants kept started, for actions of at
// most the given concurrency.
func StemCells(m *runtimes.Manifest, concurrency int) []pool.StemCellConfig {
	var cells []pool.StemCellConfig
	for _, r := range m.Runtimes() {
		for _, s := range r.StemCells {
			cell := pool.StemCellConfig{
				Kind: r.Kind, Image: r.Image.String(), Memory: s.Memory,
				Concurrency: concurrency, InitialCount: s.InitialCount,
			}
			if s.Reactive != nil {
				reactive := pool.ReactiveConfig(*s.Reactive)
				cell.Reactive = &reactive
			}
			cells = append(cells, cell)
		}
	}
	return cells
}
