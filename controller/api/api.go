// Package api is the REST API of the controller (openwhisk-rest-api.md): one file
// per collection, the front door that every request passes, and the one table of
// what clients are told when something is wrong.
//
// A handler returns an error or has answered. Checks are made in the order of
// section 1.6: path, credentials, names, throttle, entitlement, content type,
// body, sizes, query, and only then what the request asks for.
package api

import (
	"context"
	"errors"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/controller/compose"
	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/controller/identity"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Config holds what the API needs to know; section 26 of the contract has the
// defaults.
type Config struct {
	// Ranges are the system's limits of actions.
	Ranges entity.LimitRanges
	// MaxParameterSize bounds parameters, and annotations, of an entity.
	MaxParameterSize entity.ByteSize
	// MaxPayloadSize bounds the body of an invocation.
	MaxPayloadSize entity.ByteSize
	MaxExecSize    entity.ByteSize
	// MaxBodySize bounds every request's body.
	MaxBodySize entity.ByteSize
	// ListDefault and ListMax are how many items a list has if its client does not
	// say, and at most.
	ListDefault, ListMax int
	// MaxWait bounds, and is by default, the wait of a blocking invocation.
	MaxWait time.Duration
	// RequestTimeout bounds the work for every other request.
	RequestTimeout time.Duration
	// MaxSequenceLength bounds the components of a sequence, and the actions that it
	// comes down to when the sequences in it are inlined. It is shown to clients.
	MaxSequenceLength int
	// AllowedKinds are the kinds of actions that every namespace may have; none
	// means all.
	AllowedKinds []string
	// SharedExecuteOnly keeps others from seeing public packages, which they may
	// still invoke and bind (openwhisk-rest-api.md section 3).
	SharedExecuteOnly bool
	// BuildDate and BuildNumber are shown to clients.
	BuildDate, BuildNumber string
	// Rates are shown to clients; the throttle applies them.
	Rates entitle.Rates
}

// Authenticator finds out who a request acts for.
type Authenticator interface {
	// Authenticate returns the identity, identity.ErrMissing or ErrInvalid, or what
	// kept it from finding out.
	Authenticate(ctx context.Context, header string) (*entity.Identity, error)
}

var _ Authenticator = (*identity.Authenticator)(nil)

// Metrics counts requests. Safe for concurrent use.
type Metrics interface {
	// Request counts an answered request; route is its pattern or "none".
	Request(method, route string, status int, took time.Duration)
	// Throttled counts a request that was refused with 429.
	Throttled()
}

// Deps are what the API works with.
type Deps struct {
	Auth        Authenticator
	Rights      *entitle.Rights
	Throttle    *entitle.Throttle
	Catalog     *catalog.Catalog
	Entities    store.EntityStore
	Activations store.ActivationStore
	Deliveries  store.DeliveryStore
	Composer    *compose.Composer
	Manifest    *runtimes.Manifest
	Metrics     Metrics
	Log         *zap.Logger
	Now         func() time.Time
}

// API serves the REST API. Safe for concurrent use.
type API struct {
	cfg         Config
	auth        Authenticator
	rights      *entitle.Rights
	throttle    *entitle.Throttle
	catalog     *catalog.Catalog
	entities    store.EntityStore
	activations store.ActivationStore
	deliveries  store.DeliveryStore
	composer    *compose.Composer
	manifest    *runtimes.Manifest
	metrics     Metrics
	log         *zap.Logger
	now         func() time.Time

	// The informational documents never change.
	rootDocument, versionDocument []byte
}

// New returns an API; Register puts it on a router.
func New(cfg Config, d Deps) (*API, error) {
	a := &API{
		cfg: cfg, auth: d.Auth, rights: d.Rights, throttle: d.Throttle, catalog: d.Catalog, entities: d.Entities,
		activations: d.Activations, deliveries: d.Deliveries, composer: d.Composer, manifest: d.Manifest, metrics: d.Metrics, log: d.Log, now: d.Now,
	}
	return a, a.makeDocuments()
}

// Register puts the routes on a router of its own front door. The router must use
// the escaped path and leave the values escaped.
func (a *API) Register(r *gin.Engine) {
	r.Use(a.FrontDoor)
	r.NoRoute(a.noRoute)
	r.NoMethod(a.noMethod)
	r.GET("/", a.open(a.root))
	r.GET("/ping", a.open(a.ping))
	both(r, "GET", apiPrefix, a.open(a.version))
	both(r, "GET", namespacesPrefix, a.known(a.listNamespaces))

	const ns = namespacesPrefix + "/:ns"
	both(r, "GET", ns+"/limits", a.collection(entitle.Limits, a.getLimits))
	r.GET(ns+"/limits/:first", a.collection(entitle.Limits, a.innerLimits))

	both(r, "GET", ns+"/actions", a.collection(entitle.Actions, a.listActions))
	r.GET(ns+"/actions/:first/", a.contents(a.listPackageActions))
	for _, path := range []string{ns + "/actions/:first", ns + "/actions/:first/:second"} {
		r.GET(path, a.entity(entitle.Actions, entitle.Read, a.getAction))
		r.PUT(path, a.entity(entitle.Actions, entitle.Put, a.putAction))
		r.DELETE(path, a.entity(entitle.Actions, entitle.Delete, a.deleteAction))
		r.POST(path, a.invocation(a.postAction))
	}

	both(r, "GET", ns+"/packages", a.collection(entitle.Packages, a.listPackages))
	r.GET(ns+"/packages/:first", a.entity(entitle.Packages, entitle.Read, a.getPackage))
	r.PUT(ns+"/packages/:first", a.entity(entitle.Packages, entitle.Put, a.putPackage))
	r.DELETE(ns+"/packages/:first", a.entity(entitle.Packages, entitle.Delete, a.deletePackage))

	both(r, "GET", ns+"/triggers", a.collection(entitle.Triggers, a.listTriggers))
	r.GET(ns+"/triggers/:first", a.entity(entitle.Triggers, entitle.Read, a.getTrigger))
	r.PUT(ns+"/triggers/:first", a.entity(entitle.Triggers, entitle.Put, a.putTrigger))
	r.DELETE(ns+"/triggers/:first", a.entity(entitle.Triggers, entitle.Delete, a.deleteTrigger))
	r.POST(ns+"/triggers/:first", a.fire(a.postTrigger))
	both(r, "GET", ns+"/triggers/:first/deliveries", a.entity(entitle.Triggers, entitle.Read, a.listDeliveries))
	r.GET(ns+"/triggers/:first/deliveries/:delivery", a.entity(entitle.Triggers, entitle.Read, a.getDelivery))
	r.POST(ns+"/triggers/:first/deliveries/:delivery", a.fire(a.postDelivery))

	both(r, "GET", ns+"/rules", a.collection(entitle.Rules, a.listRules))
	r.GET(ns+"/rules/:first", a.entity(entitle.Rules, entitle.Read, a.getRule))
	r.PUT(ns+"/rules/:first", a.entity(entitle.Rules, entitle.Put, a.putRule))
	r.DELETE(ns+"/rules/:first", a.entity(entitle.Rules, entitle.Delete, a.deleteRule))
	r.POST(ns+"/rules/:first", a.entity(entitle.Rules, entitle.Activate, a.postRule))

	both(r, "GET", ns+"/activations", a.collection(entitle.Activations, a.listActivations))
	both(r, "GET", ns+"/activations/:first", a.collection(entitle.Activations, a.getActivation))
	r.GET(ns+"/activations/:first/:second", a.collection(entitle.Activations, a.getActivationPart))
}

// both routes a path with and without a slash at its end.
func both(r *gin.Engine, method, path string, h gin.HandlerFunc) {
	r.Handle(method, path, h)
	r.Handle(method, path+"/", h)
}

// handler serves an exchange whose address and rights have been checked.
type handler func(x *Exchange) error

// open serves everyone.
func (a *API) open(h handler) gin.HandlerFunc {
	return a.checked(h)
}

// known serves who has credentials.
func (a *API) known(h handler) gin.HandlerFunc {
	return a.checked(a.authenticate, h)
}

// collection serves who may read a collection of the namespace.
func (a *API) collection(c entitle.Collection, h handler) gin.HandlerFunc {
	return a.checked(a.authenticate, (*Exchange).parseNamespace, func(x *Exchange) error {
		return a.rights.Check(x.Context(), x.Identity, entitle.Read, x.at.resource(c))
	}, h)
}

// contents serves who may read the actions of a package.
func (a *API) contents(h handler) gin.HandlerFunc {
	return a.checked(a.authenticate, (*Exchange).parseNamespace, (*Exchange).parsePackage, func(x *Exchange) error {
		return a.rights.Check(x.Context(), x.Identity, entitle.Read, x.at.resource(entitle.Actions))
	}, h)
}

// entity serves who has the right to one entity.
func (a *API) entity(c entitle.Collection, right entitle.Right, h handler) gin.HandlerFunc {
	return a.checked(a.authenticate, (*Exchange).parseNamespace, (*Exchange).parseName, func(x *Exchange) error {
		err := a.rights.Check(x.Context(), x.Identity, right, x.at.resource(c))
		var missing *entitle.MissingError
		if c == entitle.Packages && errors.As(err, &missing) {
			return packageMissing(missing.Package)
		}
		return err
	}, h)
}

// checked runs the steps in order, within the time that a request has; the first
// error is the answer.
func (a *API) checked(steps ...handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		ctx, cancel := context.WithTimeout(c.Request.Context(), a.cfg.RequestTimeout)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		a.run(ExchangeOf(c), steps)
	}
}

// invocation serves who may activate an action, and counts who tries
// (openwhisk-rest-api.md section 19). It sets no deadline: waiting has its own.
func (a *API) invocation(h handler) gin.HandlerFunc {
	steps := []handler{a.authenticate, (*Exchange).parseNamespace, (*Exchange).parseName, a.throttleInvocation, func(x *Exchange) error {
		return a.rights.Check(x.Context(), x.Identity, entitle.Activate, x.at.resource(entitle.Actions))
	}, h}
	return func(c *gin.Context) { a.run(ExchangeOf(c), steps) }
}

// fire serves who may fire a trigger, and counts who tries
// (openwhisk-rest-api.md section 19).
func (a *API) fire(h handler) gin.HandlerFunc {
	return a.checked(a.authenticate, (*Exchange).parseNamespace, (*Exchange).parseName, a.throttleFire, func(x *Exchange) error {
		return a.rights.Check(x.Context(), x.Identity, entitle.Activate, x.at.resource(entitle.Triggers))
	}, h)
}

// Serve is the handler of another package's route: h answers, or its error does.
// It sets no deadline.
func (a *API) Serve(h func(x *Exchange) error) gin.HandlerFunc {
	steps := []handler{h}
	return func(c *gin.Context) { a.run(ExchangeOf(c), steps) }
}

func (a *API) run(x *Exchange, steps []handler) {
	for _, step := range steps {
		if err := step(x); err != nil {
			a.Fail(x, err)
			return
		}
	}
}
