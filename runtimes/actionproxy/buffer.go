package actionproxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
)

const (
	// maxBody bounds the body of a request: the platform's 48 MiB of code as
	// base64, and room (openwhisk-invoker.md 1.7).
	maxBody = 64 << 20
	// headroom is kept free before a body, so that a line's head can be put in
	// front of it without copying it.
	headroom = 32
	// keepBuffer is the largest buffer that is kept for the next request.
	keepBuffer  = 1 << 20
	firstBuffer = 4 << 10
)

var errTooLarge = errors.New("the request is too large")

// buffer is a byte slice that is used again. Its owner puts it back once.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, firstBuffer)} }}

func getBuffer() *buffer {
	buf := buffers.Get().(*buffer)
	buf.b = buf.b[:0]
	return buf
}

func (buf *buffer) put() {
	if cap(buf.b) <= keepBuffer {
		buffers.Put(buf)
	}
}

// grow makes room for at least n more bytes.
func (buf *buffer) grow(n int) {
	if cap(buf.b)-len(buf.b) >= n {
		return
	}
	bigger := make([]byte, len(buf.b), max(2*cap(buf.b), len(buf.b)+n))
	copy(bigger, buf.b)
	buf.b = bigger
}

// readBody returns the request's body behind headroom free bytes. Newlines have
// become spaces, which mean the same in JSON, because the body travels as a line.
func readBody(r *http.Request) (*buffer, error) {
	if r.ContentLength > maxBody {
		return nil, errTooLarge
	}
	buf := getBuffer()
	buf.b = buf.b[:headroom]
	// Room for the end of the line as well, and for the read that finds EOF.
	buf.grow(int(max(r.ContentLength, 0)) + 2)
	for {
		buf.grow(1)
		n, err := r.Body.Read(buf.b[len(buf.b):cap(buf.b)])
		buf.b = buf.b[:len(buf.b)+n]
		if err == io.EOF {
			break
		}
		if err == nil && len(buf.b) > headroom+maxBody {
			err = errTooLarge
		}
		if err != nil {
			buf.put()
			return nil, err
		}
	}
	body := buf.body()
	for {
		i := bytes.IndexByte(body, '\n')
		if i < 0 {
			return buf, nil
		}
		body[i] = ' '
		body = body[i+1:]
	}
}

// body is the content of a buffer from readBody.
func (buf *buffer) body() []byte { return buf.b[headroom:] }
