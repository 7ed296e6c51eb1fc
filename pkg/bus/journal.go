package bus

import (
	"context"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Journal keeps what a controller has accepted and has to see through itself:
// sequences, compositions and trigger fires, which are more than one message
// (durability.md section 3, "Controller crash"). The steps of an entry need no
// place in it: their activations have ids that are derived from the entry's, so
// that whoever takes it up again finds what was done. Safe for concurrent use.
type Journal interface {
	// Begin returns nil once the entry is durable: what it stands for is accepted.
	// It is ErrDuplicate if an entry with its namespace and id exists and, where the
	// entry is Republished, if a record does.
	// With another error it is not accepted or, where the outcome is unknown (the
	// context ended), it may be.
	Begin(ctx context.Context, controller entity.ControllerID, e Entry) error

	// End stores the record, unless a record with its id exists, and forgets the
	// entry, in that order or at once. A nil record stores none. Ending twice does
	// nothing.
	End(ctx context.Context, controller entity.ControllerID, e Entry, record *entity.Activation) error

	// Unfinished calls each with the entries that the controller, in this life or an
	// earlier one, has begun and not ended, oldest first, until each returns an error,
	// which it returns. Entries that begin or end meanwhile may be among them. It holds
	// few of them at a time, and nothing while each runs.
	Unfinished(ctx context.Context, controller entity.ControllerID, each func(Entry) error) error
}

// Entry is one accepted composition or trigger fire.
type Entry struct {
	Namespace entity.Path
	ID        entity.ActivationID
	// Body says what to do, in the words of who wrote it. It is not needed by End.
	Body []byte
	// Republished: whoever begins it does not know whether that was done before. It
	// is for Begin alone.
	Republished bool
}
