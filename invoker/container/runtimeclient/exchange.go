package runtimeclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/runtimes"
)

// state says what became of a connection.
type state int

const (
	broken   state = iota // the request may have been received
	unsent                // no byte of the request was taken
	reusable              // the answer was read to its end
)

// smallBody is the largest body that is copied behind its header, so that one
// write sends both.
const smallBody = 16 << 10

// requests holds buffers for request headers and small bodies.
var requests = sync.Pool{New: func() any { b := make([]byte, 0, smallBody+512); return &b }}

// message is one request to a runtime.
type message struct {
	path string
	body []byte
	mark string // see Client.MarkLogs
}

// exchange sends a request and reads its answer.
func exchange(ctx context.Context, k *conn, m message, maxBytes int64) (container.Response, state, error) {
	deadline, _ := ctx.Deadline() // the zero time means none
	if err := k.SetDeadline(deadline); err != nil {
		return container.Response{}, unsent, failure(ctx, err)
	}
	stop := cancelWith(ctx, k)
	response, state, err := roundTrip(k, m, maxBytes)
	if !stop() && state == reusable {
		state = broken // the cancellation may set a deadline at any time
	}
	if err != nil {
		err = failure(ctx, err)
	}
	return response, state, err
}

// cancelWith interrupts the connection when ctx is cancelled before its
// deadline, which the connection has itself. The returned function ends that; it
// reports false if the interruption has begun.
func cancelWith(ctx context.Context, k *conn) func() bool {
	if ctx.Done() == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(ctx, func() {
		_ = k.SetDeadline(time.Unix(1, 0)) // fails on a closed connection only
	})
}

// failure turns an error of the connection into what Call promises.
func failure(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return context.DeadlineExceeded // the socket's clock was first
	case errors.Is(err, container.ErrNoResponse):
		return err
	}
	return fmt.Errorf("%w: %w", container.ErrNoResponse, err)
}

func roundTrip(k *conn, m message, maxBytes int64) (container.Response, state, error) {
	if state, err := send(k, m); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return container.Response{}, state, err
		}
		// A runtime may answer and close without reading all of a large body.
		response, _, readErr := receive(k, maxBytes)
		if readErr != nil {
			return container.Response{}, state, err
		}
		return response, broken, nil
	}
	return receive(k, maxBytes)
}

// send writes the request.
func send(k *conn, m message) (state, error) {
	buffer := requests.Get().(*[]byte)
	defer requests.Put(buffer)
	b := appendHead((*buffer)[:0], m)
	var n int64
	var err error
	if len(m.body) <= smallBody {
		b = append(b, m.body...)
		var written int
		written, err = k.Write(b)
		n = int64(written)
	} else {
		parts := net.Buffers{b, m.body}
		n, err = parts.WriteTo(k.Conn)
	}
	*buffer = b[:0]
	if err != nil && n == 0 {
		return unsent, err
	}
	return broken, err
}

func appendHead(b []byte, m message) []byte {
	b = append(b, "POST "...)
	b = append(b, m.path...)
	b = append(b, " HTTP/1.1\r\nHost: action\r\nContent-Type: application/json\r\nAccept: application/json\r\n"...)
	if m.mark != "" {
		b = append(b, runtimes.LogMarkHeader+": "...)
		b = append(b, m.mark...)
		b = append(b, "\r\n"...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(m.body)), 10)
	return append(b, "\r\n\r\n"...)
}

// receive reads the answer.
func receive(k *conn, maxBytes int64) (container.Response, state, error) {
	head, err := readHead(k.reader)
	if err != nil {
		return container.Response{}, broken, err
	}
	response := container.Response{Status: head.status, Length: head.length, Quiet: head.quiet}
	response.Body = make([]byte, min(head.length, max(maxBytes, 0)))
	if _, err := io.ReadFull(k.reader, response.Body); err != nil {
		return container.Response{}, broken, err
	}
	if !head.keepAlive || int64(len(response.Body)) < head.length {
		return response, broken, nil
	}
	return response, reusable, nil
}
