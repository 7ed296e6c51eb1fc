package wasm

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/sys"
	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/container/actionlog"
)

// instance is one activation.
type instance struct {
	container *Container
	action    *action
	memory    memory
	config    wazero.ModuleConfig
	stdout    lastLine
	stderr    lines
	context   context.Context // of the run, for what sleeps
}

// outcome is what comes of an activation.
type outcome struct {
	response container.Response
	err      error
}

// newInstance prepares an activation for the body of a run.
func newInstance(c *Container, a *action, body gjson.Result, maxBytes int64) *instance {
	i := &instance{container: c, action: a, memory: memory{room: c.room}}
	i.stdout = lastLine{limit: maxBytes, log: func(p []byte) { c.framer.Write(actionlog.Stdout, p) }}
	i.stderr = lines{log: func(p []byte) { c.framer.Write(actionlog.Stderr, p) }}
	args := body.Get("value").Raw
	if args == "" || args == "null" {
		args = "{}"
	}
	i.config = wazero.NewModuleConfig().
		WithName(""). // many of them
		WithStartFunctions().
		WithArgs(body.Get("action_name").String()).
		WithStdin(strings.NewReader(args)).WithStdout(&i.stdout).WithStderr(&i.stderr).
		WithRandSource(rand.Reader).
		WithSysWalltime().WithSysNanotime().WithNanosleep(i.sleep)
	for _, variable := range append(a.env[:len(a.env):len(a.env)], contextOf(body)...) {
		name, value, _ := strings.Cut(variable, "=")
		i.config = i.config.WithEnv(name, value)
	}
	return i
}

// sleep lasts as long as the run at most.
func (i *instance) sleep(nanoseconds int64) {
	timer := time.NewTimer(time.Duration(nanoseconds))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-i.context.Done():
	}
}

// run runs the instance to its end, which comes soon after that of the context.
func (i *instance) run(ctx context.Context) outcome {
	defer i.memory.release()
	i.context = ctx
	err := i.call(experimental.WithMemoryAllocator(ctx, &i.memory))
	i.stderr.end()
	o := i.judge(ctx, err)
	i.container.endLogs()
	return o
}

// call calls the entry functions of a new instance. Nothing of the instance runs any
// more when it returns.
func (i *instance) call(ctx context.Context) (err error) {
	defer func() {
		// Such as a memory that could not be had from the start.
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%v", fault)
		}
	}()
	module, err := i.action.program.runtime.InstantiateModule(ctx, i.action.program.compiled, i.config)
	if err != nil {
		return err
	}
	defer func() { _ = module.Close(context.Background()) }() // it holds nothing but memory
	for _, name := range i.action.entry {
		results, err := module.ExportedFunction(name).Call(ctx)
		if err != nil {
			return err
		}
		if len(results) == 1 && uint32(results[0]) != 0 {
			return sys.NewExitError(uint32(results[0]))
		}
	}
	return nil
}

// judge makes an answer of how the instance ended.
func (i *instance) judge(ctx context.Context, err error) outcome {
	var exit *sys.ExitError
	isExit := errors.As(err, &exit)
	if isExit && exit.ExitCode() == 0 {
		err = nil
	}
	result, length := i.stdout.take()
	isResult := length > int64(len(result)) || isObjectOrArray(result) && gjson.ValidBytes(result)
	switch {
	case ctx.Err() != nil:
		i.stdout.flush()
		return outcome{err: container.ErrNoResponse} // the deadline's own error is the caller's
	case err == nil && isResult:
		return outcome{response: container.Response{Status: http.StatusOK, Body: bytes.Clone(result), Length: length}}
	case i.memory.refused.Load():
		i.stdout.flush()
		return outcome{err: container.ErrOutOfMemory}
	case isExit && isResult && gjson.GetBytes(result, "error").Exists():
		return outcome{response: answer(http.StatusBadGateway, bytes.Clone(result), i.stdout.limit)}
	}
	i.stdout.flush()
	return outcome{response: failure(i.explain(err), i.stdout.limit)}
}

// explain says why there is no result. What the author needs to find the fault goes
// to the logs.
func (i *instance) explain(err error) string {
	var exit *sys.ExitError
	switch {
	case err == nil:
		return "The action did not return a dictionary or array."
	case errors.As(err, &exit):
		return fmt.Sprintf("The action exited with status %d.", exit.ExitCode())
	}
	text := strings.TrimPrefix(err.Error(), "wasm error: ")
	first, rest, _ := strings.Cut(text, "\n")
	if rest != "" {
		i.container.framer.Write(actionlog.Stderr, []byte(rest+"\n"))
	}
	return fmt.Sprintf("The action was ended by a trap: %s.", first)
}

func isObjectOrArray(b []byte) bool { return len(b) > 0 && (b[0] == '{' || b[0] == '[') }
