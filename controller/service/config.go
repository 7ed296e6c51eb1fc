package service

import (
	"errors"
	"fmt"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Config holds the knobs of a controller. Default has OpenWhisk's values
// (openwhisk-rest-api.md section 26).
type Config struct {
	// Address to listen on, "host:port"; port 0 picks one.
	Address string `koanf:"address"`
	// Controller names this controller in its cluster: its ordinal.
	Controller string `koanf:"controller"`
	// AdminCredentials is a file with the operator's user:password, for POST
	// /disable; "" means that there is no operator.
	AdminCredentials string `koanf:"admin-credentials"`
	// SharedPackagesExecuteOnly: others may invoke and bind a public package, and not
	// see what is in it.
	SharedPackagesExecuteOnly bool `koanf:"shared-packages-execute-only"`

	Throttle Throttle `koanf:"throttle"`
	Actions  Actions  `koanf:"actions"`
	Sizes    Sizes    `koanf:"sizes"`
	Lists    Lists    `koanf:"lists"`
	Times    Times    `koanf:"times"`
	Caches   Caches   `koanf:"caches"`
	Build    Build    `koanf:"build"`
	Overflow Overflow `koanf:"overflow"`
	Ready    Ready    `koanf:"ready"`
}

// Overflow holds what becomes of activations that no invoker has room for.
type Overflow struct {
	// Max bounds those that wait; more are refused.
	Max int `koanf:"max"`
	// Held bounds those among which turns are taken; the rest wait in the bus.
	Held int `koanf:"held"`
	// MaxAge: what waited longer, counted from its request, ends with an error.
	MaxAge time.Duration `koanf:"max-age"`
	// Patience: what waited longer is asked before its turn.
	Patience time.Duration `koanf:"patience"`
}

// Ready holds when the controller says that it is ready.
type Ready struct {
	// Invokers is the part of the known invokers that must be healthy: 1 is all of them.
	Invokers float64 `koanf:"invokers"`
}

// Throttle holds the limits of namespaces that have none of their own.
type Throttle struct {
	InvocationsPerMinute  int `koanf:"invocations-per-minute"`
	ConcurrentInvocations int `koanf:"concurrent-invocations"`
	FiresPerMinute        int `koanf:"fires-per-minute"`
}

// Actions holds what actions may be.
type Actions struct {
	// MinTimeout, StdTimeout and MaxTimeout bound an action's time limit.
	MinTimeout time.Duration `koanf:"min-timeout"`
	StdTimeout time.Duration `koanf:"std-timeout"`
	MaxTimeout time.Duration `koanf:"max-timeout"`
	// Memory of one container.
	MinMemory entity.Megabytes `koanf:"min-memory"`
	StdMemory entity.Megabytes `koanf:"std-memory"`
	MaxMemory entity.Megabytes `koanf:"max-memory"`
	// Logs kept of one activation.
	MinLogs entity.Megabytes `koanf:"min-logs"`
	StdLogs entity.Megabytes `koanf:"std-logs"`
	MaxLogs entity.Megabytes `koanf:"max-logs"`
	// Concurrency is how many activations share a container.
	MinConcurrency int `koanf:"min-concurrency"`
	StdConcurrency int `koanf:"std-concurrency"`
	MaxConcurrency int `koanf:"max-concurrency"`
	// MaxSequenceLength is how many actions a sequence may have.
	MaxSequenceLength int `koanf:"max-sequence-length"`
	// MaxCompositions is how many sequences, compositions and trigger fires may be
	// under way at once in this controller.
	MaxCompositions int `koanf:"max-compositions"`
	// AllowedKinds are the kinds that every namespace may use; none means all.
	AllowedKinds []string `koanf:"allowed-kinds"`
}

// Sizes are in bytes.
type Sizes struct {
	Parameters entity.ByteSize `koanf:"parameters"`
	Payload    entity.ByteSize `koanf:"payload"`
	Exec       entity.ByteSize `koanf:"exec"`
	// Body bounds every request, Header the headers of every request.
	Body   entity.ByteSize `koanf:"body"`
	Header entity.ByteSize `koanf:"header"`
}

// Lists holds how many items list answers have.
type Lists struct {
	Default int `koanf:"default"`
	Max     int `koanf:"max"`
}

// Times holds deadlines.
type Times struct {
	// Wait is how long a blocking invocation waits at most, and by default.
	Wait time.Duration `koanf:"wait"`
	// Request bounds the work for every other request.
	Request time.Duration `koanf:"request"`
	// Header and Idle bound how long a connection may take to send its headers, and
	// be without a request.
	Header time.Duration `koanf:"header"`
	Idle   time.Duration `koanf:"idle"`
	// Publish bounds how long the bus may take to accept an activation, and the journal
	// or the store to write down one that is composed of others.
	Publish time.Duration `koanf:"publish"`
	// Poll is how often a waiting call looks into the store on its own.
	Poll time.Duration `koanf:"poll"`
	// LostFactor and LostExtra: an activation counts as lost after its time limit
	// times the factor plus the extra time.
	LostFactor int           `koanf:"lost-factor"`
	LostExtra  time.Duration `koanf:"lost-extra"`
	// Component is how much longer than its time limit a component of a sequence or
	// composition may take until its result is there.
	Component time.Duration `koanf:"component"`
	// Resume: sequences, compositions and trigger fires that began longer ago than
	// this end with an error when they are found unfinished after a crash.
	Resume time.Duration `koanf:"resume"`
	// Drain is how long requests are still accepted once the service is stopped, until
	// a load balancer has noticed, and Lame how long after that they are answered on
	// connections that exist.
	Drain time.Duration `koanf:"drain"`
	Lame  time.Duration `koanf:"lame"`
	// Shutdown is how long requests may take to end once the service is stopped.
	Shutdown time.Duration `koanf:"shutdown"`
}

// Caches holds how much and how long the controller remembers.
type Caches struct {
	Entities   int           `koanf:"entities"`
	EntityTTL  time.Duration `koanf:"entity-ttl"`
	Identities int           `koanf:"identities"`
	// IdentityTTL is how long a change of keys or limits may stay unseen.
	IdentityTTL time.Duration `koanf:"identity-ttl"`
}

// Build is shown by GET /api/v1.
type Build struct {
	Date   string `koanf:"date"`
	Number string `koanf:"number"`
}

// Default returns a configuration that works.
func Default() Config {
	ranges := entity.DefaultLimitRanges()
	return Config{
		Address:    "127.0.0.1:3233",
		Controller: "0",
		Throttle:   Throttle{InvocationsPerMinute: 60, ConcurrentInvocations: 30, FiresPerMinute: 60},
		Actions: Actions{
			MinTimeout: ms(ranges.Timeout.Min), StdTimeout: ms(ranges.Timeout.Std), MaxTimeout: ms(ranges.Timeout.Max),
			MinMemory: ranges.Memory.Min, StdMemory: ranges.Memory.Std, MaxMemory: ranges.Memory.Max,
			MinLogs: ranges.Logs.Min, StdLogs: ranges.Logs.Std, MaxLogs: ranges.Logs.Max,
			MinConcurrency: ranges.Concurrency.Min, StdConcurrency: ranges.Concurrency.Std, MaxConcurrency: ranges.Concurrency.Max,
			MaxSequenceLength: 50, MaxCompositions: 10_000,
		},
		Sizes: Sizes{Parameters: 1 << 20, Payload: 1 << 20, Exec: 48 << 20, Body: 50 << 20, Header: 64 << 10},
		Lists: Lists{Default: 30, Max: 200},
		Times: Times{
			Wait: time.Minute, Request: 65 * time.Second, Header: 10 * time.Second, Idle: 70 * time.Second,
			Publish: 10 * time.Second, Poll: 15 * time.Second, LostFactor: 2, LostExtra: time.Minute,
			Component: time.Minute, Resume: time.Hour, Shutdown: 65 * time.Second,
		},
		Caches:   Caches{Entities: 20_000, EntityTTL: 5 * time.Minute, Identities: 100_000, IdentityTTL: 500 * time.Millisecond},
		Build:    Build{Date: "unknown", Number: "unknown"},
		Overflow: Overflow{Max: 10_000, Held: 1000, MaxAge: time.Hour, Patience: 10 * time.Second},
		Ready:    Ready{Invokers: 1},
	}
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// ranges is the form that limits are checked in.
func (a Actions) ranges() entity.LimitRanges {
	return entity.LimitRanges{
		Timeout:     entity.Range[int64]{Min: a.MinTimeout.Milliseconds(), Std: a.StdTimeout.Milliseconds(), Max: a.MaxTimeout.Milliseconds()},
		Memory:      entity.Range[entity.Megabytes]{Min: a.MinMemory, Std: a.StdMemory, Max: a.MaxMemory},
		Logs:        entity.Range[entity.Megabytes]{Min: a.MinLogs, Std: a.StdLogs, Max: a.MaxLogs},
		Concurrency: entity.Range[int]{Min: a.MinConcurrency, Std: a.StdConcurrency, Max: a.MaxConcurrency},
	}
}

// maxExec is what no configuration may exceed (openwhisk-rest-api.md 5.2).
const maxExec = entity.ByteSize(48 << 20)

// Validate returns everything that is wrong, each with what to do about it.
func (c *Config) Validate() error {
	var faults []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	need(c.Controller != "", "controller is empty: give this controller its ordinal, such as 0")
	need(c.Throttle.InvocationsPerMinute >= 0 && c.Throttle.ConcurrentInvocations >= 0 && c.Throttle.FiresPerMinute >= 0,
		"throttle has a negative limit: use 0 to forbid, or a large number not to limit")
	r := c.Actions.ranges()
	needRange(need, "timeout", r.Timeout, 1)
	needRange(need, "memory", r.Memory, 1)
	needRange(need, "logs", r.Logs, 0)
	needRange(need, "concurrency", r.Concurrency, 1)
	need(c.Actions.MaxSequenceLength > 0, "actions.max-sequence-length is %d: it must be at least 1", c.Actions.MaxSequenceLength)
	need(c.Actions.MaxCompositions > 0, "actions.max-compositions is %d: it must be at least 1", c.Actions.MaxCompositions)
	need(c.Sizes.Parameters > 0 && c.Sizes.Payload > 0 && c.Sizes.Exec > 0 && c.Sizes.Header > 0,
		"sizes has a limit that is not positive: every request would be refused")
	need(c.Sizes.Exec <= maxExec, "sizes.exec is %s: the most there may be is %s", c.Sizes.Exec, maxExec)
	need(c.Sizes.Body >= max(c.Sizes.Exec, c.Sizes.Payload), "sizes.body is %s: it must not be below sizes.exec and sizes.payload", c.Sizes.Body)
	need(c.Lists.Max > 0 && c.Lists.Default > 0 && c.Lists.Default <= c.Lists.Max,
		"lists.default is %d and lists.max is %d: use 1 <= default <= max", c.Lists.Default, c.Lists.Max)
	need(c.Times.Wait > 0 && c.Times.Request > 0 && c.Times.Header > 0 && c.Times.Idle > 0 && c.Times.Publish > 0 &&
		c.Times.Poll > 0 && c.Times.Component > 0 && c.Times.Resume > 0 && c.Times.Shutdown >= 0, "times has a deadline that is not positive: give it a unit, such as 60s")
	need(c.Times.LostFactor >= 1, "times.lost-factor is %d: below 1 activations that still run would count as lost", c.Times.LostFactor)
	need(c.Times.Drain >= 0 && c.Times.Lame >= 0, "times.drain or times.lame is negative: use 0 to stop at once")
	need(c.Overflow.Max >= 0 && c.Overflow.Held > 0 && c.Overflow.MaxAge > 0 && c.Overflow.Patience > 0,
		"overflow has a value that is not positive: use max 0 to let nothing wait")
	need(c.Ready.Invokers >= 0 && c.Ready.Invokers <= 1, "ready.invokers is %g: it is a part of the invokers, from 0 to 1", c.Ready.Invokers)
	need(c.Caches.Entities > 0 && c.Caches.Identities > 0 && c.Caches.EntityTTL > 0 && c.Caches.IdentityTTL > 0,
		"caches has a size or time that is not positive: use small ones rather than none")
	return errors.Join(faults...)
}

func needRange[T ~int | ~int64](need func(ok bool, format string, args ...any), name string, r entity.Range[T], least T) {
	need(r.Min >= least && r.Min <= r.Std && r.Std <= r.Max,
		"actions.min-%s, std-%s and max-%s are %d, %d and %d: use %d <= min <= std <= max", name, name, name, r.Min, r.Std, r.Max, least)
}
