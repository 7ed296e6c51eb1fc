package entity

import (
	"encoding/json"
	"strconv"
)

// DeliveryOutcome is what became of a delivery to a webhook.
type DeliveryOutcome string

const (
	// DeliveryAccepted: the trigger was fired.
	DeliveryAccepted DeliveryOutcome = "accepted"
	// DeliveryUnmatched: the trigger has no active rule, so there was nothing to do.
	DeliveryUnmatched DeliveryOutcome = "unmatched"
	// DeliveryRefused: it was not genuine, not readable or too much.
	DeliveryRefused DeliveryOutcome = "refused"
)

// Delivery is one request to the webhook of a trigger (docs/webhooks.md).
type Delivery struct {
	Trigger DocID
	// ID is also that of the trigger's activation, if there is one. A delivery that
	// its sender repeats has the id of the first.
	ID      ActivationID
	Outcome DeliveryOutcome
	// Received is when it came, in milliseconds since the epoch.
	Received int64
	Verify   WebhookScheme
	// SenderID and EventType are what the sender calls it, "" if it has no name.
	SenderID, EventType string
	// Size of the body in bytes.
	Size int64
	// Reason says why it was refused.
	Reason string
	// ResendOf is the delivery that this one repeats at the owner's wish, else "".
	ResendOf ActivationID
	// Event is what the trigger was fired with. Refused deliveries have none, and
	// those of lists neither.
	Event json.RawMessage
}

// AppendJSON appends the API form, with the event if there is one.
func (d *Delivery) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"id":"`...)
	dst = append(dst, d.ID...)
	dst = append(dst, `","received":`...)
	dst = strconv.AppendInt(dst, d.Received, 10)
	dst = appendField(dst, "outcome", string(d.Outcome))
	if d.Outcome == DeliveryAccepted {
		dst = appendField(dst, "activationId", string(d.ID))
	}
	dst = appendField(dst, "verify", string(d.Verify))
	for _, optional := range [][2]string{
		{"senderId", d.SenderID}, {"type", d.EventType}, {"reason", d.Reason}, {"resendOf", string(d.ResendOf)},
	} {
		if optional[1] != "" {
			dst = appendField(dst, optional[0], optional[1])
		}
	}
	dst = append(dst, `,"size":`...)
	dst = strconv.AppendInt(dst, d.Size, 10)
	if d.Event != nil {
		dst = append(append(dst, `,"event":`...), d.Event...)
	}
	return append(dst, '}')
}

func appendField(dst []byte, key, value string) []byte {
	dst = append(AppendString(append(dst, ','), key), ':')
	return AppendString(dst, value)
}
