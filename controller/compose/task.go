package compose

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Kind is what an entry of the journal stands for.
type Kind string

const (
	Sequence    Kind = "sequence"
	Composition Kind = "composition"
	TriggerFire Kind = "fire"
)

// task is what was accepted, complete but for its caller's key and limits, which
// are looked up again after a crash: secrets do not lie about in the journal, and
// a key that was revoked meanwhile runs nothing. Its JSON is the body of the entry.
type task struct {
	Kind    Kind                `json:"kind"`
	ID      entity.ActivationID `json:"activationId"`
	Start   int64               `json:"start"` // milliseconds since the epoch
	Transid wireTransid         `json:"transid"`

	Subject   string `json:"subject"`
	Namespace string `json:"namespace"`
	UUID      string `json:"uuid"`
	// Unrecorded: the namespace kept no records when the task was accepted, so what
	// has run of it cannot be found out.
	Unrecorded bool `json:"unrecorded,omitempty"`
	// Life is the composer's that accepted it.
	Life entity.ActivationID `json:"life,omitempty"`
	// ledger is the journal that it is in.
	ledger *ledger

	// Payload is an object, an array, or absent.
	Payload json.RawMessage `json:"payload,omitempty"`

	// Sequences and compositions: what is recorded of the action, whose address is
	// the provider's.
	Action     entity.FQN          `json:"action,omitzero"`
	Version    entity.Version      `json:"version"`
	Binding    entity.Path         `json:"binding,omitempty"`
	Limits     entity.ActionLimits `json:"limits,omitzero"`
	Components []entity.FQN        `json:"components,omitempty"`

	// Fires: the trigger's name, its rules as they were, and what actions get below
	// the payload.
	Trigger    entity.Name       `json:"trigger,omitempty"`
	Rules      []firedRule       `json:"rules,omitempty"`
	Parameters entity.Parameters `json:"parameters,omitempty"`
}

type firedRule struct {
	Rule   entity.FQN        `json:"rule"`
	Action entity.FQN        `json:"action"`
	Status entity.RuleStatus `json:"status"`
}

type wireTransid struct {
	ID    string `json:"id"`
	Start int64  `json:"start"`
	Extra bool   `json:"extra,omitempty"`
}

// newTask begins a task now; with an empty id it draws one.
func (c *Composer) newTask(l *ledger, k Kind, id *entity.Identity, transid bus.Transid, activation entity.ActivationID) *task {
	if activation == "" {
		activation = entity.NewActivationID()
	}
	return &task{
		Kind: k, ID: activation, Start: c.deps.Now().UnixMilli(),
		Transid: wireTransid{transid.ID, transid.Start.UnixMilli(), transid.Extra},
		Subject: id.Subject, Namespace: id.Namespace, UUID: id.Key.UUID,
		Unrecorded: !id.Limits.StoresActivations(), Life: l.life, ledger: l,
	}
}

func (t *task) setAction(c *catalog.Callable) {
	t.Action, t.Version, t.Binding = c.Action.FQN(), c.Action.Version, c.Binding
	t.Limits = c.Action.Limits
}

func (t *task) namespace() entity.Path { return entity.Path(t.Namespace) }

func (t *task) transid() bus.Transid {
	return bus.Transid{ID: t.Transid.ID, Start: time.UnixMilli(t.Transid.Start), Extra: t.Transid.Extra}
}

// entry is the task as the journal keeps it. User JSON keeps its spelling.
func (t *task) entry() (bus.Entry, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(t); err != nil {
		return bus.Entry{}, fmt.Errorf("encode the journal entry %s: %w", t.ID, err)
	}
	return bus.Entry{Namespace: t.namespace(), ID: t.ID, Body: bytes.TrimSpace(b.Bytes())}, nil
}

// parseTask reads an entry of the journal.
func parseTask(e bus.Entry) (*task, error) {
	t := new(task)
	if err := json.Unmarshal(e.Body, t); err != nil {
		return nil, fmt.Errorf("journal entry %s: %w", e.ID, err)
	}
	if t.ID != e.ID || t.namespace() != e.Namespace {
		return nil, fmt.Errorf("journal entry %s: it is filed under another id", e.ID)
	}
	switch t.Kind {
	case Sequence, Composition, TriggerFire:
		return t, nil
	}
	return nil, fmt.Errorf("journal entry %s: unknown kind %q", e.ID, t.Kind)
}

// fields are what log lines about the task have.
func (t *task) fields(more ...zap.Field) []zap.Field {
	return append(more, zap.String("transid", t.Transid.ID), zap.String("namespace", t.Namespace),
		zap.String("activationId", string(t.ID)), zap.String("kind", string(t.Kind)))
}
