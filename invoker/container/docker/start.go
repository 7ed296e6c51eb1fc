package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	engine "github.com/docker/docker/api/types/container"
	"github.com/gowhisk/gowhisk/invoker/container"
	"go.uber.org/zap"
)

// start creates and starts the container and returns when its runtime listens.
// Whatever fails, the caller destroys it.
func (c *Container) start(ctx context.Context) error {
	n := c.factory.currentNetwork()
	if err := c.create(ctx, n); err != nil {
		return err
	}
	if err := c.launch(ctx); err != nil {
		return err
	}
	if err := c.look(ctx, n); err != nil {
		return err
	}
	return c.awaitRuntime(ctx, n)
}

// launch starts what was created.
func (c *Container) launch(ctx context.Context) error {
	id := c.engineID()
	if err := c.factory.api.ContainerStart(ctx, id, engine.StartOptions{}); err != nil {
		return c.userError(err)
	}
	if c.factory.config.hasReadableLogs() {
		c.followLogs(id)
	}
	return nil
}

// create makes the engine create the container. A name that another container
// has, perhaps of another server on the same engine, is made different: the
// labels tell whose is whose. The engine does not stop a creation when its client
// goes; so that what it makes is known and can be removed, its answer is waited for.
func (c *Container) create(ctx context.Context, n network) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.factory.config.StartTimeout)
	defer cancel()
	config, host := c.engineConfig(n)
	name := c.spec.Name
	created, err := c.factory.api.ContainerCreate(ctx, config, host, nil, nil, name)
	if cerrdefs.IsConflict(err) {
		name += "_" + strings.ToLower(c.key[:8])
		created, err = c.factory.api.ContainerCreate(ctx, config, host, nil, nil, name)
	}
	if err != nil {
		return c.userError(err)
	}
	c.mu.Lock()
	c.id = created.ID
	c.mu.Unlock()
	c.factory.warnOnce(created.Warnings)
	return nil
}

// userError turns what is the image's fault into what the user of a blackbox
// action is told (openwhisk-invoker.md 4.1).
func (c *Container) userError(err error) error {
	if c.isBlackbox() && isMissingExecutable(err) {
		return &container.StartError{Text: fmt.Sprintf("executable file not found in image %s", c.spec.Image), Err: err}
	}
	return explain(err)
}

func (c *Container) isBlackbox() bool { return c.spec.Kind == blackbox }

// errEnded: the container ended before its runtime listened.
var errEnded = errors.New("the container ended before it was ready")

// look finds out where the container is.
func (c *Container) look(ctx context.Context, n network) error {
	state, err := c.factory.api.ContainerInspect(ctx, c.engineID())
	if err != nil {
		return explain(err)
	}
	if !state.State.Running {
		return c.endedEarly(ctx)
	}
	c.memory.open(state.State.Pid, state.ID)
	address, err := n.address(state)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.address = address
	c.mu.Unlock()
	return nil
}

const (
	// dialPause is the pause between attempts to reach a runtime.
	dialPause = 3 * time.Millisecond
	// stateInterval is how often it is asked whether the container still runs,
	// should the engine's event get lost.
	stateInterval = time.Second
	// blackboxPatience is how long a user's own image is waited for. Whether it
	// listens later is then a matter of /init, as is its time limit.
	blackboxPatience = 10 * time.Second
)

// awaitRuntime waits until the runtime accepts connections.
func (c *Container) awaitRuntime(ctx context.Context, n network) error {
	began, asked := time.Now(), time.Now()
	for !c.accepts(ctx, n) {
		if time.Since(asked) > stateInterval {
			asked = time.Now()
			if isRunning, err := c.factory.isRunning(ctx, c.engineID()); err == nil && !isRunning {
				return c.endedEarly(ctx)
			}
		}
		if c.isBlackbox() && time.Since(began) > blackboxPatience {
			return nil
		}
		timer := time.NewTimer(dialPause)
		select {
		case <-timer.C:
		case <-c.exited:
			timer.Stop()
			return c.endedEarly(ctx)
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wait for the runtime to listen: %w", ctx.Err())
		}
	}
	return nil
}

// publishedSilence is how long a published port must hold a connection: the
// engine accepts for the container and hangs up when nobody listens there.
const publishedSilence = 20 * time.Millisecond

// accepts tries to connect.
func (c *Container) accepts(ctx context.Context, n network) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := c.dial(ctx)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }() // nothing was sent
	if n.isDirect {
		return true
	}
	_ = conn.SetReadDeadline(time.Now().Add(publishedSilence)) // fails with the read
	_, err = conn.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// isRunning asks the engine.
func (f *Factory) isRunning(ctx context.Context, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	state, err := f.api.ContainerInspect(ctx, id)
	if isGone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return state.State.Running, nil
}

// failedStartLogs is how much of a failed start's output is reported.
var failedStartLogs = container.LogQuery{Limit: 1}

// textEndedEarly is what the user of a blackbox image is told whose container
// ended at once (openwhisk-invoker.md 1.3).
const textEndedEarly = "The action did not initialize and exited unexpectedly."

// endedEarly reports a container that ended, with what it printed.
func (c *Container) endedEarly(ctx context.Context) error {
	c.ended()
	err := errEnded
	if c.logs != nil {
		select { // the rest of its output
		case <-c.logs:
		case <-time.After(logGrace):
		case <-ctx.Done():
		}
		if lines := c.framer.Collect(ctx, failedStartLogs).Lines; len(lines) > 0 {
			err = fmt.Errorf("%w: %s", err, strings.Join(lines, "; "))
		}
	}
	if c.isBlackbox() {
		return &container.StartError{Text: textEndedEarly, Err: err}
	}
	return err
}

// warnOnce logs the engine's warnings, each once.
func (f *Factory) warnOnce(warnings []string) {
	for _, w := range warnings {
		if _, again := f.warned.LoadOrStore(w, nil); !again {
			f.log.Warn("the Docker engine warns", zap.String("warning", w))
		}
	}
}

// address is where the runtime of a running container listens.
func (n network) address(state engine.InspectResponse) (netip.AddrPort, error) {
	if !n.isDirect {
		port, err := publishedPort(state.NetworkSettings.Ports)
		return netip.AddrPortFrom(netip.MustParseAddr(loopback), port), err
	}
	for _, e := range state.NetworkSettings.Networks {
		if a, err := netip.ParseAddr(e.IPAddress); err == nil && e.NetworkID == n.id {
			return netip.AddrPortFrom(a, 8080), nil
		}
	}
	return netip.AddrPort{}, net.UnknownNetworkError("the container has no address on the network " + n.name)
}
