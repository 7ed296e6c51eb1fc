package activation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/pool"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Config bounds what activations may say and how long.
type Config struct {
	// MaxResponse and Truncation are the system's limits of an answer and of what
	// is quoted of a longer one, in bytes; namespaces may have smaller ones.
	MaxResponse, Truncation int64
	// Patience with the store and with engines, for what happens beside the
	// action's own time limit.
	SettleRetry time.Duration
}

// DefaultConfig has OpenWhisk's sizes.
func DefaultConfig() Config {
	return Config{MaxResponse: 1 << 20, Truncation: 1 << 20, SettleRetry: 100 * time.Millisecond}
}

// CodeSource fetches an action's code; store.EntityStore is one.
type CodeSource interface {
	Code(ctx context.Context, a *entity.Action) (string, error)
}

// Opener decrypts arguments; encryption.Keyring is one.
type Opener interface {
	// OpenValue returns the JSON that a value of the scheme hides. Errors tell nothing
	// of the value.
	OpenValue(scheme string, value json.RawMessage) (json.RawMessage, error)
}

// Runner runs tasks in the containers that the pool chose. It implements
// pool.Runner and is safe for concurrent use.
type Runner struct {
	cfg     Config
	code    CodeSource
	keys    Opener
	settler *Settler
	log     *zap.Logger
}

// NewRunner returns a runner that ends its tasks through settler.
func NewRunner(cfg Config, code CodeSource, keys Opener, settler *Settler, log *zap.Logger) *Runner {
	return &Runner{cfg: cfg, code: code, keys: keys, settler: settler, log: log}
}

// Run implements pool.Runner. The context ends when the invoker gives up on what
// still runs.
func (r *Runner) Run(ctx context.Context, c container.Container, job pool.Job, initialise bool, _ pool.StartKind, initialised func()) pool.Outcome {
	t := job.Payload.(*Task)
	m := t.Message()
	content, err := unlock(m.Content, m.LockedArgs, r.keys)
	if err != nil {
		return r.failLocked(t, err, initialise)
	}
	args, env := arguments(content, m.InitArgs)
	var at timing
	if initialise {
		if at.init, err = r.init(ctx, c, t, env); err != nil {
			return r.failCode(t, err)
		}
		if ctx.Err() != nil {
			return r.stopped(t)
		}
		if at.init.isShuttingDown() {
			return pool.Reschedule
		}
		if response, ok := initAnswer(at.init); !ok {
			return r.finish(ctx, c, t, response, at)
		}
		initialised()
	}
	at.run = r.run(ctx, c, t, args)
	switch {
	case ctx.Err() != nil:
		return r.stopped(t)
	case at.run.isShuttingDown(), !initialise && errors.Is(at.run.err, container.ErrNotListening):
		return pool.Reschedule
	}
	return r.finish(ctx, c, t, runAnswer(at.run), at)
}

func (r *Runner) init(ctx context.Context, c container.Container, t *Task, env []envEntry) (*exchange, error) {
	code, err := r.code.Code(ctx, t.Action)
	if err != nil {
		return nil, err
	}
	timeout := time.Duration(t.Action.Limits.Timeout) * time.Millisecond
	whisk := newContext(t, time.Now().Add(timeout))
	body := appendInit(make([]byte, 0, len(code)+len(code)/8+1024), t, code, env, whisk)
	return r.call(ctx, c, "/init", body, timeout, r.cfg.MaxResponse, r.cfg.Truncation), nil
}

func (r *Runner) run(ctx context.Context, c container.Container, t *Task, args []byte) *exchange {
	limits := &t.Message().User.Limits
	maxBytes, truncation := r.cfg.MaxResponse, r.cfg.Truncation
	if limits.MaxPayloadSize != nil {
		maxBytes = min(maxBytes, int64(*limits.MaxPayloadSize))
	}
	if limits.TruncationSize != nil {
		truncation = min(truncation, int64(*limits.TruncationSize))
	}
	timeout := time.Duration(t.Action.Limits.Timeout) * time.Millisecond
	whisk := newContext(t, time.Now().Add(timeout))
	body := appendRun(make([]byte, 0, len(args)+512), args, whisk)
	return r.call(ctx, c, "/run", body, timeout, maxBytes, truncation)
}

func (r *Runner) call(ctx context.Context, c container.Container, path string, body []byte, timeout time.Duration, maxBytes, truncation int64) *exchange {
	x := &exchange{start: time.Now(), timeout: timeout, maxBytes: maxBytes, truncation: truncation}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	// What is kept of a longer answer is what may be quoted of it.
	x.response, x.err = c.Call(ctx, path, body, max(maxBytes, truncation))
	x.elapsed = time.Since(x.start)
	return x
}

// finish tells the waiting client, collects the logs, and hands the record to the
// settler. The container is kept if it is in good order.
func (r *Runner) finish(ctx context.Context, c container.Container, t *Task, response entity.Response, at timing) pool.Outcome {
	record := newRecord(t, response, at)
	isDeveloperError := response.StatusCode == entity.StatusDeveloperError
	outcome := pool.Keep
	if response.StatusCode >= entity.StatusDeveloperError {
		outcome = pool.Destroy
	}
	limit := t.Action.Limits.Logs
	if limit <= 0 {
		r.settler.Settle(t.Delivery, record, bus.Combined)
		return outcome
	}
	kind := bus.SlotFree
	if t.Message().Cause == "" {
		r.settler.Answer(t.Message(), record)
	} else {
		// What comes next in a sequence must not run on a result that a crash could
		// still replace (durability.md section 3), so it goes with its record.
		kind = bus.Combined
	}
	logs := c.Logs(ctx, container.LogQuery{Limit: limit, WaitForSentinel: t.SentinelledLogs && !isDeveloperError})
	if logs.Truncated || logs.Incomplete {
		outcome = pool.Destroy // openwhisk-invoker.md 13.4
	}
	if isDeveloperError && !logs.Unavailable {
		logs.Lines = append(logs.Lines, noticeLine(time.Now(), "The action did not initialize or run as expected. Log data might be missing."))
	}
	// The record may be in use for the answer: it is not changed any more.
	stored := *record
	stored.Logs = logs.Lines
	r.settler.Settle(t.Delivery, &stored, kind)
	return outcome
}

// noticeLine is a line of the platform's own in an activation's logs.
func noticeLine(at time.Time, text string) string {
	return fmt.Sprintf("%-30s %s: %s", at.UTC().Format("2006-01-02T15:04:05.000Z"), "stderr", text)
}

// stopped ends a task that was still running when the invoker's patience with a
// stop ran out. It may have done its work, so it does not run again.
func (r *Runner) stopped(t *Task) pool.Outcome {
	response := entity.ErrorResponse(entity.StatusWhiskError, "The activation was ended because the server was stopped.")
	r.settler.Settle(t.Delivery, t.Message().UnrunRecord(t.Action, response, time.Now()), bus.Combined)
	return pool.Destroy
}

// failCode ends a task whose code could not be read.
func (r *Runner) failCode(t *Task, err error) pool.Outcome {
	r.log.Warn("reading an action's code failed", zap.String("transid", t.Message().Transid.ID),
		zap.String("action", string(t.Action.ID())), zap.String("activationId", string(t.Message().ActivationID)), zap.Error(err))
	r.settler.Settle(t.Delivery, t.Message().UnrunRecord(t.Action, FetchFailure(err), time.Now()), bus.Combined)
	return pool.Destroy
}

// Abandon implements pool.Runner: the job never got a container.
func (r *Runner) Abandon(ctx context.Context, job pool.Job, err error) {
	t := job.Payload.(*Task)
	if errors.Is(err, pool.ErrHandedBack) {
		r.settler.Release(t.Delivery)
		return
	}
	response := entity.ErrorResponse(entity.StatusWhiskError, textNoResources)
	var start *container.StartError
	if errors.As(err, &start) {
		response = entity.ErrorResponse(entity.StatusDeveloperError, start.Text)
	}
	r.log.Warn("no container for an activation", zap.String("transid", t.Message().Transid.ID),
		zap.String("namespace", t.Message().User.Namespace), zap.String("activationId", string(t.Message().ActivationID)),
		zap.String("kind", t.Action.Exec.Kind), zap.Error(err))
	r.settler.Settle(t.Delivery, t.Message().UnrunRecord(t.Action, response, time.Now()), bus.Combined)
}
