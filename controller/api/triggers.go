package api

import (
	"bytes"
	"net/http"
	"slices"
	"strings"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/controller/compose"
	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// listTriggers lists the triggers of a namespace (openwhisk-rest-api.md 6.1).
func (a *API) listTriggers(x *Exchange) error {
	return a.listEntities(x, entitle.Triggers, store.EntityQuery{Type: entity.TypeTrigger, Path: x.at.namespace})
}

func (a *API) getTrigger(x *Exchange) error {
	trigger, err := catalog.As[*entity.Trigger](a.catalog.Entity(x.Context(), x.at.id()))
	if err != nil {
		return err
	}
	return x.writeTrigger(trigger)
}

func (x *Exchange) writeTrigger(t *entity.Trigger) error {
	return x.write(http.StatusOK, t.AppendJSON)
}

// putTrigger creates or updates a trigger (openwhisk-rest-api.md 14.2).
func (a *API) putTrigger(x *Exchange) error {
	fields, err := a.requestFields(x)
	if err != nil {
		return err
	}
	req, overwrite, err := a.entityRequest(x, fields)
	if err != nil {
		return err
	}
	if err := x.negotiate(); err != nil {
		return err
	}
	trigger, err := a.triggerToStore(x, req, overwrite)
	if err != nil {
		return err
	}
	trigger.Updated = a.now().UnixMilli()
	if err := a.catalog.Put(x.Context(), trigger); err != nil {
		return err
	}
	return x.writeTrigger(trigger)
}

// triggerToStore is the trigger as the request wants it. An update keeps the rules.
func (a *API) triggerToStore(x *Exchange, req *entityRequest, overwrite bool) (*entity.Trigger, error) {
	trigger, err := existing[*entity.Trigger](x.Context(), a.catalog, x.at.id())
	switch {
	case err != nil:
		return nil, err
	case trigger == nil:
		trigger = &entity.Trigger{Header: entity.Header{Namespace: x.at.namespace, Name: x.at.name, Version: entity.FirstVersion}}
		if req.annotations != nil && !isFeedValid(*req.annotations) {
			return nil, errFeedName
		}
	case !overwrite:
		return nil, errExists
	default:
		trigger.Version = trigger.Version.Next()
	}
	if req.parameters != nil {
		trigger.Parameters = *req.parameters
	}
	had := trigger.Annotations
	req.apply(&trigger.Header)
	return trigger, trigger.KeepWebhookSecrets(had)
}

// isFeedValid reports whether the annotation "feed", if there is one, names an
// action: "name", "package/name" or "/namespace/package/name".
func isFeedValid(annotations entity.Parameters) bool {
	if _, ok := annotations.Get("feed"); !ok {
		return true
	}
	feed, ok := annotations.String("feed")
	if !ok {
		return false
	}
	segments := strings.Split(strings.TrimPrefix(feed, "/"), "/")
	return len(segments) <= 3 && !slices.ContainsFunc(segments, func(s string) bool {
		_, err := entity.ParseName(s)
		return err != nil
	})
}

// deleteTrigger removes a trigger. Its rules stay, and read as inactive.
func (a *API) deleteTrigger(x *Exchange) error {
	if err := x.negotiate(); err != nil {
		return err
	}
	trigger, err := catalog.As[*entity.Trigger](a.catalog.Fresh(x.Context(), x.at.id()))
	if err != nil {
		return err
	}
	if err := a.catalog.Delete(x.Context(), trigger); err != nil {
		return err
	}
	return x.writeTrigger(trigger)
}

// throttleFire counts the request, also one that will be refused.
func (a *API) throttleFire(x *Exchange) error { return a.throttle.Fire(x.Identity) }

// postTrigger fires a trigger (openwhisk-rest-api.md 14.3).
func (a *API) postTrigger(x *Exchange) error {
	payload, err := a.payload(x)
	if err != nil {
		return err
	}
	trigger, err := catalog.As[*entity.Trigger](a.catalog.Entity(x.Context(), x.at.id()))
	if err != nil {
		return err
	}
	if trigger.HasActiveRule() { // what has no body is for everybody
		if err := x.negotiate(); err != nil {
			return err
		}
	}
	id, err := a.composer.Fire(x.Context(), &compose.Fire{
		Identity: x.Identity,
		Transid:  x.Transid,
		Trigger:  trigger,
		Headers:  AppendHeaders(nil, x.Request().Header, x.Request().Host, x.Request().ContentLength != 0),
		Payload:  payload,
	})
	if err != nil {
		return err
	}
	return x.writeFired(id)
}

// payload reads the body of an invocation or a fire: a JSON object, or nothing.
func (a *API) payload(x *Exchange) ([]byte, error) {
	limit := a.PayloadLimit(x.Identity)
	body, err := x.body(int64(limit), func(size int64) error { return RequestTooLarge(size, limit) })
	if err != nil {
		return nil, err
	}
	if body = bytes.TrimSpace(body); len(body) > 0 {
		if err := invoke.ValidObject(body); err != nil {
			return nil, malformed(err.Error())
		}
	}
	return body, nil
}
