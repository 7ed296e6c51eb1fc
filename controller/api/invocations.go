package api

import (
	"bytes"
	"net/http"
	"time"

	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// throttleInvocation counts the request, also one that will be refused.
func (a *API) throttleInvocation(x *Exchange) error { return a.throttle.Invocation(x.Identity) }

// postAction invokes an action (openwhisk-rest-api.md section 9).
func (a *API) postAction(x *Exchange) error {
	if limit, size := a.PayloadLimit(x.Identity), x.Request().ContentLength; size > int64(limit) {
		return RequestTooLarge(size, limit)
	}
	wait, onlyResult, err := a.invocationQuery(x)
	if err != nil {
		return err
	}
	payload, err := a.payload(x)
	if err != nil {
		return err
	}
	return a.invokeAction(x, payload, wait, onlyResult)
}

// invocationQuery returns how long to wait, 0 for not at all, and whether the
// client wants nothing but the result.
func (a *API) invocationQuery(x *Exchange) (wait time.Duration, onlyResult bool, err error) {
	q := x.query()
	blocking, err := queryBool(q, "blocking", false)
	if err != nil {
		return 0, false, err
	}
	if onlyResult, err = queryBool(q, "result", false); err != nil {
		return 0, false, err
	}
	if wait, err = a.queryWait(q); err != nil {
		return 0, false, err
	}
	if !blocking {
		wait = 0
	}
	return wait, onlyResult, nil
}

func (a *API) invokeAction(x *Exchange, payload []byte, wait time.Duration, onlyResult bool) error {
	if err := x.negotiate(); err != nil {
		return err
	}
	callable, err := a.catalog.Resolve(x.Context(), x.at.fqn())
	if err != nil {
		return err
	}
	result, err := a.composer.Invoke(x.Context(), &invoke.Request{
		Identity: x.Identity,
		Transid:  x.Transid,
		Callable: callable,
		Payload:  payload,
		Wait:     wait,
	})
	if err != nil {
		return err
	}
	return x.writeActivation(result, onlyResult)
}

// writeActivation answers an accepted invocation (openwhisk-rest-api.md 9.2).
func (x *Exchange) writeActivation(r invoke.Result, onlyResult bool) error {
	x.gin.Writer.Header()["X-Openwhisk-Activation-Id"] = []string{string(r.ActivationID)}
	record := r.Record
	if record == nil {
		return x.write(http.StatusAccepted, func(dst []byte) []byte {
			dst = append(dst, `{"activationId":"`...)
			return append(append(dst, r.ActivationID...), `"}`...)
		})
	}
	return x.write(statusOf(record.Response.StatusCode), func(dst []byte) []byte {
		if result := record.Response.Result; onlyResult || isArray(result) {
			if result == nil {
				return append(dst, "{}"...)
			}
			return append(dst, result...)
		}
		// The logs of a sequence are its components' ids, which are known by now;
		// those of anything else are collected later.
		kind, _ := record.Annotations.Get("kind")
		return record.AppendJSON(dst, string(kind) == `"sequence"`)
	})
}

func statusOf(code entity.StatusCode) int {
	switch code {
	case entity.StatusSuccess:
		return http.StatusOK
	case entity.StatusApplicationError, entity.StatusDeveloperError:
		return http.StatusBadGateway
	}
	return http.StatusInternalServerError
}

func isArray(json []byte) bool {
	json = bytes.TrimLeft(json, " \t\r\n")
	return len(json) > 0 && json[0] == '['
}
