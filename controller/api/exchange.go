package api

import (
	"bytes"
	"context"
	"io"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Exchange is one request and its answer on their way through the front door.
// Handlers get it from the API or, in other packages, from ExchangeOf. It must not
// be kept beyond the request.
type Exchange struct {
	// Transid is the request's id with the time of its receipt.
	Transid bus.Transid
	// Identity is who the request acts for, nil before authentication.
	Identity *entity.Identity

	gin *gin.Context
	// pretty: errors are written with line breaks.
	pretty bool
	keys   map[any]any // finds the exchange; made once, with it
	at     address
}

// exchangeKey is where a gin.Context holds its exchange.
type exchangeKey struct{}

// exchanges spares requests the allocation; an exchange is reset on its way out.
var exchanges = sync.Pool{New: func() any {
	x := new(Exchange)
	x.keys = map[any]any{exchangeKey{}: x}
	return x
}}

// ExchangeOf returns the exchange of a request that came through FrontDoor.
func ExchangeOf(c *gin.Context) *Exchange {
	x, _ := c.Keys[exchangeKey{}].(*Exchange)
	return x
}

// Request is the HTTP request. Its body is read through ReadBody.
func (x *Exchange) Request() *http.Request { return x.gin.Request }

// Header is that of the answer.
func (x *Exchange) Header() http.Header { return x.gin.Writer.Header() }

// Writer writes the answer.
func (x *Exchange) Writer() http.ResponseWriter { return x.gin.Writer }

// Context ends when the client goes away or the request has taken too long.
func (x *Exchange) Context() context.Context { return x.gin.Request.Context() }

func (x *Exchange) query() query { return query(x.gin.Request.URL.RawQuery) }

// Shared header values: net/http does not change them.
var (
	headerJSON  = []string{"application/json"}
	headerText  = []string{"text/plain; charset=UTF-8"}
	headerRealm = []string{`Basic realm="OpenWhisk secure realm",charset=UTF-8`}
)

// buffers are for answers. Big ones are left to the collector.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

const maxPooledBuffer = 64 << 10

// write answers with the JSON that build appends to a pooled buffer. Where the
// client does not accept JSON a success becomes a 406.
func (x *Exchange) write(status int, build func(dst []byte) []byte) error {
	if status < http.StatusBadRequest {
		if err := x.negotiate(); err != nil {
			return err
		}
	}
	b := buffers.Get().(*[]byte)
	body := build((*b)[:0])
	x.WriteJSON(status, body)
	if cap(body) <= maxPooledBuffer {
		*b = body[:0]
		buffers.Put(b)
	}
	return nil
}

// WriteJSON answers with a JSON body as it is.
func (x *Exchange) WriteJSON(status int, body []byte) {
	h := x.gin.Writer.Header()
	h["Content-Type"] = headerJSON
	if len(body) > 2048 { // net/http counts shorter ones itself
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	x.gin.Writer.WriteHeader(status)
	_, _ = x.gin.Writer.Write(body) // the client may have gone; nobody is left to tell
}

// maxReservedBody is how much memory a client gets before it has sent anything.
const maxReservedBody = 64 << 10

// bodyTimeout bounds how long a client may take to send its body.
const bodyTimeout = 30 * time.Second

// boundBody bounds the time for a body, whether a handler reads it or net/http, which
// reads what handlers leave before it sends the answer. Not every writer has
// deadlines (tests); without one a slow body lasts longer.
func (x *Exchange) boundBody() {
	if x.Request().ContentLength != 0 {
		_ = http.NewResponseController(x.gin.Writer).SetReadDeadline(time.Now().Add(bodyTimeout))
	}
}

// body reads the request's body if it is JSON by its content type, at most limit
// bytes. Nothing at all is nil.
func (x *Exchange) body(limit int64, tooLarge func(size int64) error) ([]byte, error) {
	r := x.Request()
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if err := checkContentType(r.Header.Get("Content-Type")); err != nil {
		return nil, err
	}
	return x.ReadBody(limit, tooLarge)
}

// ReadBody reads the request's body, whatever it is, at most limit bytes and for
// no longer than a slow but honest client needs. Nothing at all is nil.
func (x *Exchange) ReadBody(limit int64, tooLarge func(size int64) error) ([]byte, error) {
	body, err := x.readBody(limit, tooLarge)
	if err == nil && x.Request().ContentLength != 0 {
		// What is read from now on is the end of the connection, or the next request.
		_ = http.NewResponseController(x.gin.Writer).SetReadDeadline(time.Time{})
	}
	return body, err
}

func (x *Exchange) readBody(limit int64, tooLarge func(size int64) error) ([]byte, error) {
	r := x.Request()
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, tooLarge(r.ContentLength)
	}
	if r.ContentLength > 0 && r.ContentLength <= maxReservedBody {
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, errBadRequest
		}
		return body, nil
	}
	return readGrowing(r.Body, limit, tooLarge)
}

// readGrowing reads a body that is long or does not say how long it is.
func readGrowing(from io.Reader, limit int64, tooLarge func(size int64) error) ([]byte, error) {
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(from, limit+1))
	if err != nil {
		return nil, errBadRequest
	}
	if n > limit {
		return nil, tooLarge(n)
	}
	return b.Bytes(), nil
}

func checkContentType(header string) error {
	if header == "application/json" {
		return nil
	}
	if header == "" {
		return badContentType("application/octet-stream") // RFC 9110 8.3: what nobody named
	}
	if media, _, err := mime.ParseMediaType(header); err == nil && media == "application/json" {
		return nil
	}
	return badContentType(header)
}

// drain reads and forgets what is left of a body, at most limit bytes.
func (x *Exchange) drain(limit int64) {
	r := x.Request()
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, limit) // a client that stops sending may do so
}
