package pool

import (
	"fmt"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// ContainerID numbers the containers of a pool from 1.
type ContainerID uint64

func (id ContainerID) String() string { return fmt.Sprintf("c%d", uint64(id)) }

// Op is what an Effect asks for.
type Op uint8

const (
	// Start a container; answered by Started or StartFailed.
	Start Op = iota
	// Run a job; answered by Initialised, where Initialise is set, and Finished.
	Run
	// Pause a container; answered by PauseDone.
	Pause
	// Resume a container; answered by ResumeDone.
	Resume
	// Remove a container; answered by Removed.
	Remove
	// Abandon a job: Err is why it did not run.
	Abandon
	// Refuse the job of this Submit: Err is ErrDuplicate or ErrClosed.
	Refuse
)

// Effect is something to perform. The effects for one container are given one
// after the other: no effect but Run comes before the previous one was answered.
type Effect struct {
	Op        Op
	Container ContainerID
	// Job is set for Run, Abandon and Refuse, and for a Start made for a job's sake.
	Job *Job
	// Kind, Image, Memory and Concurrency are set for Start.
	Kind        string
	Image       string
	Memory      entity.Megabytes
	Concurrency int
	// Initialise and StartKind are set for Run.
	Initialise bool
	StartKind  StartKind
	Err        error
}

// String is the form used in scripts.
func (e Effect) String() string {
	switch e.Op {
	case Start:
		purpose := "stem cell"
		if e.Job != nil {
			purpose = "for " + e.Job.Namespace + "/" + e.Job.Action
		}
		return fmt.Sprintf("start %v %s %dMB (%s)", e.Container, e.Kind, e.Memory, purpose)
	case Run:
		verb := "run"
		if e.Initialise {
			verb = "init"
		}
		return fmt.Sprintf("%s %v %s %s/%s (%v)", verb, e.Container, e.Job.ActivationID, e.Job.Namespace, e.Job.Action, e.StartKind)
	case Pause:
		return fmt.Sprintf("pause %v", e.Container)
	case Resume:
		return fmt.Sprintf("resume %v", e.Container)
	case Remove:
		return fmt.Sprintf("remove %v", e.Container)
	case Abandon:
		return fmt.Sprintf("abandon %s: %v", e.Job.ActivationID, e.Err)
	default:
		return fmt.Sprintf("refuse %s: %v", e.Job.ActivationID, e.Err)
	}
}
