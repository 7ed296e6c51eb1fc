package bus

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// ActivationMessage asks an invoker to run an action (openwhisk-invoker.md 5.2).
type ActivationMessage struct {
	Transid Transid
	// Action is the provider's address of the action; Binding the path
	// "ns/binding" that it was reached through, or "".
	Action   entity.FQN
	Binding  entity.Path
	Version  entity.Version
	Revision string
	// User is who invoked. Key is empty unless the action is to be given it, so
	// secrets do not travel without need.
	User         entity.Identity
	ActivationID entity.ActivationID
	Controller   entity.ControllerID
	Blocking     bool
	// Content is the payload merged over the action's parameters: an object or
	// an array, nil for none.
	Content json.RawMessage
	// InitArgs names the entries of Content that go to /init as environment.
	InitArgs []string
	// LockedArgs maps names of entries of Content that are encrypted to their
	// scheme.
	LockedArgs map[string]string
	// Cause is the id of the enclosing sequence or composition, "" for none.
	Cause entity.ActivationID
	// Republished: the sender does not know whether an earlier message with this id
	// was accepted, so it may only be taken if the activation has no record.
	Republished bool
	// Trace carries the tracing context, as its propagator writes it.
	Trace map[string]string
}

// Transid is the id of the request that caused the work, with its start.
type Transid struct {
	ID    string
	Start time.Time
	// Extra asks for more logging, and forces the record to be stored.
	Extra bool
}

func (t Transid) appendJSON(dst []byte) []byte {
	dst = append(dst, '[')
	dst = entity.AppendString(dst, t.ID)
	dst = append(dst, ',')
	dst = strconv.AppendInt(dst, t.Start.UnixMilli(), 10)
	if t.Extra {
		dst = append(dst, ",true"...)
	}
	return append(dst, ']')
}

// CompletionKind says what a completion tells.
type CompletionKind int

const (
	// ResultReady carries the record of a blocking activation, logs yet to come.
	ResultReady CompletionKind = iota + 1
	// SlotFree says that the activation has ended, its record is stored, and its
	// memory is free.
	SlotFree
	// Combined is both.
	Combined
)

// Completion is an invoker's word to the controller that sent the activation.
type Completion struct {
	Kind         CompletionKind
	Transid      Transid
	ActivationID entity.ActivationID
	// Record is set for blocking activations that have a result in the message;
	// nil means the waiting side fetches the record from the store.
	Record *entity.Activation
	// IsSystemError: the platform failed, not the action.
	IsSystemError bool
	Invoker       entity.InvokerID
}
