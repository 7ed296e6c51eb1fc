package bus

import (
	"context"
	"encoding/json"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// What follows is for buses between processes: how the members of a cluster know of
// each other, and how work moves when one of them is full, stopped or dead.

// Overflow is a controller's own durable queue of activations that no invoker has
// room for (durability.md section 3). The controller consumes it as a Queue.
type Overflow interface {
	// Overflow returns nil once the message is durable in the controller's overflow
	// queue: the activation is accepted. Errors as Publisher.Publish.
	Overflow(ctx context.Context, controller entity.ControllerID, m *ActivationMessage) error
	// Dispatch appends a message of the overflow queue to an invoker's queue. It is
	// Publisher.Publish, but does not ask whether the message waits somewhere: it does.
	Dispatch(ctx context.Context, invoker entity.InvokerID, m *ActivationMessage) error
}

// Ping is an invoker's sign of life, sent once a second and at every change
// (openwhisk-invoker.md 5.2).
type Ping struct {
	Invoker entity.InvokerID
	// UniqueName is the invoker's own, whatever its id; DisplayedName is for people.
	UniqueName, DisplayedName string
	// UserMemory is what its containers may have together, BusyMemory what those have
	// that run something.
	UserMemory, BusyMemory entity.Megabytes
	// Enabled: it takes work. The last ping of an invoker that stops says false.
	Enabled bool
	// Waiting is how many activations wait in it or in its queue.
	Waiting int
	// Sent is when the ping was sent, by the sender's clock.
	Sent time.Time
}

// Pinger sends an invoker's pings to all controllers.
type Pinger interface {
	Ping(ctx context.Context, p *Ping) error
}

// Heartbeat is a controller's sign of life, sent once a second.
type Heartbeat struct {
	Controller entity.ControllerID
	// UniqueName tells two processes with one id apart.
	UniqueName string
	// Leaving: the controller is stopping and takes nothing more.
	Leaving bool
	Sent    time.Time
}

// Announcer tells the controllers of a cluster what one of them has changed.
type Announcer interface {
	// Announce tells all other controllers that the entity was written, and returns
	// when each that is alive has forgotten what it remembered of it, or with an error
	// when ctx ends or the bus fails.
	Announce(ctx context.Context, id entity.DocID) error
	// AnnounceSubjects is the same for subjects, keys and limits.
	AnnounceSubjects(ctx context.Context) error
}

// Listener takes what controllers hear from the cluster. Its methods are called from
// one goroutine per topic and must not block.
type Listener interface {
	// Pinged: an invoker lives.
	Pinged(*Ping)
	// Beat: a controller lives; own heartbeats come too.
	Beat(*Heartbeat)
	// Invalidate: another process wrote the entity.
	Invalidate(entity.DocID)
	// InvalidateSubjects: another process changed subjects, keys or limits.
	InvalidateSubjects()
}

// Event is a user event for the topic "events" (openwhisk-invoker.md 7.2).
type Event struct {
	// Body is a JSON object.
	Body      json.RawMessage
	EventType string // "Activation" or "Metric"
	Source    string // "invoker0", "controller0"
	Subject   string
	Namespace string
	UserID    string
	Timestamp time.Time
}

// Events sends user events. They are for monitoring: what cannot be sent is dropped
// and counted.
type Events interface {
	// Send never blocks.
	Send(Event)
}

// Mover moves work away from members of the cluster that are dead. Whoever calls it
// has seen them dead; that only one does, and that the dead one is fenced, is the
// bus's matter.
type Mover interface {
	// DrainInvoker takes over the queue of a dead invoker until it is empty: what the
	// invoker had claimed and not recorded is given to crashed, which ends it with a
	// record; what it had not claimed goes to the overflow queue of the controller
	// that sent it, if alive says that it lives, and else to that of self, which then
	// is its sender. It returns ErrOwned, and has moved nothing more, if the invoker
	// or another drainer owns the queue.
	DrainInvoker(ctx context.Context, invoker entity.InvokerID, self entity.ControllerID,
		alive func(entity.ControllerID) bool, crashed func(context.Context, Delivery) (*entity.Activation, error)) (Drained, error)

	// DrainOverflow moves the overflow queue of a dead controller to that of self,
	// which then is the sender. ErrOwned as above.
	DrainOverflow(ctx context.Context, dead, self entity.ControllerID) (Drained, error)

	// TakeJournal calls work while self alone may go on with, and end, what is in the
	// journal of a dead controller. The context of work ends when that controller, or
	// another, takes it back. ErrOwned as above.
	TakeJournal(ctx context.Context, dead, self entity.ControllerID, work func(context.Context) error) error
}

// Drained counts what DrainInvoker and DrainOverflow did.
type Drained struct {
	// Moved to an overflow queue; Ended with a record because they may have run;
	// Found to have a record already.
	Moved, Ended, Found int
}
