package api

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/controller/compose"
	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// deliveriesCollection names the list in errors of its query.
const deliveriesCollection entitle.Collection = "deliveries"

// listDeliveries lists what came to a trigger's webhook, latest first
// (docs/webhooks.md).
func (a *API) listDeliveries(x *Exchange) error {
	p, err := a.parsePage(x.query(), deliveriesCollection)
	if err != nil {
		return err
	}
	trigger, err := catalog.As[*entity.Trigger](a.catalog.Entity(x.Context(), x.at.id()))
	if err != nil {
		return err
	}
	list, err := a.deliveries.List(x.Context(), trigger.ID(), p.skip, p.limit)
	if err != nil {
		return err
	}
	return x.write(http.StatusOK, func(dst []byte) []byte {
		dst = append(dst, '[')
		for i, d := range list {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = d.AppendJSON(dst)
		}
		return append(dst, ']')
	})
}

// getDelivery answers one delivery with its event.
func (a *API) getDelivery(x *Exchange) error {
	d, err := a.delivery(x)
	if err != nil {
		return err
	}
	return x.write(http.StatusOK, d.AppendJSON)
}

// delivery returns the delivery that the URL names.
func (a *API) delivery(x *Exchange) (*entity.Delivery, error) {
	segment, err := x.Segment("delivery")
	if err != nil {
		return nil, err
	}
	id, err := entity.ParseActivationID(segment)
	if err != nil {
		return nil, err
	}
	return a.deliveries.Delivery(x.Context(), x.at.id(), id)
}

// postDelivery fires the trigger with the event of a delivery once more. That makes a
// new delivery, with an activation of its own.
func (a *API) postDelivery(x *Exchange) error {
	d, err := a.delivery(x)
	if err != nil {
		return err
	}
	if d.Event == nil {
		return errDeliveryNoEvent
	}
	if err := x.negotiate(); err != nil {
		return err
	}
	trigger, err := catalog.As[*entity.Trigger](a.catalog.Entity(x.Context(), x.at.id()))
	if err != nil {
		return err
	}
	again := *d
	again.ID, again.ResendOf = entity.NewActivationID(), d.ID
	again.Received, again.Outcome = a.now().UnixMilli(), entity.DeliveryAccepted
	id, err := a.composer.Fire(x.Context(), &compose.Fire{
		Identity: x.Identity, Transid: x.Transid, Trigger: trigger, ID: again.ID, Payload: d.Event,
	})
	if err != nil {
		return err
	}
	if id == "" {
		again.Outcome = entity.DeliveryUnmatched
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.Context()), deliveryTimeout)
	defer cancel()
	if _, err := a.deliveries.Record(ctx, &again); err != nil {
		// It was fired all the same; an error would have it fired again.
		a.log.Error("a delivery that was sent again could not be written down; its trigger was fired", zap.Error(err),
			zap.String("transid", x.Transid.ID), zap.String("trigger", string(again.Trigger)), zap.String("activationId", string(again.ID)))
	}
	return x.writeFired(id)
}

// deliveryTimeout bounds the writing down of what was fired, also for a client that
// has gone.
const deliveryTimeout = 10 * time.Second

// writeFired answers a fire (openwhisk-rest-api.md 14.3); "" means that no rule was
// active.
func (x *Exchange) writeFired(id entity.ActivationID) error {
	if id == "" {
		x.gin.Status(http.StatusNoContent)
		x.gin.Writer.WriteHeaderNow()
		return nil
	}
	return x.writeActivation(invoke.Result{ActivationID: id}, false)
}
