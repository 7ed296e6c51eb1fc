package pool

import "fmt"

// State is where a container is in its life.
type State uint8

const (
	// Planned: memory is promised to it, but containers that were told to go still
	// hold that memory, or too many others are starting.
	Planned State = iota
	// Starting: the factory is at work.
	Starting
	// StemCell: started, not initialised; serves the first fitting job.
	StemCell
	// Initializing: runs /init and then the first job of its action.
	Initializing
	// Running: initialised and at least one job runs.
	Running
	// Idle: initialised, no job.
	Idle
	// Pausing: being paused.
	Pausing
	// Paused: its processes are stopped.
	Paused
	// Resuming: being resumed, for a waiting job.
	Resuming
	// Retiring: takes no more jobs and is removed when the last one has ended.
	Retiring
	// Removing: being destroyed; it still holds its memory.
	Removing
	// Gone: holds nothing any more.
	Gone

	stateCount
)

var stateNames = [stateCount]string{
	"planned", "starting", "stem cell", "initializing", "running", "idle",
	"pausing", "paused", "resuming", "retiring", "removing", "gone",
}

func (s State) String() string { return stateNames[s] }

// transitions lists, for each state, the states that may follow it.
var transitions = [stateCount][]State{
	Planned:      {Starting, Gone},
	Starting:     {StemCell, Initializing, Gone},
	StemCell:     {Initializing, Removing},
	Initializing: {Running, Removing},
	Running:      {Idle, Retiring, Removing},
	Idle:         {Running, Pausing, Removing},
	Pausing:      {Paused, Resuming, Removing},
	Paused:       {Resuming, Removing},
	Resuming:     {Running, Idle, Removing},
	Retiring:     {Removing},
	Removing:     {Gone},
}

// legal is transitions as one bit set per state, for the hot path.
var legal = func() (sets [stateCount]uint16) {
	for from, following := range transitions {
		for _, to := range following {
			sets[from] |= 1 << to
		}
	}
	return sets
}()

// mustFollow panics on a transition that the table lacks: events that do not fit
// are ignored before they get here, so this is a fault of the pool itself.
func (s State) mustFollow(from State, id ContainerID) {
	if legal[from]&(1<<s) == 0 {
		panic(fmt.Sprintf("pool: %v cannot go from %v to %v", id, from, s))
	}
}
