// Package bus says how controllers hand activations to invokers and how
// invokers report back. Its sub-packages implement it; bustest is the suite that
// all of them pass.
//
// An invoker's queue is durable, and each message in it moves through three
// states: accepted (Publish returned), claimed (a Claim returned it; it may run)
// and settled (its record exists). Only accepted messages are handed out;
// claimed ones of an earlier owner come back through Recover, for they may have
// run (durability.md section 3). Completions are for whoever waits right now and
// survive nothing.
package bus

import (
	"context"
	"errors"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

var (
	// ErrClosed: the queue was closed.
	ErrClosed = errors.New("the queue is closed")
	// ErrOwned: another process owns the queue.
	ErrOwned = errors.New("the queue has another owner")
	// ErrTooLarge: the message exceeds what the bus carries.
	ErrTooLarge = errors.New("the message is too large for the bus")
	// ErrDuplicate: an activation with this id is in the queue or in the journal, or
	// has, where that was to be found out, a record.
	ErrDuplicate = errors.New("an activation with this id was accepted before")
)

// Publisher appends activations to invokers' queues. Safe for concurrent use.
type Publisher interface {
	// Publish returns nil once the message is durable in the invoker's queue:
	// the activation is accepted. With an error it is not, or, where the outcome
	// is unknown (the context ended), it may be. A message that is Republished is
	// ErrDuplicate also if its activation has a record.
	Publish(ctx context.Context, invoker entity.InvokerID, m *ActivationMessage) error
}

// Queue is the consuming side of one invoker's queue; it has one owner. Its
// methods are safe for concurrent use.
type Queue interface {
	// Recover returns what an earlier owner claimed and did not settle. It is
	// called once, before the first Claim.
	Recover(ctx context.Context) ([]Delivery, error)

	// Claim waits until there is at least one accepted message and claims at most
	// max of them, oldest first. The claim is durable when Claim returns: a
	// message is handed out once, whatever is killed afterwards.
	Claim(ctx context.Context, max int) ([]Delivery, error)

	// Settle ends claimed messages: it stores each record, unless a record with
	// its id exists, and forgets the message, in that order or at once. Settling
	// twice does nothing. All are durable when it returns; with an error, any of
	// them may be.
	Settle(ctx context.Context, s ...Settlement) error

	// Release gives claimed messages that certainly have not run back to the
	// accepted ones, as on a graceful stop.
	Release(ctx context.Context, d []Delivery) error

	// Backlog returns how many messages are accepted and not claimed.
	Backlog(ctx context.Context) (int, error)

	// Close ends waiting Claims with ErrClosed; messages stay as they are.
	Close() error
}

// Delivery is a claimed message.
type Delivery struct {
	// Offset is the message's place in the queue.
	Offset int64
	// Message is nil if the stored form could not be read (Err says why); then
	// Raw holds what was stored.
	Message *ActivationMessage
	Raw     []byte
	Err     error
	// Attempts counts the claims before this one that were not released.
	Attempts int
}

// Settlement is the end of a claimed message. A nil Record stores none.
type Settlement struct {
	Delivery Delivery
	Record   *entity.Activation
}

// Completer tells a controller that an activation has a result, or that it has
// ended and its resources are free again.
type Completer interface {
	Complete(ctx context.Context, controller entity.ControllerID, c *Completion) error
}

// CompletionHandler takes the completions for one controller. It is called from
// several goroutines and must not block.
type CompletionHandler func(*Completion)
