package webhook

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/gowhisk/gowhisk/controller/api"
	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/controller/compose"
	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/controller/identity"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Firer fires triggers, as compose.Composer does.
type Firer interface {
	Fire(ctx context.Context, f *compose.Fire) (entity.ActivationID, error)
}

// Owners finds who a webhook acts for, as identity.Authenticator does.
type Owners interface {
	// Owner returns an identity of the namespace, or store.ErrNotFound.
	Owner(ctx context.Context, namespace string) (*entity.Identity, error)
}

// Throttle counts the fires of a namespace, as entitle.Throttle does.
type Throttle interface {
	// Fire returns an *entitle.RateError if the fire must be refused.
	Fire(id *entity.Identity) error
}

var (
	_ Firer    = (*compose.Composer)(nil)
	_ Owners   = (*identity.Authenticator)(nil)
	_ Throttle = (*entitle.Throttle)(nil)
)

// Outcomes are what can become of a delivery, as Metrics has it.
var Outcomes = []string{accepted, repeated, unmatched, unverifiable, throttled, refused, failed}

const (
	accepted     = "accepted"
	repeated     = "repeated"
	unmatched    = "unmatched" // no rule was active
	unverifiable = "unverified"
	throttled    = "throttled"
	refused      = "refused" // verified, yet not to be read
	failed       = "failed"
)

// Metrics counts deliveries. Safe for concurrent use.
type Metrics interface {
	// Delivery counts one by what became of it, one of Outcomes.
	Delivery(outcome string)
}

// Deps are what a Handler works with.
type Deps struct {
	API        *api.API
	Owners     Owners
	Throttle   Throttle
	Catalog    *catalog.Catalog
	Firer      Firer
	Deliveries store.DeliveryStore
	// Timeout bounds the work for a delivery.
	Timeout time.Duration
	Metrics Metrics
	Log     *zap.Logger
	Now     func() time.Time
}

// Refused deliveries are written down for their owners as long as there are not too
// many of them. Those of strangers leave room for those of senders who proved
// themselves.
const (
	refusalsPerSecond = 10
	refusalsAtOnce    = 50
)

// Handler serves webhooks. Safe for concurrent use.
type Handler struct {
	deps              Deps
	strangers, proven *rate.Limiter // of refusals that are written down
}

// New returns a handler; Register puts it on a router.
func New(deps Deps) *Handler {
	limiter := func() *rate.Limiter { return rate.NewLimiter(refusalsPerSecond, refusalsAtOnce) }
	return &Handler{deps: deps, strangers: limiter(), proven: limiter()}
}

// Route is the path of webhooks.
const Route = "/api/v1/webhooks/:ns/:trigger"

// Register puts the route behind the front door of the API.
func (h *Handler) Register(r *gin.Engine) {
	r.POST(Route, h.deps.API.Serve(h.receive))
}

// target is what a delivery is sent to.
type target struct {
	trigger *entity.Trigger
	webhook *entity.Webhook
	owner   *entity.Identity
}

// receive serves one delivery. Whoever cannot prove who they are learns whether the
// webhook exists and nothing else, and costs its owner nothing.
func (h *Handler) receive(x *api.Exchange) error {
	ctx, cancel := context.WithTimeout(x.Context(), h.deps.Timeout)
	defer cancel()
	t, err := h.target(ctx, x)
	if err != nil {
		return err
	}
	r, err := h.read(x, t)
	if err != nil {
		return err
	}
	d := &entity.Delivery{
		Trigger: t.trigger.ID(), ID: entity.NewActivationID(), Received: r.Received.UnixMilli(),
		Verify: t.webhook.Verify, Size: int64(len(r.Body)),
	}
	nonce, err := Verify(t.webhook, r)
	if err != nil {
		h.deps.Metrics.Delivery(unverifiable)
		h.refuse(ctx, d, err.Error(), h.strangers)
		return api.ErrDeliveryUnverified
	}
	if answer, ok := challenge(t.webhook, r); ok {
		writeText(x, answer)
		return nil
	}
	if err := h.deliver(ctx, x, t, r, d, nonce); err != nil {
		return h.fail(ctx, d, err)
	}
	return nil
}

// target finds the webhook of the URL. All that is not there is store.ErrNotFound,
// and takes one read of the store, whether it is remembered or not: an answer that
// comes sooner, or later, would tell that there is a trigger.
func (h *Handler) target(ctx context.Context, x *api.Exchange) (*target, error) {
	id, err := address(x)
	if err != nil {
		return nil, store.ErrNotFound
	}
	remembered := h.deps.Catalog.Remembers(id)
	trigger, err := catalog.As[*entity.Trigger](h.deps.Catalog.Entity(ctx, id))
	switch {
	case errors.Is(err, catalog.ErrWrongType):
		return nil, h.notFound(ctx, id, remembered)
	case err != nil:
		return nil, err
	}
	webhook, err := trigger.Webhook()
	if webhook == nil || err != nil {
		return nil, h.notFound(ctx, id, remembered)
	}
	owner, err := h.deps.Owners.Owner(ctx, trigger.Namespace.Namespace())
	if err != nil { // store.ErrNotFound if they are blocked or gone
		return nil, err
	}
	return &target{trigger: trigger, webhook: webhook, owner: owner}, nil
}

// address returns the id of the trigger that the URL names.
func address(x *api.Exchange) (entity.DocID, error) {
	segment, err := x.Segment("ns")
	if err != nil {
		return "", err
	}
	namespace, err := entity.ParseNamespace(segment)
	if err != nil {
		return "", err
	}
	if segment, err = x.Segment("trigger"); err != nil {
		return "", err
	}
	name, err := entity.ParseName(segment)
	return entity.FQN{Path: namespace, Name: name}.ID(), err
}

func (h *Handler) notFound(ctx context.Context, id entity.DocID, remembered bool) error {
	if remembered {
		_, _ = h.deps.Catalog.Fresh(ctx, id) // for the time that it takes
	}
	return store.ErrNotFound
}

// read reads the delivery, as much as its owner allows.
func (h *Handler) read(x *api.Exchange, t *target) (*Request, error) {
	limit := h.deps.API.PayloadLimit(t.owner)
	body, err := x.ReadBody(int64(limit), func(size int64) error { return api.RequestTooLarge(size, limit) })
	if err != nil {
		return nil, err
	}
	request := x.Request()
	return &Request{Header: request.Header, RawQuery: request.URL.RawQuery, Body: body, Received: h.deps.Now()}, nil
}

// deliver fires the trigger with a delivery that is genuine, unless it did before.
func (h *Handler) deliver(ctx context.Context, x *api.Exchange, t *target, r *Request, d *entity.Delivery, nonce string) error {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return api.DeliveryType("Content-Encoding", encoding)
	}
	event, err := parseCloudEvent(r)
	if err != nil {
		return err
	}
	s := identify(t.webhook, r, event, nonce)
	d.SenderID, d.EventType = s.id, s.event
	if s.key != "" {
		d.ID = deriveID(d.Trigger, s.key)
		known, err := h.wasAccepted(ctx, d)
		if err != nil {
			return err
		}
		if known {
			h.deps.Metrics.Delivery(repeated)
			answer(x, t, d.ID)
			return nil
		}
	}
	if d.Event, err = buildEvent(t.webhook, r, event, d); err != nil {
		return err
	}
	if err := h.deps.Throttle.Fire(t.owner); err != nil {
		return err
	}
	return h.fire(ctx, x, t, d)
}

// wasAccepted reports whether the delivery was accepted before, as far as is written
// down. Firer knows for certain, but does not remember namespaces that keep no
// records.
func (h *Handler) wasAccepted(ctx context.Context, d *entity.Delivery) (bool, error) {
	known, err := h.deps.Deliveries.Delivery(ctx, d.Trigger, d.ID)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && known.Outcome == entity.DeliveryAccepted, err
}

// fire fires the trigger and writes the delivery down. A crash in between heals when
// the sender, who has heard nothing, sends the delivery again.
func (h *Handler) fire(ctx context.Context, x *api.Exchange, t *target, d *entity.Delivery) error {
	// A sender that goes away must not leave it open what became of the delivery.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.deps.Timeout)
	defer cancel()
	id, err := h.deps.Firer.Fire(ctx, &compose.Fire{
		Identity: t.owner, Transid: x.Transid, Trigger: t.trigger, ID: d.ID, Payload: d.Event,
	})
	outcome := accepted
	switch {
	case errors.Is(err, bus.ErrDuplicate):
		id, outcome = d.ID, repeated
	case err != nil:
		return err
	}
	d.Outcome = entity.DeliveryAccepted
	if id == "" {
		d.Outcome, outcome = entity.DeliveryUnmatched, unmatched
	}
	if _, err := h.deps.Deliveries.Record(ctx, d); err != nil {
		// The event was accepted all the same; an error would have it sent again.
		h.deps.Log.Error("a delivery to a webhook could not be written down; its trigger was fired", zap.Error(err),
			zap.String("trigger", string(d.Trigger)), zap.String("activationId", string(d.ID)))
	}
	h.deps.Metrics.Delivery(outcome)
	answer(x, t, id)
	return nil
}

// fail counts a genuine delivery that was not accepted. If that is the delivery's
// fault, or its owner's limits', it is written down.
func (h *Handler) fail(ctx context.Context, d *entity.Delivery, err error) error {
	status, text := api.Explain(err)
	switch {
	case status >= http.StatusInternalServerError:
		h.deps.Metrics.Delivery(failed)
		return err
	case status == http.StatusTooManyRequests:
		h.deps.Metrics.Delivery(throttled)
	default:
		h.deps.Metrics.Delivery(refused)
	}
	d.ID = entity.NewActivationID() // it may come again and be accepted
	limiter := h.proven
	if d.Verify == entity.WebhookNone {
		limiter = h.strangers
	}
	h.refuse(ctx, d, text, limiter)
	return err
}

// refuse writes a refused delivery down, without what is in it, if limiter lets it.
func (h *Handler) refuse(ctx context.Context, d *entity.Delivery, reason string, limiter *rate.Limiter) {
	if !limiter.AllowN(h.deps.Now(), 1) {
		return
	}
	d.Outcome, d.Reason, d.Event = entity.DeliveryRefused, reason, nil
	if _, err := h.deps.Deliveries.Record(ctx, d); err != nil {
		h.deps.Log.Warn("a refused delivery to a webhook could not be written down", zap.Error(err), zap.String("trigger", string(d.Trigger)))
	}
}

// answer tells the sender that all is well: with the id of the trigger's activation,
// or that there was nothing to do.
func answer(x *api.Exchange, t *target, id entity.ActivationID) {
	if id == "" {
		x.Writer().WriteHeader(http.StatusNoContent)
		return
	}
	x.Header()["X-Openwhisk-Activation-Id"] = []string{string(id)}
	media, _, _ := mime.ParseMediaType(x.Request().Header.Get("Content-Type"))
	if t.webhook.Verify == entity.WebhookSlack && !isJSON(media) {
		writeText(x, "") // Slack shows the answer to a command, and takes nothing but 200 for one
		return
	}
	x.WriteJSON(http.StatusAccepted, append(entity.AppendString([]byte(`{"activationId":`), id), '}'))
}

func writeText(x *api.Exchange, text string) {
	x.Header()["Content-Type"] = []string{"text/plain; charset=UTF-8"}
	x.Header()["X-Content-Type-Options"] = []string{"nosniff"}
	x.Writer().WriteHeader(http.StatusOK)
	_, _ = io.WriteString(x.Writer(), text) // the sender may have gone; nobody is left to tell
}
