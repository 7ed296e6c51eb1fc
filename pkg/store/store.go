// Package store says what the platform needs of its databases: entities,
// activation records and subjects. Its sub-packages implement it, each over one
// database; storetest is the suite that all of them pass.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

var (
	// ErrNotFound: there is no such document.
	ErrNotFound = errors.New("the document does not exist")
	// ErrConflict: the document was changed since the revision at hand, or
	// exists although a new one was to be made.
	ErrConflict = errors.New("the document was changed meanwhile")
)

// EntityStore keeps actions, packages, triggers and rules in one key space. All
// methods are safe for concurrent use; what they wrote is durable when they return.
type EntityStore interface {
	// Entity returns the current document, ErrNotFound, or an error wrapping
	// entity.ErrUnreadable. Actions come without their code (Exec.Code is nil).
	Entity(ctx context.Context, id entity.DocID) (entity.Entity, error)

	// Code returns the code of the action, "" if it has none. If the action was
	// changed since a's revision it returns the code of the newest revision;
	// ErrNotFound if it was deleted.
	Code(ctx context.Context, a *entity.Action) (string, error)

	// Put creates e, whose revision is "" then, or replaces exactly the revision
	// that e carries; otherwise ErrConflict. It sets e's new revision. An action
	// whose Exec.Code is nil keeps the code that is stored.
	Put(ctx context.Context, e entity.Entity) error

	// Delete removes exactly the revision that e carries, with its code.
	// ErrNotFound if it does not exist, ErrConflict if it changed.
	Delete(ctx context.Context, e entity.Entity) error

	// List returns summaries (entity.Entity.AppendSummary), newest Updated first.
	List(ctx context.Context, q EntityQuery) ([]json.RawMessage, error)

	// Count returns how many entities q matches; Skip and Limit do not count.
	Count(ctx context.Context, q EntityQuery) (int, error)
}

// EntityQuery selects entities of one type.
type EntityQuery struct {
	Type entity.Type
	// Path is a namespace, or for actions also a package ("ns/pkg"). The actions
	// of a namespace include those in its packages.
	Path entity.Path
	// PublicOnly selects published packages that are no bindings.
	PublicOnly bool
	Skip       int
	// Limit bounds the answer; 0 is no bound.
	Limit int
}

// ActivationStore keeps activation records. All methods are safe for concurrent use.
type ActivationStore interface {
	// Record stores a unless a record with its namespace and id exists. It
	// reports whether this call stored it; false with a nil error means that
	// another writer was first. The record is durable when Record returns.
	Record(ctx context.Context, a *entity.Activation) (stored bool, err error)

	// Activation returns the record, or ErrNotFound.
	Activation(ctx context.Context, namespace entity.Path, id entity.ActivationID) (*entity.Activation, error)

	// List returns records, latest Start first; without q.Docs they lack
	// Subject, Response.Result, Response.Size and Logs.
	List(ctx context.Context, q ActivationQuery) ([]*entity.Activation, error)

	// Count returns how many records q matches; Skip and Limit do not count.
	Count(ctx context.Context, q ActivationQuery) (int, error)

	// Expire deletes records that started before the given time, at most max of
	// them, and returns how many it deleted.
	Expire(ctx context.Context, before time.Time, max int) (int, error)
}

// ActivationQuery selects records of one namespace.
type ActivationQuery struct {
	Namespace entity.Path
	// Name filters by entity.Activation.FilterPath; "" is no filter.
	Name string
	// Since and Upto bound Start inclusively, in milliseconds since the epoch;
	// nil is no bound.
	Since, Upto *int64
	Skip        int
	Limit       int // 0 is no bound
	Docs        bool
}

// SubjectStore keeps who may do what. All methods are safe for concurrent use.
type SubjectStore interface {
	// Subject returns the subject, or ErrNotFound.
	Subject(ctx context.Context, name string) (*entity.Subject, error)

	// PutSubject creates or replaces a subject, by revision as EntityStore.Put.
	PutSubject(ctx context.Context, s *entity.Subject) error

	// DeleteSubject removes exactly the revision that s carries.
	DeleteSubject(ctx context.Context, s *entity.Subject) error

	// IdentityByUUID returns the identity whose key pair has the uuid, with the
	// limits of its namespace; the caller compares the secret. ErrNotFound if
	// there is none or its subject is blocked.
	IdentityByUUID(ctx context.Context, uuid string) (*entity.Identity, error)

	// Identities returns identities of a namespace whose subjects are not
	// blocked, at most limit (0 is no bound).
	Identities(ctx context.Context, namespace string, limit int) ([]*entity.Identity, error)

	// Limits returns the namespace's own limits, or ErrNotFound.
	Limits(ctx context.Context, namespace string) (*entity.UserLimits, error)

	// PutLimits replaces the namespace's own limits.
	PutLimits(ctx context.Context, namespace string, l *entity.UserLimits) error

	// DeleteLimits removes the namespace's own limits, or returns ErrNotFound.
	DeleteLimits(ctx context.Context, namespace string) error
}
