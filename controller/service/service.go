// Package service is the controller as a library: New puts its rooms together, Run
// serves until it is told to stop. The controller's main, standalone mode and
// tests use it.
package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/controller/api"
	"github.com/gowhisk/gowhisk/controller/apidoc"
	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/controller/compose"
	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/controller/identity"
	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/controller/web"
	"github.com/gowhisk/gowhisk/controller/webhook"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/operator"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Deps are what a controller works with. All are needed but Cluster, Events and Now.
type Deps struct {
	Entities    store.EntityStore
	Activations store.ActivationStore
	Deliveries  store.DeliveryStore
	Subjects    store.SubjectStore
	Publisher   bus.Publisher
	Journal     bus.Journal
	Balancer    Balancer
	Manifest    *runtimes.Manifest
	Log         *zap.Logger
	// Cluster is nil for a controller that stands alone.
	Cluster *Cluster
	// Events takes user events; nil sends none.
	Events bus.Events
	// Registry gets the metrics.
	Registry prometheus.Registerer
	// Now is the clock of throttles, versions and deadlines; time.Now if nil.
	Now func() time.Time
}

// Balancer chooses invokers and knows how they are.
type Balancer interface {
	invoke.Balancer
	api.Fleet
}

// Service is a controller. Safe for concurrent use.
type Service struct {
	cfg      Config
	log      *zap.Logger
	auth     *identity.Authenticator
	catalog  *catalog.Catalog
	throttle *entitle.Throttle
	invoker  *invoke.Invoker
	composer *compose.Composer
	cluster  *cluster // nil for a controller that stands alone
	store    store.EntityStore
	phase    phase
	router   *gin.Engine
	internal *gin.Engine
}

// ginMode: gin's mode belongs to the process.
var ginMode = sync.OnceFunc(func() { gin.SetMode(gin.ReleaseMode) })

// New returns a controller that serves through Handler at once. The bus must pass
// the completions for cfg.Controller to Completed. Close, or Run's end, frees it.
func New(cfg Config, d Deps) (*Service, error) {
	if err := errors.Join(cfg.Validate(), d.validate(), d.Cluster.validate()); err != nil {
		return nil, fmt.Errorf("configuration of the controller: %w", err)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	auth, err := identity.New(d.Subjects, cfg.Caches.IdentityTTL, cfg.Caches.Identities)
	if err != nil {
		return nil, err
	}
	entities, err := catalog.New(d.Entities, cfg.Caches.Entities, cfg.Caches.EntityTTL)
	if err != nil {
		auth.Close()
		return nil, err
	}
	s := &Service{cfg: cfg, log: d.Log, auth: auth, catalog: entities, store: d.Entities}
	if err := s.assemble(d); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (d *Deps) validate() error {
	for name, missing := range map[string]bool{
		"Entities": d.Entities == nil, "Activations": d.Activations == nil, "Deliveries": d.Deliveries == nil, "Subjects": d.Subjects == nil, "Publisher": d.Publisher == nil, "Journal": d.Journal == nil,
		"Balancer": d.Balancer == nil, "Manifest": d.Manifest == nil, "Log": d.Log == nil, "Registry": d.Registry == nil,
	} {
		if missing {
			return fmt.Errorf("the controller was built without %s", name)
		}
	}
	return nil
}

// assemble connects the rooms behind the caches.
func (s *Service) assemble(d Deps) error {
	metrics, err := newMetrics(d.Registry,
		func() float64 { return float64(s.invoker.InFlight()) }, func() float64 { return float64(s.composer.Running()) })
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	rates := entitle.Rates(s.cfg.Throttle)
	s.throttle = entitle.NewThrottle(rates, d.Now)
	s.throttle.Report(d.Events, "controller"+s.cfg.Controller)
	s.invoker = invoke.New(invoke.Config{
		Controller:     entity.ControllerID(s.cfg.Controller),
		PublishTimeout: s.cfg.Times.Publish,
		LostFactor:     s.cfg.Times.LostFactor,
		LostExtra:      s.cfg.Times.LostExtra,
		StdTimeout:     s.cfg.Actions.StdTimeout,
		MaxWaiting:     s.cfg.Overflow.Max,
		MaxWaitingTime: s.cfg.Overflow.MaxAge,
		PollInterval:   s.cfg.Times.Poll,
	}, invoke.Deps{
		Balancer: d.Balancer, Publisher: d.Publisher, Overflow: d.overflow(), InFlight: s.throttle, Records: d.Activations,
		Metrics: metrics, Log: d.Log, Now: d.Now,
	})
	rights := entitle.NewRights(s.catalog)
	s.composer = compose.New(compose.Config{
		Controller:   entity.ControllerID(s.cfg.Controller),
		MaxActions:   s.cfg.Actions.MaxSequenceLength,
		MaxRunning:   s.cfg.Actions.MaxCompositions,
		Patience:     s.cfg.Times.Component,
		StoreTimeout: s.cfg.Times.Publish,
		MaxAge:       s.cfg.Times.Resume,
	}, compose.Deps{
		Invoker: s.invoker, Journal: d.Journal, Records: d.Activations, Identities: d.Subjects, Catalog: s.catalog,
		Rights: rights, Throttle: s.throttle, Kinds: d.Manifest, Explain: api.Explain, Metrics: metrics, Log: d.Log, Now: d.Now,
	})
	front, err := api.New(s.cfg.api(rates), api.Deps{
		Auth: s.auth, Rights: rights, Throttle: s.throttle, Catalog: s.catalog,
		Entities: d.Entities, Activations: d.Activations, Deliveries: d.Deliveries, Composer: s.composer, Manifest: d.Manifest,
		Metrics: metrics, Log: d.Log, Now: d.Now,
	})
	if err != nil {
		return err
	}
	s.router = newRouter()
	front.Register(s.router)
	web.New(web.Deps{
		API: front, Identities: s.auth, Rights: rights, Throttle: s.throttle, Catalog: s.catalog, Composer: s.composer, Wait: s.cfg.Times.Wait,
	}).Register(s.router)
	webhook.New(webhook.Deps{
		API: front, Owners: s.auth, Throttle: s.throttle, Catalog: s.catalog, Firer: s.composer, Deliveries: d.Deliveries,
		Timeout: s.cfg.Times.Request, Metrics: metrics, Log: d.Log, Now: d.Now,
	}).Register(s.router)
	apidoc.Register(s.router, front)
	credentials, err := operator.Load(s.cfg.AdminCredentials)
	if err != nil {
		return err
	}
	s.internal = newRouter()
	front.RegisterInternal(s.internal, api.Internal{Fleet: d.Balancer, Flights: s.invoker, Operator: credentials, ReadyFraction: s.cfg.Ready.Invokers, Usable: s.usable})
	if d.Cluster != nil {
		return s.join(d, metrics)
	}
	return nil
}

func (c *Config) api(rates entitle.Rates) api.Config {
	return api.Config{
		Ranges:            c.Actions.ranges(),
		MaxParameterSize:  c.Sizes.Parameters,
		MaxPayloadSize:    c.Sizes.Payload,
		MaxExecSize:       c.Sizes.Exec,
		MaxBodySize:       c.Sizes.Body,
		ListDefault:       c.Lists.Default,
		ListMax:           c.Lists.Max,
		MaxWait:           c.Times.Wait,
		RequestTimeout:    c.Times.Request,
		MaxSequenceLength: c.Actions.MaxSequenceLength,
		AllowedKinds:      c.Actions.AllowedKinds,
		SharedExecuteOnly: c.SharedPackagesExecuteOnly,
		BuildDate:         c.Build.Date,
		BuildNumber:       c.Build.Number,
		Rates:             rates,
	}
}

// newRouter routes the path as it was sent, so that an encoded slash makes no
// segment, and answers 405 where only the verb is wrong.
func newRouter() *gin.Engine {
	ginMode()
	r := gin.New()
	r.UseEscapedPath = true
	r.UnescapePathValues = false
	r.RedirectTrailingSlash = false
	r.HandleMethodNotAllowed = true
	return r
}

// Handler serves the API.
func (s *Service) Handler() http.Handler { return s.phase.lame(dotless(s.router)) }

// Routes lists the routes of Handler.
func (s *Service) Routes() gin.RoutesInfo { return s.router.Routes() }

// Internal serves what operators ask: /invokers, /activation and what is below
// them, and /disable. It belongs on an address that clients do not reach.
func (s *Service) Internal() http.Handler { return s.internal }

// Forget drops all that is remembered of entities and identities.
func (s *Service) Forget() {
	s.catalog.InvalidateAll()
	s.auth.Forget()
}

// Recover goes on with sequences, compositions and trigger fires that an earlier
// life of this controller left unfinished. Serve does it; who uses Handler alone
// calls it once.
func (s *Service) Recover(ctx context.Context) { s.composer.Recover(ctx) }

// RecoverFrom goes on with what a dead controller left, as compose.Composer's.
func (s *Service) RecoverFrom(ctx context.Context, dead entity.ControllerID) error {
	return s.composer.RecoverFrom(ctx, dead)
}

// InFlight returns how many activations were accepted here and have not ended.
func (s *Service) InFlight() int { return s.invoker.InFlight() }

// Close frees a service that Run does not run.
func (s *Service) Close() {
	if s.composer != nil {
		s.composer.Close()
	}
	s.auth.Close()
	s.catalog.Close()
}
