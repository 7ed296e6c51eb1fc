package store

import (
	"context"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// How many deliveries of a trigger are kept: the newest.
const (
	MaxDeliveries        = 200
	MaxRefusedDeliveries = 20
)

// DeliveryStore keeps the deliveries to webhooks. They go with their trigger, when
// EntityStore.Delete removes it. All methods are safe for concurrent use; what they
// wrote is durable when they return.
type DeliveryStore interface {
	// Record stores d unless its trigger does not exist or a delivery with its id was
	// accepted, and reports whether it did. A delivery with its id that was not
	// accepted is replaced. Beyond the newest MaxDeliveries of the trigger, and beyond
	// the newest MaxRefusedDeliveries of those that were refused, the oldest go.
	Record(ctx context.Context, d *entity.Delivery) (stored bool, err error)

	// Delivery returns the delivery, or ErrNotFound.
	Delivery(ctx context.Context, trigger entity.DocID, id entity.ActivationID) (*entity.Delivery, error)

	// List returns deliveries of a trigger without their events, latest recorded
	// first. A limit of 0 is no bound.
	List(ctx context.Context, trigger entity.DocID, skip, limit int) ([]*entity.Delivery, error)

	// Expire deletes deliveries that were received before the given time, at most max
	// of them, and returns how many it deleted.
	Expire(ctx context.Context, before time.Time, max int) (int, error)
}
