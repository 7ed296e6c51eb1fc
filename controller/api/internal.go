package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/operator"
)

// Fleet is what the balancer knows of the invokers. Safe for concurrent use.
type Fleet interface {
	// Invokers returns the state of each invoker by its name, such as "invoker0/0";
	// "up" is healthy.
	Invokers() map[string]string
}

// Flights are the activations under way. Safe for concurrent use.
type Flights interface {
	// InFlight returns how many activations have not ended.
	InFlight() int
	// Activations returns their ids, in no order.
	Activations() []entity.ActivationID
}

// Internal is what operators and their machines ask a controller
// (openwhisk-rest-api.md section 1.2).
type Internal struct {
	Fleet    Fleet
	Flights  Flights
	Operator operator.Credentials
	// ReadyFraction is the part of the invokers that must be healthy.
	ReadyFraction float64
	// Usable returns why the controller should get no requests, nil if it should.
	Usable func(context.Context) error
}

// RegisterInternal puts the internal routes on a router of their own, which must
// not be reachable for clients.
func (a *API) RegisterInternal(r *gin.Engine, i Internal) {
	r.Use(a.FrontDoor)
	r.NoRoute(a.noRoute)
	r.NoMethod(a.noMethod)
	r.GET("/ping", a.open(a.ping))
	r.GET("/ready", a.open(i.ready))
	r.GET("/invokers", a.open(i.invokers))
	r.GET("/invokers/healthy/count", a.open(i.healthyCount))
	r.GET("/invokers/ready", a.open(i.invokersReady))
	both(r, "GET", "/activation", a.open(i.activations))
	r.GET("/activation/count", a.open(i.activationCount))
	r.POST("/disable", a.open(func(x *Exchange) error {
		if !i.Operator.Match(x.Request()) {
			return errNotOperator
		}
		if a.composer.Disable() {
			a.log.Warn("this controller was disabled: until it is restarted it refuses new invocations with 503")
		}
		x.text(http.StatusOK, "controller is disabled")
		return nil
	}))
}

func (i Internal) invokers(x *Exchange) error {
	body, err := json.Marshal(i.Fleet.Invokers())
	if err != nil {
		return err
	}
	x.WriteJSON(http.StatusOK, body)
	return nil
}

func (i Internal) health() (healthy, all int) {
	states := i.Fleet.Invokers()
	for _, state := range states {
		if state == "up" {
			healthy++
		}
	}
	return healthy, len(states)
}

func (i Internal) healthyCount(x *Exchange) error {
	healthy, _ := i.health()
	x.WriteJSON(http.StatusOK, strconv.AppendInt(nil, int64(healthy), 10))
	return nil
}

// enough reports whether any invoker is healthy, and as large a part of them as must be. The part is a real one: OpenWhisk divides integers, so that there it is all or
// nothing (openwhisk-invoker.md 5.5).
func (i Internal) enough(healthy, all int) bool {
	return healthy > 0 && float64(healthy)/float64(all) >= i.ReadyFraction
}

// invokersReady answers 200 if enough invokers are healthy.
func (i Internal) invokersReady(x *Exchange) error {
	healthy, all := i.health()
	total := strconv.Itoa(all)
	if !i.enough(healthy, all) {
		x.WriteJSON(http.StatusInternalServerError, []byte(`{"unhealthy":"`+strconv.Itoa(all-healthy)+"/"+total+`"}`))
		return nil
	}
	x.WriteJSON(http.StatusOK, []byte(`{"healthy":"`+strconv.Itoa(healthy)+"/"+total+`"}`))
	return nil
}

// ready answers 200 if the controller should get requests, and 503 with why it should not.
func (i Internal) ready(x *Exchange) error {
	healthy, all := i.health()
	err := i.Usable(x.Context())
	if err == nil && !i.enough(healthy, all) {
		err = fmt.Errorf("%d of %d invokers are healthy", healthy, all)
	}
	if err != nil {
		x.text(http.StatusServiceUnavailable, "not ready: "+err.Error())
		return nil
	}
	x.text(http.StatusOK, "ready")
	return nil
}

func (i Internal) activations(x *Exchange) error {
	body := []byte{'['}
	for n, id := range i.Flights.Activations() {
		if n > 0 {
			body = append(body, ',')
		}
		body = entity.AppendString(body, string(id))
	}
	x.WriteJSON(http.StatusOK, append(body, ']'))
	return nil
}

func (i Internal) activationCount(x *Exchange) error {
	x.WriteJSON(http.StatusOK, strconv.AppendInt(nil, int64(i.Flights.InFlight()), 10))
	return nil
}
