// Package web serves web actions: actions that their owner has exported, for
// everybody with a browser (openwhisk-rest-api.md section 18).
//
//	path.go, body.go, arguments.go   a request becomes the arguments of an action
//	project.go, http.go, answer.go   its result becomes an answer
//	web.go                           what is checked between the two, and the run
//
// All but the run is pure and table-tested. The action runs on the account of the
// namespace in the URL; credentials in the request are welcome and needed only if
// the action asks for them.
package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gowhisk/gowhisk/controller/api"
	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/controller/compose"
	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/controller/identity"
	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Identities finds who a request is by, and who it is for. Safe for concurrent use.
type Identities interface {
	// Authenticate returns the identity, identity.ErrMissing or ErrInvalid, or what
	// kept it from finding out.
	Authenticate(ctx context.Context, header string) (*entity.Identity, error)
	// Owner returns an identity of the namespace, store.ErrNotFound, or what kept it
	// from finding out.
	Owner(ctx context.Context, namespace string) (*entity.Identity, error)
}

// Composer runs actions of every kind. Safe for concurrent use.
type Composer interface {
	// Invoke runs an action and waits for its result, as compose.Composer does.
	Invoke(ctx context.Context, r *invoke.Request) (invoke.Result, error)
}

var (
	_ Identities = (*identity.Authenticator)(nil)
	_ Composer   = (*compose.Composer)(nil)
)

// Deps are what web actions work with.
type Deps struct {
	API        *api.API
	Identities Identities
	Rights     *entitle.Rights
	Throttle   *entitle.Throttle
	Catalog    *catalog.Catalog
	Composer   Composer
	// Wait is how long a request waits for its action.
	Wait time.Duration
}

// Actions serves web actions. Safe for concurrent use.
type Actions struct{ Deps }

// New returns web actions; Register puts them on a router.
func New(d Deps) *Actions { return &Actions{d} }

// Register puts the route on a router whose front door is the API's. The path is
// read from the request, for encoded slashes and empty segments have a meaning.
func (s *Actions) Register(r *gin.Engine) {
	h := s.API.Serve(s.serve)
	for _, method := range []string{
		http.MethodGet, http.MethodDelete, http.MethodPost, http.MethodPut, http.MethodHead, http.MethodOptions, http.MethodPatch,
	} {
		r.Handle(method, api.WebPrefix+"*path", h)
	}
}

// serve answers one request, in the order of openwhisk-rest-api.md 18.1.
func (s *Actions) serve(x *api.Exchange) error {
	r := x.Request()
	to, err := parsePath(strings.TrimPrefix(r.URL.EscapedPath(), api.WebPrefix))
	if errors.Is(err, api.ErrNoRoute) && r.Method == http.MethodOptions {
		s.API.Preflight(x)
		return nil
	}
	x.PrettyErrors()
	if err != nil {
		return err
	}
	callable, err := s.find(x, &to)
	if err != nil {
		return err
	}
	if err := s.entitled(x, &to); err != nil {
		return err
	}
	limit := s.API.PayloadLimit(x.Identity)
	tooLarge := func(size int64) error { return api.RequestTooLarge(size, limit) }
	if r.ContentLength > int64(limit) {
		return tooLarge(r.ContentLength)
	}
	if !callable.Web.CustomOptions {
		allowOrigins(x.Header(), r.Header)
		if r.Method == http.MethodOptions {
			x.Writer().WriteHeader(http.StatusOK)
			return nil
		}
	}
	user, err := s.admit(x, callable.Web)
	if err != nil {
		return err
	}
	content, err := x.ReadBody(int64(limit), tooLarge)
	if err != nil {
		return err
	}
	payload, err := arguments(&call{
		method: r.Method, header: r.Header, host: r.Host, path: to.rest, query: r.URL.RawQuery, user: user, content: content,
	}, callable.Web.Raw, callable.Final)
	if err != nil {
		return err
	}
	return s.run(x, to.extension, callable, payload)
}

// find sets the owner as the exchange's identity and returns the action, or
// store.ErrNotFound also where something else has the name or is not exported. That
// takes a read of the store, as for what is not there: an answer that comes sooner
// would tell that there is something.
func (s *Actions) find(x *api.Exchange, to *target) (*catalog.Callable, error) {
	owner, err := s.Identities.Owner(x.Context(), string(to.namespace))
	if err != nil {
		return nil, err
	}
	x.Identity = owner
	remembered := s.Catalog.Remembers(to.fqn().ID())
	callable, err := s.Catalog.Resolve(x.Context(), to.fqn())
	switch {
	case err == nil && callable.Web != nil:
		return callable, nil
	case err != nil && !errors.Is(err, catalog.ErrWrongType):
		return nil, err
	}
	if remembered {
		_, _ = s.Catalog.Fresh(x.Context(), to.fqn().ID()) // for the time that it takes
	}
	return nil, store.ErrNotFound
}

// entitled counts the request as an invocation by the owner, and checks that the
// owner may make it: a binding may refer to a package that is not public any more.
func (s *Actions) entitled(x *api.Exchange, to *target) error {
	if err := s.Throttle.Invocation(x.Identity); err != nil {
		return err
	}
	return s.Rights.Check(x.Context(), x.Identity, entitle.Activate, to.resource())
}

// admit checks who may call the action (openwhisk-rest-api.md 18.6) and returns the
// namespace of who sent valid credentials. Invalid ones are as good as none. OPTIONS
// needs no permission.
func (s *Actions) admit(x *api.Exchange, w *catalog.Web) (user string, err error) {
	r := x.Request()
	if header := r.Header["Authorization"]; len(header) > 0 {
		caller, err := s.Identities.Authenticate(x.Context(), header[0])
		switch {
		case err == nil:
			user = caller.Namespace
		case !errors.Is(err, identity.ErrInvalid) && !errors.Is(err, identity.ErrMissing):
			return "", err
		}
	}
	if r.Method != http.MethodOptions && !w.Admits(user != "", r.Header["X-Require-Whisk-Auth"]) {
		return "", api.ErrWebNotAdmitted
	}
	return user, nil
}

// run invokes the action and answers with what its result becomes.
func (s *Actions) run(x *api.Exchange, e *extension, callable *catalog.Callable, payload []byte) error {
	result, err := s.Composer.Invoke(x.Context(), &invoke.Request{
		Identity: x.Identity,
		Transid:  x.Transid,
		Callable: callable,
		Payload:  payload,
		Wait:     s.Wait,
	})
	if err != nil {
		return err
	}
	x.Header()["X-Openwhisk-Activation-Id"] = []string{string(result.ActivationID)}
	if result.Record == nil {
		return api.ErrWebNotReady
	}
	a, err := project(e, &result.Record.Response)
	if err != nil {
		return err
	}
	return a.write(x)
}

// project returns what an outcome becomes (openwhisk-rest-api.md 18.5), or an
// *api.Error.
func project(e *extension, r *entity.Response) (answer, error) {
	value := parse(r.Result)
	if len(r.Result) == 0 {
		value = parse([]byte("{}"))
	}
	switch r.StatusCode {
	case entity.StatusSuccess:
	case entity.StatusApplicationError:
		var found bool
		if value, found = property(value, "error", "error"); !found {
			return answer{}, api.ErrWebNoProperty
		}
	default:
		return answer{}, api.ErrWebFailed
	}
	return e.project(value)
}

// Headers of web actions that leave CORS to the platform
// (openwhisk-rest-api.md 18.7).
var (
	corsOrigin  = []string{"*"}
	corsMethods = []string{"OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH"}
	corsHeaders = []string{"Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent"}
)

func allowOrigins(h, request http.Header) {
	h["Access-Control-Allow-Origin"] = corsOrigin
	h["Access-Control-Allow-Methods"] = corsMethods
	h["Access-Control-Allow-Headers"] = corsHeaders
	if asked := request["Access-Control-Request-Headers"]; len(asked) > 0 {
		h["Access-Control-Allow-Headers"] = asked[:1]
	}
}
