// Package container says what an action container is to the invoker: something
// that can be started for a kind, told to /init and /run, asked for its logs,
// paused and destroyed. Its sub-packages implement it over local processes and
// other engines; containertest is the conformance suite that all of them run.
// Source of the rules: openwhisk-invoker.md sections 1, 3 and 4.
package container

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Spec describes a container to start.
type Spec struct {
	// Name is unique among the containers of one invoker while it runs.
	Name string
	// Kind is the concrete runtime kind, such as "nodejs:20" or "blackbox".
	Kind string
	// Image is the container image; factories without images ignore it, but for
	// blackbox actions, where it decides what can run.
	Image string
	// Namespace owns the action. Its registry credentials fetch the image. It is
	// empty for stem cells, which have images of the platform.
	Namespace string
	// Memory is the limit for everything in the container together.
	Memory entity.Megabytes
	// Concurrency is how many /run calls may be under way at once, at least 1.
	Concurrency int
	// Env is the environment of the container at start, as KEY=VALUE.
	Env []string
}

// Factory starts containers. All methods are safe for concurrent use.
type Factory interface {
	// Start returns a container whose runtime is ready to take /init. Errors a
	// user caused are a *StartError; any other is the platform's.
	Start(ctx context.Context, spec Spec) (Container, error)

	// Sweep removes what an earlier, perhaps killed, owner of this factory's
	// state left behind. It is called once, before the first Start.
	Sweep(ctx context.Context) error

	// Close destroys every container that is left and releases the factory.
	Close() error
}

// Container is one started runtime. Call is safe for concurrent use up to
// Spec.Concurrency; the other methods are called one at a time.
type Container interface {
	// ID names the container in logs and to its engine.
	ID() string

	// Call posts body as JSON to path ("/init" or "/run") and returns the answer.
	// The context's deadline is a hard one: when it passes, Call returns
	// ctx.Err() at once, however slowly bytes still arrive. At most
	// maxBytes of a longer answer are kept (see Response.Length). An answer of
	// unknown length is ErrNoResponse (openwhisk-invoker.md 1.2).
	Call(ctx context.Context, path string, body []byte, maxBytes int64) (Response, error)

	// Logs returns what was printed since the previous call of Logs, up to the
	// end of the activation. See LogQuery.
	Logs(ctx context.Context, q LogQuery) Logs

	// Pause stops the container's processes from running until Resume.
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error

	// Destroy ends all processes of the container and removes what it left on
	// disk. It may be called more than once and while a Call is under way, which
	// then returns an error.
	Destroy(ctx context.Context) error
}

// Response is a runtime's answer to /init or /run.
type Response struct {
	Status int
	// Body holds the whole answer, or its first bytes when Length exceeds the
	// limit that the call gave.
	Body []byte
	// Length is the answer's real length in bytes.
	Length int64
	// Quiet says of stdout and stderr that the activation printed nothing there,
	// and that its end is not marked in the logs. Few runtimes say that.
	Quiet [2]bool
}

// LogQuery says which logs to collect after an activation.
type LogQuery struct {
	// Limit bounds the bytes of the lines returned.
	Limit entity.Megabytes
	// WaitForSentinel waits (bounded) until the runtime marked the end of the
	// activation on both streams; otherwise what has been printed so far is taken.
	WaitForSentinel bool
}

// Logs are the collected lines, each in the record's form `"%-30s %s: %s"`
// (timestamp, stream, text; openwhisk-rest-api.md 10.2).
type Logs struct {
	Lines []string
	// Truncated: the limit was crossed and later lines were dropped; the notice
	// that says so is the last line.
	Truncated bool
	// Incomplete: a sentinel did not arrive in time; the notice that says so is
	// the last line.
	Incomplete bool
	// Unavailable: the engine's logs go elsewhere; the only line says so.
	Unavailable bool
}

// LogPatience bounds how long Logs may wait for the sentinels of an activation
// with the given limit (openwhisk-invoker.md 3.2).
func LogPatience(limit entity.Megabytes) time.Duration {
	return time.Duration(max(limit, 5)) * 2 * time.Second
}

var (
	// ErrNotListening: the runtime could not be reached at all, so the call has
	// certainly not run. The caller may use another container.
	ErrNotListening = errors.New("the runtime does not accept connections")
	// ErrNoResponse: the connection broke, or the answer was not a complete
	// HTTP answer of known length.
	ErrNoResponse = errors.New("the runtime ended the connection without an answer")
	// ErrOutOfMemory: as ErrNoResponse, and the container was killed for its
	// memory limit.
	ErrOutOfMemory = errors.New("the container exceeded its memory limit")
)

// StartError is a failure to start that the action's owner can mend. Text is
// shown to the user as the result of the activation.
type StartError struct {
	Text string
	Err  error
}

func (e *StartError) Error() string {
	if e.Err == nil {
		return e.Text
	}
	return fmt.Sprintf("%s: %v", e.Text, e.Err)
}

func (e *StartError) Unwrap() error { return e.Err }
