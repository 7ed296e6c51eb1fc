package wasm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/tidwall/gjson"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/container/actionlog"
)

// Container is a module that was loaded for an action, and its instances; see
// container.Container.
type Container struct {
	factory *Factory
	spec    container.Spec
	mark    string // follows the sentinels in its logs; secret from its actions
	framer  *actionlog.Framer
	room    *room
	// life ends when the container is destroyed, and with it all instances.
	life context.Context
	end  context.CancelFunc
	// under counts calls, and instances that were given up.
	under sync.WaitGroup

	mu      sync.Mutex    // guards what follows
	action  *action       // nil until it is initialised
	volume  *volume       // what action is of
	resumed chan struct{} // closed by Resume; nil unless paused
	ended   bool          // takes no more calls

	destroying sync.Mutex // one Destroy at a time; taken before mu
	gone       bool       // nothing is left; guarded by destroying
}

// action is what an activation runs.
type action struct {
	program *program
	entry   []string // functions
	env     []string // what the container and /init say
}

var _ container.Container = (*Container)(nil)

func newContainer(f *Factory, spec container.Spec) *Container {
	c := &Container{factory: f, spec: spec, mark: rand.Text(), room: &room{limit: spec.Memory.Bytes()}}
	c.framer = actionlog.New(f.config.MaxLogs.Bytes(), c.mark)
	c.life, c.end = context.WithCancel(context.Background())
	return c
}

// ID implements container.Container.
func (c *Container) ID() string { return c.spec.Name }

// begin counts a call, which c.under.Done ends, when the container is not paused.
func (c *Container) begin(ctx context.Context) error {
	for {
		c.mu.Lock()
		resumed := c.resumed
		if c.ended {
			c.mu.Unlock()
			return container.ErrNotListening
		}
		if resumed == nil {
			c.under.Add(1)
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
		select {
		case <-resumed:
		case <-c.life.Done():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Call implements container.Container.
func (c *Container) Call(ctx context.Context, path string, body []byte, maxBytes int64) (container.Response, error) {
	if err := ctx.Err(); err != nil {
		return container.Response{}, err
	}
	if err := c.begin(ctx); err != nil {
		return container.Response{}, err
	}
	if path == "/init" {
		defer c.under.Done()
		return c.initialise(ctx, body, maxBytes)
	}
	return c.run(ctx, body, maxBytes)
}

// initialise loads the module.
func (c *Container) initialise(ctx context.Context, body []byte, maxBytes int64) (container.Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	err := c.load(ctx, body)
	switch {
	case c.life.Err() != nil:
		return container.Response{}, container.ErrNoResponse
	case ctx.Err() != nil:
		return container.Response{}, ctx.Err()
	case err != nil:
		var refused refusal
		if !errors.As(err, &refused) {
			c.factory.config.Log.Warn("loading a WebAssembly module failed", zap.String("container", c.ID()), zap.Error(err))
			refused = "Initialization has failed due to: the server could not load the module"
		}
		c.endLogs()
		return failure(string(refused), maxBytes), nil
	}
	return answer(http.StatusOK, []byte(`{"ok":true}`), maxBytes), nil
}

// load sets the action. Its errors are a refusal, unless the machine is at fault.
func (c *Container) load(ctx context.Context, body []byte) error {
	c.mu.Lock()
	loaded := c.action != nil
	c.mu.Unlock()
	if loaded {
		return errInitialised
	}
	u, err := parseUpload(body)
	if err != nil {
		return err
	}
	v, err := c.factory.library.borrow(ctx, u.binary)
	var bad badModule
	switch {
	case errors.As(err, &bad):
		return cannotLoad(bad)
	case err != nil:
		return err
	}
	a := &action{program: v.program, env: append(c.spec.Env[:len(c.spec.Env):len(c.spec.Env)], u.env...)}
	if a.entry, err = v.program.entry(u.main); err == nil && v.program.memory > c.spec.Memory.Bytes() {
		err = badf("needs %d MB of memory from the start, more than the action's limit of %d MB", v.program.memory>>20, c.spec.Memory)
	}
	if err != nil {
		c.factory.library.giveBack(v)
		return cannotLoad(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.action, c.volume = a, v
	return nil
}

// run runs an instance, and returns without it when the context ends.
func (c *Container) run(ctx context.Context, body []byte, maxBytes int64) (container.Response, error) {
	c.mu.Lock()
	a := c.action
	c.mu.Unlock()
	value := gjson.ParseBytes(body)
	if a == nil || !gjson.ValidBytes(body) {
		defer c.under.Done()
		if a == nil {
			return failure(string(errNotInitialised), maxBytes), nil
		}
		return failure(string(errNotJSON), maxBytes), nil
	}
	if c.spec.Concurrency <= 1 {
		c.framer.Begin()
	}
	i := newInstance(c, a, value, maxBytes)
	done := make(chan outcome, 1)
	go func() {
		defer c.under.Done()
		running, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(c.life, cancel)()
		done <- i.run(running)
	}()
	select {
	case o := <-done:
		if err := ctx.Err(); err != nil {
			return container.Response{}, err
		}
		return o.response, o.err
	case <-ctx.Done():
		return container.Response{}, ctx.Err()
	}
}

// endLogs marks the end of an activation's output.
func (c *Container) endLogs() {
	sentinel := []byte(actionlog.Sentinel + c.mark + "\n")
	c.framer.Write(actionlog.Stdout, sentinel)
	c.framer.Write(actionlog.Stderr, sentinel)
}

// Logs implements container.Container.
func (c *Container) Logs(ctx context.Context, q container.LogQuery) container.Logs {
	return c.framer.Collect(ctx, q)
}

// Pause implements container.Container. Between activations there is nothing that
// could run, so all there is to do is to let none begin.
func (c *Container) Pause(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resumed == nil {
		c.resumed = make(chan struct{})
	}
	return nil
}

// Resume implements container.Container.
func (c *Container) Resume(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resumed != nil {
		close(c.resumed)
		c.resumed = nil
	}
	return nil
}

// Destroy implements container.Container. It may be repeated after an error.
func (c *Container) Destroy(ctx context.Context) error {
	c.destroying.Lock()
	defer c.destroying.Unlock()
	if c.gone {
		return nil
	}
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.end()
	ended := make(chan struct{})
	go func() {
		c.under.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		return fmt.Errorf("destroy container %s: wait for its instances to end: %w", c.ID(), ctx.Err())
	}
	if c.volume != nil { // nobody else is left
		c.factory.library.giveBack(c.volume)
	}
	c.gone = true
	c.factory.forget(c)
	return nil
}
