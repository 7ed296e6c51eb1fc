package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/controller/identity"
	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Error is an answer other than success. Its text is part of the contract:
// clients and test suites match it.
type Error struct {
	Status int
	Text   string
}

func (e *Error) Error() string { return e.Text }

// Errors whose text does not vary, by the section of openwhisk-rest-api.md that
// they come from.
var (
	// 1.2
	errNotOperator = &Error{http.StatusUnauthorized, "username or password are wrong."}
	// 1.4
	errNoBody = &Error{http.StatusBadRequest, "Request entity expected but not supplied"}
	// 1.6
	errBadRequest     = &Error{http.StatusBadRequest, "The request contains bad syntax or cannot be fulfilled."}
	errNoCredentials  = &Error{http.StatusUnauthorized, "The resource requires authentication, which was not supplied with the request"}
	errBadCredentials = &Error{http.StatusUnauthorized, "The supplied authentication is invalid"}
	errNotFound       = &Error{http.StatusNotFound, "The requested resource does not exist."}
	errNoRoute        = &Error{http.StatusNotFound, "The requested resource could not be found."}
	errTooLarge       = &Error{http.StatusRequestEntityTooLarge, "The request content is larger than the server is willing or able to process."}
	errInternal       = &Error{http.StatusInternalServerError, "There was an internal server error."}
	errUnavailable    = &Error{http.StatusServiceUnavailable, "The server is currently unavailable (because it is overloaded or down for maintenance)."}
	// 4
	errWrongCollection = &Error{http.StatusConflict, "Resource by this name exists but is not in this collection."}
	errConcurrent      = &Error{http.StatusConflict, "Concurrent modification to resource detected."}
	// 6.2, 6.3
	errCorrupted = &Error{http.StatusInternalServerError, "Resource is corrupted and cannot be read."}
	errExists    = &Error{http.StatusConflict, "resource already exists"}
	// 7
	errInnerLimits = &Error{http.StatusBadRequest, "Inner entity level routes for limits are not yet implemented."}
	// 8.3
	errExecUndefined = &Error{http.StatusBadRequest, "exec undefined"}
	errOnBinding     = &Error{http.StatusBadRequest, "Operation not permitted on package binding."}
	// 9.1
	errFinal = &Error{http.StatusBadRequest, "Request defines parameters that are not allowed (e.g., reserved properties)."}
	// 11
	errSequenceEmpty   = &Error{http.StatusBadRequest, "No component specified for the sequence."}
	errSequenceTooLong = &Error{http.StatusBadRequest, "Too many actions in the sequence."}
	errSequenceCycle   = &Error{http.StatusBadRequest, "Sequence may not refer to itself."}
	errSequenceMissing = &Error{http.StatusBadRequest, "Sequence component does not exist."}
	// 13.2
	errPackageReserved  = &Error{http.StatusBadRequest, "Package name 'default' is reserved."}
	errBindingMissing   = &Error{http.StatusBadRequest, "Binding references a package that does not exist."}
	errBindingOfBinding = &Error{http.StatusBadRequest, "Cannot bind to another package binding."}
	errBindingNoPackage = &Error{http.StatusConflict, "Cannot bind to a resource that is not a package."}
	errPackageToBinding = &Error{http.StatusConflict, "Resource is a package and cannot be converted into a binding."}
	// 14.2
	errFeedName = &Error{http.StatusBadRequest, "Feed name is not valid"}
	// 15
	errRuleIncomplete     = &Error{http.StatusBadRequest, "rule requires a valid trigger and a valid action"}
	errRuleWithoutTrigger = &Error{http.StatusNotFound, "Only rules with existing triggers can be activated"}
	// Webhooks, which OpenWhisk does not have (docs/webhooks.md)
	ErrDeliveryUnverified = &Error{http.StatusUnauthorized, "The delivery could not be verified."}
	errDeliveryNoEvent    = &Error{http.StatusConflict, "The delivery was refused and has no event that could be sent again."}
	// 17.1
	errDocsWithCount = &Error{http.StatusBadRequest, "The parameter 'docs' is not permitted with 'count'."}
	// 18, for package web
	ErrWebNotReady        = &Error{http.StatusAccepted, "Response not yet ready."}
	ErrWebFailed          = &Error{http.StatusBadRequest, "There was an error processing your request."}
	ErrWebContentMismatch = &Error{http.StatusBadRequest, "Response type in header did not match generated content type."}
	ErrWebContentType     = &Error{http.StatusBadRequest, "Response did not specify a known content-type."}
	ErrWebNotAdmitted     = &Error{http.StatusUnauthorized, "Authentication is possible but has failed or not yet been provided."}
	ErrWebNoProperty      = &Error{http.StatusNotFound, "Response does not include requested property."}
)

// WebInvalid: the result of a web action is nothing that the extension makes
// something of (18.5).
func WebInvalid(media string) *Error {
	return &Error{http.StatusBadRequest, "Response is not valid '" + media + "'."}
}

// NotAcceptable: the client wants none of the types that there are (1.4).
func NotAcceptable(types string) *Error {
	return &Error{http.StatusNotAcceptable, "Resource representation is only available with these types:\n" + types}
}

// RequestTooLarge: the payload exceeds the namespace's limit (9.1, 18.1).
func RequestTooLarge(size int64, allowed entity.ByteSize) *Error {
	return &Error{http.StatusRequestEntityTooLarge, fmt.Sprintf("Request larger than allowed: %d > %d bytes.", size, allowed)}
}

// malformed: the body is no JSON or violates the schema (1.4).
func malformed(detail string) *Error {
	return &Error{http.StatusBadRequest, "The request content was malformed:\n" + detail}
}

// badQuery: a query parameter could not be read (1.7).
func badQuery(parameter, detail string) *Error {
	return &Error{http.StatusBadRequest, "The query parameter '" + parameter + "' was malformed:\n" + detail}
}

// badContentType: the body is not JSON (1.4).
func badContentType(actual string) *Error {
	return &Error{http.StatusUnsupportedMediaType, "The request's Content-Type [" + actual + "] is not supported. Expected:\napplication/json"}
}

// DeliveryType: a webhook cannot make an event of the body, or of its encoding
// (docs/webhooks.md).
func DeliveryType(header, actual string) *Error {
	return &Error{http.StatusUnsupportedMediaType, "The delivery's " + header + " [" + actual + "] is not supported."}
}

// badMethod: the resource exists, but not with this verb (1.6).
func badMethod(allowed string) *Error {
	return &Error{http.StatusMethodNotAllowed, "HTTP method not allowed, supported methods: " + allowed}
}

// denied: no right to the resources (3).
func denied(resources []string) *Error {
	return &Error{http.StatusForbidden, "The supplied authentication is not authorized to access '" + strings.Join(resources, ", ") + "'."}
}

// kindDenied: the namespace may not have actions of the kind (3).
func kindDenied(kind string) *Error {
	return &Error{http.StatusForbidden, "The supplied authentication is not authorized to access actions of kind '" + kind + "'."}
}

// packageMissing: the answer where the request was for the package itself (3).
func packageMissing(pkg string) *Error {
	return &Error{http.StatusNotFound, "The requested resource '" + pkg + "' does not exist."}
}

// packageNotShown and those after it: shared packages may be executed only (3).
func packageNotShown(pkg *entity.Package) *Error {
	return &Error{http.StatusForbidden, "GET not permitted for '" + string(pkg.ID()) + "' since it's a shared package"}
}

func bindingNotShown(binding *entity.Package) *Error {
	return &Error{http.StatusForbidden, "GET not permitted since " + string(binding.ID()) + " is a binding of a shared package"}
}

func actionNotShown(pkg entity.Path) *Error {
	return &Error{http.StatusForbidden, "GET not permitted for '" + string(pkg) + "' since it's an action in a shared package"}
}

func boundActionNotShown(action entity.FQN) *Error {
	return &Error{http.StatusForbidden, "GET not permitted for '" + action.String() + "'. Resource does not exist or is an action in a shared package binding."}
}

// circular: a binding refers to itself (3).
func circular(binding string) *Error {
	return &Error{http.StatusUnprocessableEntity, "Package binding '" + binding + "' contains a circular reference."}
}

// fieldTooLarge: exec, parameters or annotations exceed their limit (5.2).
func fieldTooLarge(field string, is int64, allowed entity.ByteSize) *Error {
	return &Error{http.StatusRequestEntityTooLarge, fmt.Sprintf("%s larger than allowed: %d > %d bytes.", field, is, allowed)}
}

// instancesTooMany: more containers than the namespace may use at once (5.3).
func instancesTooMany(allowed int) *Error {
	return &Error{http.StatusBadRequest, fmt.Sprintf("Max action instance concurrency must not exceed your namespace concurrency of %d.", allowed)}
}

// doesNotExist: what a rule refers to is missing (15.2).
func doesNotExist(what string, f entity.FQN) *Error {
	return &Error{http.StatusBadRequest, what + " /" + f.String() + " does not exist"}
}

// packageNotEmpty: it has actions, and force was not asked for (13.4).
func packageNotEmpty(n int) *Error {
	entities := "entities"
	if n == 1 {
		entities = "entity"
	}
	return &Error{http.StatusConflict, fmt.Sprintf("Package not empty (contains %d %s). Set force param or delete package contents.", n, entities)}
}

// tooManyRequests and tooManyInFlight are the throttle's answers (19).
func tooManyRequests(e *entitle.RateError) *Error {
	return &Error{http.StatusTooManyRequests, fmt.Sprintf("Too many requests in the last minute (count: %d, allowed: %d).", e.Count, e.Allowed)}
}

func tooManyInFlight(e *entitle.ConcurrencyError) *Error {
	return &Error{http.StatusTooManyRequests, fmt.Sprintf("Too many concurrent requests in flight (count: %d, allowed: %d).", e.Count, e.Allowed)}
}

// sentinels maps errors of other packages that carry nothing to tell.
var sentinels = []struct {
	err    error
	answer *Error
}{
	{identity.ErrMissing, errNoCredentials},
	{identity.ErrInvalid, errBadCredentials},
	{catalog.ErrWrongType, errWrongCollection},
	{store.ErrNotFound, errNotFound},
	{store.ErrConflict, errConcurrent},
	{entity.ErrUnreadable, errCorrupted},
	{invoke.ErrFinal, errFinal},
	{invoke.ErrNoInvokers, errUnavailable},
	{invoke.ErrNoRoom, errUnavailable},
	{invoke.ErrUnavailable, errUnavailable},
	{bus.ErrTooLarge, errTooLarge},
	{context.DeadlineExceeded, errUnavailable},
	{context.Canceled, errUnavailable}, // the client has gone; nobody reads it
}

// Explain returns the status and the text that a client gets for an error.
func Explain(err error) (status int, text string) {
	answer, _ := AsError(err)
	return answer.Status, answer.Text
}

// AsError translates an error of a handler into the answer. It reports false for
// an error that it does not know; the answer is the 500 then, and the error is the
// operator's to read.
func AsError(err error) (*Error, bool) {
	var (
		known      *Error
		name       *entity.NameError
		schema     *entity.MalformedError
		limit      *entity.LimitError
		forbidden  *entitle.DeniedError
		kind       *entitle.KindDeniedError
		loop       *entitle.CircularError
		rate       *entitle.RateError
		inFlight   *entitle.ConcurrencyError
		unknown    *runtimes.UnknownKindError
		deprecated *runtimes.DeprecatedError
	)
	switch {
	case errors.As(err, &known):
		return known, true
	case errors.As(err, &name):
		return &Error{http.StatusBadRequest, name.Text}, true
	case errors.As(err, &schema):
		return malformed(schema.Detail), true
	case errors.As(err, &limit):
		return &Error{http.StatusBadRequest, limit.Text}, true
	case errors.As(err, &forbidden):
		return denied(forbidden.Resources), true
	case errors.As(err, &kind):
		return kindDenied(kind.Kind), true
	case errors.As(err, &loop):
		return circular(loop.Binding), true
	case errors.As(err, &rate):
		return tooManyRequests(rate), true
	case errors.As(err, &inFlight):
		return tooManyInFlight(inFlight), true
	case errors.As(err, &unknown):
		return malformed(unknown.Error()), true
	case errors.As(err, &deprecated):
		return &Error{http.StatusBadRequest, deprecated.Error()}, true
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return s.answer, true
		}
	}
	return errInternal, false
}
