package docker

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/container/actionlog"
	"github.com/gowhisk/gowhisk/invoker/container/runtimeclient"
)

// Container is a container of the engine; see container.Container.
type Container struct {
	factory *Factory
	spec    container.Spec
	image   *image
	key     string // its label, and unlike its name only its own
	framer  *actionlog.Framer
	client  *runtimeclient.Client
	memory  memoryEvents

	// ctx ends when the container is to be destroyed; logs is closed when nobody
	// reads them any more, or nil when nobody ever did.
	ctx    context.Context
	cancel context.CancelFunc
	logs   chan struct{}

	exited chan struct{} // closed when the container has ended

	mu        sync.Mutex // guards what follows; never held across I/O
	id        string     // the engine's, "" before it has one
	address   netip.AddrPort
	isDead    bool // exited is closed
	isPaused  bool // perhaps
	destroyed bool

	destroying sync.Mutex // one Destroy at a time; taken before mu
	gone       bool       // the engine has it no more; guarded by destroying
}

var _ container.Container = (*Container)(nil)

// newContainer returns a container that the engine does not know yet. It counts
// as the factory's until it is destroyed.
func (f *Factory) newContainer(spec container.Spec, i *image) *Container {
	c := &Container{
		factory: f, spec: spec, image: i, key: rand.Text(), exited: make(chan struct{}),
	}
	c.memory.arrived = make(chan struct{})
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.client = runtimeclient.New(c.dial, spec.Concurrency)
	mark := ""
	if i.knowsMark {
		mark = rand.Text()
		c.client.MarkLogs(mark)
	}
	c.framer = actionlog.New(f.config.MaxLogs.Bytes(), mark)
	c.framer.SetGrace(logGrace)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.containers[c.key] = c
	return c
}

// ID implements container.Container.
func (c *Container) ID() string { return c.spec.Name }

func (c *Container) dial(ctx context.Context) (net.Conn, error) {
	c.mu.Lock()
	address, isOver := c.address, c.isDead || c.destroyed
	c.mu.Unlock()
	if isOver {
		return nil, net.ErrClosed
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address.String())
}

// Call implements container.Container.
func (c *Container) Call(ctx context.Context, path string, body []byte, maxBytes int64) (container.Response, error) {
	if path == "/run" && c.spec.Concurrency <= 1 {
		c.framer.Begin()
	}
	response, err := c.client.Post(ctx, path, body, maxBytes)
	if c.image.knowsMark {
		c.endQuiet(response.Quiet)
	}
	if err == nil && response.Status == http.StatusOK {
		return response, nil
	}
	// The kernel may have killed the runtime, or the interpreter below a proxy
	// that lives to say so.
	if ctx.Err() == nil && c.ranOutOfMemory(ctx, err != nil) {
		c.factory.metrics.memory.Inc()
		return container.Response{}, container.ErrOutOfMemory
	}
	return response, err
}

// endQuiet ends the logs of streams on which nothing was printed.
func (c *Container) endQuiet(quiet [2]bool) {
	for _, stream := range []actionlog.Stream{actionlog.Stdout, actionlog.Stderr} {
		if quiet[stream] {
			c.framer.EndQuiet(stream)
		}
	}
}

// Logs implements container.Container.
func (c *Container) Logs(ctx context.Context, q container.LogQuery) container.Logs {
	if c.factory.config.hasReadableLogs() {
		return c.framer.Collect(ctx, q)
	}
	if q.Limit <= 0 {
		return container.Logs{}
	}
	return container.Logs{Lines: []string{unavailableLogs}, Unavailable: true}
}

// unavailableLogs is all that is known of logs that the engine sends elsewhere
// (openwhisk-invoker.md 3.6).
const unavailableLogs = "Logs are not available."

// Pause implements container.Container.
func (c *Container) Pause(ctx context.Context) error {
	// The runtime's clock jumps when it resumes, and may close what was idle.
	c.client.CloseIdle()
	c.setPaused(true)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.factory.api.ContainerPause(ctx, c.engineID()); err != nil {
		return fmt.Errorf("pause container %s: %w", c.ID(), explain(err))
	}
	return nil
}

// Resume implements container.Container. A container that runs is left alone.
func (c *Container) Resume(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.factory.unpause(ctx, c.engineID()); err != nil {
		return fmt.Errorf("resume container %s: %w", c.ID(), explain(err))
	}
	c.setPaused(false)
	return nil
}

func (c *Container) setPaused(is bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isPaused = is
}

func (c *Container) engineID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

// ended says that the container's processes are gone: calls fail at once.
func (c *Container) ended() {
	c.mu.Lock()
	first := !c.isDead
	c.isDead = true
	c.mu.Unlock()
	if first {
		close(c.exited)
		c.client.Close()
	}
}
