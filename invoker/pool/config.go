package pool

import (
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Config holds the pool's settings. Start from DefaultConfig; the names in
// brackets are OpenWhisk's (openwhisk-invoker.md 2.1).
type Config struct {
	// Memory is what all containers together may have [container-pool.user-memory].
	Memory entity.Megabytes
	// PauseGrace is how long a container idles before it is paused
	// [container-proxy.timeouts.pause-grace]; zero never pauses.
	PauseGrace time.Duration
	// IdleTimeout is how long an unused container stays after its pause, or its
	// last run when it is never paused [container-proxy.timeouts.idle-container].
	IdleTimeout time.Duration

	// StemCells are the containers kept ready for any action of a kind.
	StemCells []StemCellConfig
	// ReactiveCheckDelay and ReactiveCheckInterval time the adjustment of reactive
	// stem cells [prewarm-expiration-check-init-delay, -interval]. Hosts that start
	// together should vary the delay.
	ReactiveCheckDelay    time.Duration
	ReactiveCheckInterval time.Duration
	// ReactiveExpirationLimit bounds how many stem cells one check expires
	// [prewarm-expiration-limit].
	ReactiveExpirationLimit int
	// StemCellRate is how many stem cells start per second in the long run, after
	// MaxParallelStarts at once; zero does not bound it. It keeps a burst of first
	// calls, which takes stem cells faster than they can start, from being slowed
	// down by their replacement.
	StemCellRate float64
	// MaxParallelStarts: no stem cell starts while this many containers of any
	// sort are starting.
	MaxParallelStarts int
	// MaxParallelUserStarts bounds the containers that start for jobs at the same
	// time; zero means that memory alone does.
	MaxParallelUserStarts int

	// ReserveAfter is how long a job without any container of its action waits
	// before freed memory is kept for it, and before containers of busier actions
	// are taken for it.
	ReserveAfter time.Duration
	// StartCostGuess is taken for the time to start and initialise a container of
	// a kind that has not been measured yet.
	StartCostGuess time.Duration
	// DurationGuess is taken for the duration of an action that has not been
	// measured yet.
	DurationGuess time.Duration

	// MaxStartAttempts bounds how often a container is started in vain for a job.
	MaxStartAttempts int
	// MaxReschedules bounds how often a job returns from a container that did not
	// accept it.
	MaxReschedules int
	// StartBackoff is the pause after a failed start; it doubles up to
	// MaxStartBackoff with each further failure. Stem cells wait ten times as long.
	StartBackoff    time.Duration
	MaxStartBackoff time.Duration

	// Eviction orders the containers that can be evicted, best victim first; nil
	// is GreedyDual.
	Eviction func(a, b Candidate) int

	// TypicalMemory is how much a job of an unknown action is taken to need when
	// the pool says how many more it wants.
	TypicalMemory entity.Megabytes
	// LookAhead is how many waiting jobs the pool wants beyond those that could
	// start now, so that it can choose among them fairly.
	LookAhead int

	// NamePrefix begins the names of all containers; it tells the containers of
	// one invoker from those of others, as "wsk0" does.
	NamePrefix string
	// Env is the environment that every container gets at its start, as KEY=VALUE.
	Env []string
	// StartTimeout bounds one start, including the pull of an image.
	StartTimeout time.Duration
}

// StemCellConfig asks for stem cells of one kind and memory size.
type StemCellConfig struct {
	Kind  string
	Image string
	// Memory must equal an action's limit for a stem cell to serve it.
	Memory entity.Megabytes
	// Concurrency is the highest concurrency limit of actions that it may serve;
	// less than 1 counts as 1.
	Concurrency  int
	InitialCount int
	// Reactive is nil when the count never changes.
	Reactive *ReactiveConfig
}

// ReactiveConfig lets the number of stem cells follow the number of cold starts
// (openwhisk-invoker.md 2.9).
type ReactiveConfig struct {
	MinCount, MaxCount int
	// TTL is how long a stem cell lives, from its start.
	TTL time.Duration
	// Increment stem cells are wanted for each full Threshold of cold starts
	// since the previous check.
	Threshold, Increment int
}

// Desired is how many stem cells are wanted after coldStarts cold starts since
// the previous check (openwhisk-invoker.md 2.9, vectors in 11.6).
func (r ReactiveConfig) Desired(coldStarts int) int {
	if coldStarts == 0 {
		return r.MinCount
	}
	return min(max(r.MinCount, coldStarts/r.Threshold*r.Increment), r.MaxCount)
}

// DefaultConfig returns OpenWhisk's defaults for a pool of the given memory, and
// this pool's own for what OpenWhisk does not have. Reactive stem cells follow the
// demand of the last minute, not of the last ten.
func DefaultConfig(memory entity.Megabytes) Config {
	return Config{
		Memory:                  memory,
		PauseGrace:              10 * time.Second,
		IdleTimeout:             10 * time.Minute,
		ReactiveCheckDelay:      time.Minute,
		ReactiveCheckInterval:   time.Minute,
		ReactiveExpirationLimit: 100,
		StemCellRate:            10,
		MaxParallelStarts:       2,
		MaxParallelUserStarts:   8,
		ReserveAfter:            time.Second,
		StartCostGuess:          300 * time.Millisecond,
		DurationGuess:           5 * time.Millisecond,
		MaxStartAttempts:        3,
		MaxReschedules:          3,
		StartBackoff:            100 * time.Millisecond,
		MaxStartBackoff:         10 * time.Second,
		Eviction:                GreedyDual,
		TypicalMemory:           256,
		LookAhead:               max(8, int(memory/128)),
		NamePrefix:              "wsk",
		StartTimeout:            5 * time.Minute,
	}
}
