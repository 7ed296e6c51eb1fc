package api

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/gowhisk/gowhisk/controller/identity"
	"github.com/gowhisk/gowhisk/pkg/bus"
)

// Headers that every API answer carries (openwhisk-rest-api.md 1.5).
var (
	corsOrigin     = []string{"*"}
	corsHeaders    = []string{"Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent"}
	corsMethods    = []string{"GET, DELETE, POST, PUT, HEAD"}
	optionsMethods = []string{"OPTIONS, GET, POST"} // outside of the API
)

const (
	apiPrefix        = "/api/v1"
	namespacesPrefix = "/api/v1/namespaces"
	// WebPrefix is what the paths of web actions begin with.
	WebPrefix = "/api/v1/web/"
)

// under reports whether path is root or below it.
func under(path, root string) bool {
	return strings.HasPrefix(path, root) && (len(path) == len(root) || path[len(root)] == '/')
}

// FrontDoor is the middleware that every request passes, routed or not: it gives
// the request its id, bounds the time for its body, answers OPTIONS, sets the headers
// of API answers, survives panics, and logs and counts what became of it.
func (a *API) FrontDoor(c *gin.Context) {
	x := exchanges.Get().(*Exchange)
	x.gin, x.Identity, x.at, x.pretty = c, nil, address{}, false
	c.Keys = x.keys
	x.Transid = a.transid(c.Request, a.now())
	x.boundBody()
	h := c.Writer.Header()
	h["X-Request-Id"] = []string{x.Transid.ID}
	path := c.Request.URL.Path
	web := strings.HasPrefix(path, WebPrefix)
	if !web && under(path, apiPrefix) {
		x.allowOrigins()
	}
	defer a.leave(x)
	if c.Request.Method == http.MethodOptions && !web {
		c.Abort()
		a.options(x, under(path, apiPrefix))
		return
	}
	c.Next()
}

// transid takes the client's id unless it pretends to be the system's
// (openwhisk-rest-api.md 1.3).
func (a *API) transid(r *http.Request, now time.Time) bus.Transid {
	t := bus.Transid{Start: now}
	if given := r.Header["X-Request-Id"]; len(given) > 0 && given[0] != "" && !strings.HasPrefix(given[0], "sid_") {
		t.ID = given[0]
	} else {
		t.ID = newTransid()
	}
	if extra := r.Header["X-Ow-Extra-Logging"]; len(extra) > 0 {
		t.Extra = strings.EqualFold(extra[0], "on")
		delete(r.Header, "X-Ow-Extra-Logging") // actions do not see it
	}
	return t
}

const transidAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// newTransid returns 32 letters and digits. They tell requests apart and guard
// nothing, so a fast generator will do.
func newTransid() string {
	var b [32]byte
	for i := 0; i < len(b); {
		bits := rand.Uint64()
		for j := 0; j < 10 && i < len(b); j++ {
			if c := bits & 63; c < uint64(len(transidAlphabet)) {
				b[i] = transidAlphabet[c]
				i++
			}
			bits >>= 6
		}
	}
	return string(b[:])
}

// options answers a CORS preflight, without credentials (openwhisk-rest-api.md 1.5).
func (a *API) options(x *Exchange, inAPI bool) {
	h := x.gin.Writer.Header()
	h.Del("Allow")
	if !inAPI {
		h["Access-Control-Allow-Methods"] = optionsMethods
	}
	x.text(http.StatusOK, "OK")
}

func (x *Exchange) text(status int, body string) {
	x.gin.Writer.Header()["Content-Type"] = headerText
	x.gin.Writer.WriteHeader(status)
	_, _ = x.gin.Writer.WriteString(body) // the client may have gone; nobody is left to tell
}

// leave ends an exchange. It is deferred, so it sees panics.
func (a *API) leave(x *Exchange) {
	if p := recover(); p != nil {
		if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(p)
		}
		a.log.Error("a request handler panicked; please report this", zap.Any("panic", p),
			zap.String("transid", x.Transid.ID), zap.ByteString("stack", debug.Stack()))
		if x.gin.Writer.Written() {
			defer panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		} else {
			a.Fail(x, errInternal)
		}
	}
	a.observe(x)
	x.gin.Keys = nil
	x.gin, x.Identity, x.Transid = nil, nil, bus.Transid{}
	exchanges.Put(x)
}

// observe writes the access log and the metrics of a request. Headers and queries
// may hold secrets and are left out.
func (a *API) observe(x *Exchange) {
	route := x.gin.FullPath()
	if route == "" {
		route = "none"
	}
	method, status, took := knownMethod(x.Request().Method), x.gin.Writer.Status(), a.now().Sub(x.Transid.Start)
	a.metrics.Request(method, route, status, took)
	entry := a.log.Check(zapcore.InfoLevel, "request")
	if entry == nil {
		return
	}
	namespace := ""
	if x.Identity != nil {
		namespace = x.Identity.Namespace
	}
	entry.Write(zap.String("method", method), zap.String("route", route), zap.Int("status", status),
		zap.String("transid", x.Transid.ID), zap.String("namespace", namespace), zap.Duration("duration", took))
}

// knownMethod keeps strangers from inventing label values.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodOptions, http.MethodHead, http.MethodPatch:
		return method
	}
	return "other"
}

// maxDrain is how much of a refused body is read, so that clients that send it all
// before they listen get to hear why.
const maxDrain = 8 << 20

// Fail answers with an error, {"error":…,"code":…}. It is the only place that does.
func (a *API) Fail(x *Exchange, err error) {
	answer, known := AsError(err)
	if !known {
		a.log.Error("a request failed for a reason that is not the client's", zap.Error(err),
			zap.String("transid", x.Transid.ID), zap.String("route", x.gin.FullPath()))
	} else if answer.Status >= http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
		a.log.Warn("a request could not be served", zap.Error(err), zap.String("transid", x.Transid.ID))
	}
	switch answer.Status {
	case http.StatusUnauthorized:
		x.gin.Writer.Header()["Www-Authenticate"] = headerRealm
	case http.StatusTooManyRequests:
		a.metrics.Throttled()
	case http.StatusRequestEntityTooLarge:
		x.drain(maxDrain)
	}
	x.WriteJSON(answer.Status, x.errorBody(answer.Text))
}

// authenticate sets the exchange's identity, or says why it has none.
func (a *API) authenticate(x *Exchange) error {
	header := x.Request().Header["Authorization"]
	if len(header) == 0 {
		return identity.ErrMissing
	}
	id, err := a.auth.Authenticate(x.Context(), header[0])
	if err != nil {
		return err
	}
	x.Identity = id
	return nil
}

// noRoute answers what matched nothing. Below namespaces strangers learn nothing
// but that they are strangers (openwhisk-rest-api.md section 2).
func (a *API) noRoute(c *gin.Context) {
	x := ExchangeOf(c)
	var err error = errNoRoute
	if under(c.Request.URL.Path, namespacesPrefix) {
		if denied := a.authenticate(x); denied != nil {
			err = denied
		}
	}
	a.Fail(x, err)
}

// noMethod answers what matched with other verbs only.
func (a *API) noMethod(c *gin.Context) {
	x := ExchangeOf(c)
	h := c.Writer.Header()
	var err error = badMethod(h.Get("Allow"))
	if under(c.Request.URL.Path, namespacesPrefix) {
		if denied := a.authenticate(x); denied != nil {
			h.Del("Allow")
			err = denied
		}
	}
	a.Fail(x, err)
}
