package pool

import (
	"errors"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Job is one activation to run in a container.
type Job struct {
	// ActivationID is unique among the jobs in the pool.
	ActivationID string
	// ReuseKey: jobs of equal keys may share warm containers. It identifies the
	// invoking namespace and everything of the action that a warm container
	// depends on (openwhisk-invoker.md 2.5); jobs of equal keys have equal fields
	// below.
	ReuseKey string
	// Namespace is the invoking namespace; memory is shared fairly between them.
	Namespace string
	// Owner is the namespace of the action itself.
	Owner string
	// Action is the name for container names and logs.
	Action string
	Kind   string
	Image  string
	Memory entity.Megabytes
	// Concurrency is how many jobs one container of the action runs at once; less
	// than 1 counts as 1.
	Concurrency int
	// StemCells: containers started for the kind alone may run the action. False
	// for blackbox actions.
	StemCells bool
	// Payload is the Runner's own.
	Payload any
}

// StartKind says how a job came by its container; its strings are the names that
// OpenWhisk's metrics and traces use.
type StartKind uint8

const (
	// Warmed: the container had been initialised with the action.
	Warmed StartKind = iota
	// Prewarmed: the container was a stem cell.
	Prewarmed
	// Cold: the container was started for the action.
	Cold
	// Recreated: as Cold, after evicting others.
	Recreated
)

func (k StartKind) String() string {
	return [...]string{"warmed", "prewarmed", "cold", "recreated"}[k]
}

// Outcome is what becomes of a container after a run.
type Outcome uint8

const (
	// Keep the container for more runs.
	Keep Outcome = iota
	// Destroy the container once the other runs in it have ended.
	Destroy
	// Reschedule: as Destroy, and the job has certainly not run: it goes back to
	// the front of its queue.
	Reschedule
)

func (o Outcome) String() string { return [...]string{"keep", "destroy", "reschedule"}[o] }

var (
	// ErrDuplicate: a job with this activation id is in the pool already.
	ErrDuplicate = errors.New("an activation with this id is already in the container pool")
	// ErrClosed: the pool takes no more jobs.
	ErrClosed = errors.New("the container pool is shutting down")
	// ErrHandedBack: the job was not started, because the pool shuts down; it can
	// run elsewhere.
	ErrHandedBack = errors.New("the activation was not started before the container pool shut down")
	// ErrTooBig: the action's memory limit exceeds the pool's memory.
	ErrTooBig = errors.New("the action needs more memory than the container pool has")
	// ErrUnreachable: every container that was tried gave the job back.
	ErrUnreachable = errors.New("no container accepted the activation")
)
