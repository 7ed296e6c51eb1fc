// Package runtimeclient speaks the runtime protocol: POST /init and POST /run to
// the HTTP server in an action container (openwhisk-invoker.md 1.1 to 1.5).
//
// It is written for this one job. The context's deadline is hard, an answer of
// unknown length is no answer, a longer answer than wanted is cut but its real
// length known, and a request that a runtime may have received is never sent
// twice. Upstream opens a connection per call because of pauses; Client keeps
// connections alive, and closes them before a pause (CloseIdle).
//
// A warm call takes about 15 µs and seven allocations, of which one is the body
// and most watch the context for cancellation: BenchmarkPost shows it.
package runtimeclient

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gowhisk/gowhisk/invoker/container"
)

const (
	// MaxIdle is how long a connection is kept for another call. Runtimes close
	// idle connections by their own clocks (Node after 5 s, others after 2 s);
	// staying well below them means that no call meets a closing connection.
	MaxIdle = time.Second

	// retryPause is the pause between attempts to connect for /init.
	retryPause = 5 * time.Millisecond

	readBuffer = 4 << 10
)

// Dial opens a connection to the runtime.
type Dial func(ctx context.Context) (net.Conn, error)

// Client calls one runtime. All methods are safe for concurrent use.
type Client struct {
	dial    Dial
	maxIdle int
	closed  chan struct{}
	// mark is sent with /init, where it is not empty.
	mark string

	mu   sync.Mutex // guards what follows; never held across I/O
	idle []*conn    // most recently used last
	busy map[*conn]struct{}
	done bool
}

// New returns a client that keeps up to concurrency connections alive.
func New(dial Dial, concurrency int) *Client {
	return &Client{
		dial:    dial,
		maxIdle: max(concurrency, 1),
		closed:  make(chan struct{}),
		busy:    make(map[*conn]struct{}),
	}
}

// MarkLogs makes /init tell the runtime to write mark behind the sentinels of its
// logs. Only runtimes of this project know what that means. It is called before
// the first Post; mark holds letters and digits only.
func (c *Client) MarkLogs(mark string) { c.mark = mark }

// conn is a connection with its buffer.
type conn struct {
	net.Conn
	reader *bufio.Reader
	// raw looks at the socket without reading; nil if it is no socket.
	raw   syscall.RawConn
	since time.Time // when it became idle
}

// Post sends body as JSON and returns the answer; container.Container.Call says
// how. Connecting to /init is tried until the deadline, to /run once.
func (c *Client) Post(ctx context.Context, path string, body []byte, maxBytes int64) (container.Response, error) {
	if err := ctx.Err(); err != nil {
		return container.Response{}, err
	}
	for {
		k, reused, err := c.connection(ctx, path == "/init")
		if err != nil {
			return container.Response{}, err
		}
		response, state, err := exchange(ctx, k, message{path: path, body: body, mark: c.markFor(path)}, maxBytes)
		if err == nil && state == reusable {
			c.release(k)
			return response, nil
		}
		c.discard(k)
		// Only an idle connection that turned out closed before it took a single
		// byte may be replaced: that request has certainly not been received.
		if err != nil && reused && state == unsent && ctx.Err() == nil {
			continue
		}
		return response, err
	}
}

// markFor is the mark that goes with a request.
func (c *Client) markFor(path string) string {
	if path == "/init" {
		return c.mark
	}
	return ""
}

// CloseIdle closes the connections that no call uses. A paused runtime may close
// them when it resumes.
func (c *Client) CloseIdle() {
	c.mu.Lock()
	idle := c.idle
	c.idle = nil
	c.mu.Unlock()
	for _, k := range idle {
		_ = k.Close() // nothing is in flight on it
	}
}

// Close ends all calls with an error and closes all connections.
func (c *Client) Close() {
	c.mu.Lock()
	first := !c.done
	c.done = true
	busy := make([]*conn, 0, len(c.busy))
	for k := range c.busy {
		busy = append(busy, k)
	}
	c.mu.Unlock()
	if first {
		close(c.closed)
	}
	for _, k := range busy {
		_ = k.Close() // its call returns the error
	}
	c.CloseIdle()
}

// connection returns an idle connection that is still open, or a new one.
func (c *Client) connection(ctx context.Context, retry bool) (k *conn, reused bool, err error) {
	for {
		k := c.takeIdle()
		if k == nil {
			break
		}
		if time.Since(k.since) < MaxIdle && k.isOpen() {
			return k, true, nil
		}
		c.discard(k)
	}
	for {
		n, err := c.dial(ctx)
		if err == nil {
			k = newConn(n)
			if !c.track(k) {
				_ = n.Close() // closed meanwhile, nothing was sent
				return nil, false, container.ErrNotListening
			}
			return k, false, nil
		}
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, false, context.DeadlineExceeded
		}
		if !retry || !c.pause(ctx) {
			if ctx.Err() != nil {
				return nil, false, ctx.Err()
			}
			return nil, false, fmt.Errorf("%w: %w", container.ErrNotListening, err)
		}
	}
}

// pause waits before the next attempt and reports whether to make one.
func (c *Client) pause(ctx context.Context) bool {
	timer := time.NewTimer(retryPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-c.closed:
	}
	return false
}

func (c *Client) takeIdle() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.idle)
	if n == 0 || c.done {
		return nil
	}
	k := c.idle[n-1]
	c.idle[n-1] = nil
	c.idle = c.idle[:n-1]
	c.busy[k] = struct{}{}
	return k
}

// track notes a connection as in use; it reports false after Close.
func (c *Client) track(k *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return false
	}
	c.busy[k] = struct{}{}
	return true
}

// release keeps a connection for the next call.
func (c *Client) release(k *conn) {
	k.since = time.Now()
	c.mu.Lock()
	delete(c.busy, k)
	keep := !c.done && len(c.idle) < c.maxIdle
	if keep {
		c.idle = append(c.idle, k)
	}
	c.mu.Unlock()
	if !keep {
		_ = k.Close() // nothing is in flight on it
	}
}

// discard closes a connection that cannot be used again.
func (c *Client) discard(k *conn) {
	c.mu.Lock()
	delete(c.busy, k)
	c.mu.Unlock()
	_ = k.Close() // whatever failed on it was reported
}

func newConn(n net.Conn) *conn {
	k := &conn{Conn: n, reader: bufio.NewReaderSize(n, readBuffer)}
	if s, ok := n.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			k.raw = raw
		}
	}
	return k
}
