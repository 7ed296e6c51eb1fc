package runtimeclient

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// runtime serves raw connections on a Unix socket, each by a call of handle.
type runtime struct {
	path     string
	accepted atomic.Int32
}

func serve(t *testing.T, handle func(net.Conn, *bufio.Reader)) *runtime {
	t.Helper()
	r := &runtime{path: filepath.Join(t.TempDir(), "s")}
	listener, err := net.Listen("unix", r.path)
	require.NoError(t, err)
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			r.accepted.Add(1)
			open.Go(func() {
				defer func() { _ = c.Close() }()
				handle(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); open.Wait() })
	return r
}

func (r *runtime) client(t *testing.T, concurrency int) *Client {
	c := New(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", r.path)
	}, concurrency)
	t.Cleanup(c.Close)
	return c
}

// request reads one request and returns its body.
func request(r *bufio.Reader) (string, bool) {
	q, err := http.ReadRequest(r)
	if err != nil {
		return "", false
	}
	body, err := io.ReadAll(q.Body)
	return string(body), err == nil
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// answers serves every request with the given bytes.
func answers(answer string) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, r *bufio.Reader) {
		for {
			if _, ok := request(r); !ok {
				return
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	}
}

func TestAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		want   container.Response
		err    error
	}{
		"complete":                {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", container.Response{Status: 200, Body: []byte("{}"), Length: 2}, nil},
		"other status":            {"HTTP/1.1 502 \r\ncontent-length:1\r\n\r\nx", container.Response{Status: 502, Body: []byte("x"), Length: 1}, nil},
		"bare newlines":           {"HTTP/1.0 200 OK\nContent-Length: 1\n\n1", container.Response{Status: 200, Body: []byte("1"), Length: 1}, nil},
		"after a 100":             {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", container.Response{Status: 200, Body: []byte{}}, nil},
		"longer than wanted":      {"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n0123456789ab", container.Response{Status: 200, Body: []byte("0123456789"), Length: 12}, nil},
		"chunked":                 {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", container.Response{}, container.ErrNoResponse},
		"unknown length":          {"HTTP/1.1 200 OK\r\n\r\n{}", container.Response{}, container.ErrNoResponse},
		"no content":              {"HTTP/1.1 204 No Content\r\n\r\n", container.Response{}, container.ErrNoResponse},
		"two lengths":             {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", container.Response{}, container.ErrNoResponse},
		"negative length":         {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}", container.Response{}, container.ErrNoResponse},
		"garbage":                 {"\x00\xff garbage\n\n", container.Response{}, container.ErrNoResponse},
		"endless header":          {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20), container.Response{}, container.ErrNoResponse},
		"shorter than it claimed": {"", container.Response{}, container.ErrNoResponse},
	} {
		t.Run(name, func(t *testing.T) {
			r := serve(t, func(c net.Conn, r *bufio.Reader) {
				if _, ok := request(r); ok {
					if test.answer == "" {
						test.answer = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"
					}
					_, _ = io.WriteString(c, test.answer)
				}
			})
			got, err := r.client(t, 1).Post(within(t, time.Minute), "/run", []byte(`{}`), 10)
			assert.Equal(t, test.want, got)
			assert.ErrorIs(t, err, test.err)
		})
	}
}

func TestRequestsArriveAsSent(t *testing.T) {
	for _, size := range []int{0, 1, smallBody, smallBody + 1, 5 << 20} {
		received := make(chan *http.Request, 1)
		bodies := make(chan []byte, 1)
		r := serve(t, func(c net.Conn, r *bufio.Reader) {
			q, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			body, _ := io.ReadAll(q.Body)
			received <- q
			bodies <- body
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		})
		body := bytes.Repeat([]byte("b"), size)
		_, err := r.client(t, 1).Post(within(t, time.Minute), "/init", body, 10)
		require.NoError(t, err)
		q := <-received
		assert.Equal(t, "POST /init", q.Method+" "+q.URL.Path)
		assert.Equal(t, "application/json", q.Header.Get("Content-Type"))
		assert.True(t, bytes.Equal(body, <-bodies))
	}
}

func TestConnectionsAreReused(t *testing.T) {
	r := serve(t, answers("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
	c := r.client(t, 1)
	for range 10 {
		_, err := c.Post(within(t, time.Minute), "/run", nil, 10)
		require.NoError(t, err)
	}
	assert.EqualValues(t, 1, r.accepted.Load())
	c.CloseIdle()
	_, err := c.Post(within(t, time.Minute), "/run", nil, 10)
	require.NoError(t, err)
	assert.EqualValues(t, 2, r.accepted.Load())
}

func TestAConnectionThatTheRuntimeClosedWhileIdleFailsNoCall(t *testing.T) {
	closed := make(chan struct{})
	r := serve(t, func(c net.Conn, r *bufio.Reader) {
		if _, ok := request(r); ok {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		}
		_ = c.Close()
		closed <- struct{}{}
	})
	c := r.client(t, 1)
	for range 20 {
		response, err := c.Post(within(t, time.Minute), "/run", nil, 10)
		require.NoError(t, err)
		assert.Equal(t, 200, response.Status)
		<-closed
	}
}

func TestARunThatMayHaveBeenReceivedIsNotSentTwice(t *testing.T) {
	var runs atomic.Int32
	r := serve(t, func(c net.Conn, r *bufio.Reader) {
		for first := true; ; first = false {
			if _, ok := request(r); !ok {
				return
			}
			if runs.Add(1); !first {
				return // received, and no answer
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
		}
	})
	c := r.client(t, 1)
	_, err := c.Post(within(t, time.Minute), "/run", nil, 10)
	require.NoError(t, err)
	_, err = c.Post(within(t, time.Minute), "/run", nil, 10)
	require.ErrorIs(t, err, container.ErrNoResponse)
	assert.EqualValues(t, 2, runs.Load())
}

func TestDeadlineIsHard(t *testing.T) {
	t.Run("while bytes dribble", func(t *testing.T) {
		stop := make(chan struct{})
		t.Cleanup(func() { close(stop) })
		r := serve(t, func(c net.Conn, r *bufio.Reader) {
			if _, ok := request(r); !ok {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
					if _, err := c.Write([]byte("x")); err != nil {
						return
					}
				case <-stop:
					return
				}
			}
		})
		_, err := r.client(t, 1).Post(within(t, 50*time.Millisecond), "/run", nil, 1<<20)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	t.Run("when cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		r := serve(t, func(c net.Conn, r *bufio.Reader) {
			if _, ok := request(r); ok {
				cancel()
				_, _ = r.ReadByte() // until the client gives up
			}
		})
		_, err := r.client(t, 1).Post(ctx, "/run", nil, 1<<20)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("while nobody reads the request", func(t *testing.T) {
		release := make(chan struct{})
		r := serve(t, func(net.Conn, *bufio.Reader) { <-release })
		defer close(release)
		_, err := r.client(t, 1).Post(within(t, 50*time.Millisecond), "/run", make([]byte, 32<<20), 1<<20)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestNotListening(t *testing.T) {
	missing := &runtime{path: filepath.Join(t.TempDir(), "none")}
	_, err := missing.client(t, 1).Post(within(t, time.Minute), "/run", nil, 10)
	require.ErrorIs(t, err, container.ErrNotListening)
	_, err = missing.client(t, 1).Post(within(t, 50*time.Millisecond), "/init", nil, 10)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestInitWaitsForTheRuntimeToListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "late")
	attempts := make(chan struct{}, 1)
	c := New(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		n, err := d.DialContext(ctx, "unix", path)
		select {
		case attempts <- struct{}{}:
		default:
		}
		return n, err
	}, 1)
	defer c.Close()
	go func() {
		<-attempts
		listener, err := net.Listen("unix", path)
		if err != nil {
			return
		}
		defer func() { _ = listener.Close() }()
		if n, err := listener.Accept(); err == nil {
			request(bufio.NewReader(n))
			_, _ = io.WriteString(n, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
			_ = n.Close()
		}
	}()
	response, err := c.Post(within(t, time.Minute), "/init", nil, 10)
	require.NoError(t, err)
	assert.Equal(t, 200, response.Status)
}

func TestCloseEndsCallsUnderWay(t *testing.T) {
	started := make(chan struct{})
	r := serve(t, func(c net.Conn, r *bufio.Reader) {
		if _, ok := request(r); ok {
			close(started)
			_, _ = r.ReadByte()
		}
	})
	c := r.client(t, 1)
	go func() { <-started; c.Close() }()
	_, err := c.Post(within(t, time.Minute), "/run", nil, 10)
	require.ErrorIs(t, err, container.ErrNoResponse)
	_, err = c.Post(within(t, time.Minute), "/run", nil, 10)
	require.ErrorIs(t, err, container.ErrNotListening)
}

// FuzzReadHead: whatever a runtime sends is understood or refused.
func FuzzReadHead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 503 x\nContent-Length: 0\n\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		h, err := readHead(bufio.NewReaderSize(bytes.NewReader(answer), readBuffer))
		if err == nil && (h.length < 0 || h.status < 200 || h.status > 999) {
			t.Fatalf("%q was taken for %+v", answer, h)
		}
	})
}

func BenchmarkPost(b *testing.B) {
	path := filepath.Join(b.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	require.NoError(b, err)
	defer func() { _ = listener.Close() }()
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{\"hello\":\"world\"}")
	go func() {
		for {
			n, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				buffer := make([]byte, 4096)
				for {
					if _, err := n.Read(buffer); err != nil {
						return
					}
					if _, err := n.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	c := New(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}, 1)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	body := fmt.Appendf(nil, `{"value":{"name":%q}}`, "Ada")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Post(ctx, "/run", body, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
