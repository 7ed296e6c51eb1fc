package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// The credentials that OpenWhisk publishes for development; a standalone server knows them.
const (
	GuestKey  = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
	SystemKey = "789c46b1-71f6-4ed5-8c54-816aa4f8c502:abczO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
)

// Client talks to a server with one namespace's credentials. It is safe for
// concurrent use.
type Client struct {
	url  string
	key  string
	http *http.Client
}

// NewClient returns a client of the server at url. key is "uuid:secret"; an
// empty one sends no credentials.
func NewClient(url, key string) *Client {
	return &Client{url: url, key: key, http: &http.Client{
		// Longer than any blocking wait (60 s): it only bounds a hang.
		Timeout:       3 * time.Minute,
		Transport:     &http.Transport{MaxIdleConns: 0, MaxIdleConnsPerHost: 2048, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Client returns a client with the given key.
func (s *Server) Client(key string) *Client { return NewClient(s.url, key) }

// Guest returns a client for the namespace guest.
func (s *Server) Guest() *Client { return s.Client(GuestKey) }

// Response is a server's answer.
type Response struct {
	Method string
	Path   string
	Status int
	Header http.Header
	Body   []byte
}

// Header is a request option that sets one header; an empty value removes it.
func Header(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		if value == "" {
			r.Header.Del(name)
			return
		}
		r.Header.Set(name, value)
	}
}

// Try sends one request. A path that does not begin with a slash is below
// /api/v1/namespaces. body may be nil, JSON text (string or []byte), an
// io.Reader, or something to marshal.
func (c *Client) Try(ctx context.Context, method, path string, body any, options ...func(*http.Request)) (*Response, error) {
	if !strings.HasPrefix(path, "/") {
		path = "/api/v1/namespaces/" + path
	}
	reader, err := bodyReader(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, reader)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if user, secret, ok := strings.Cut(c.key, ":"); ok {
		request.SetBasicAuth(user, secret)
	}
	for _, option := range options {
		option(request)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer to %s %s: %w", method, path, err)
	}
	r := &Response{Method: method, Path: path, Status: answer.StatusCode, Header: answer.Header, Body: content}
	if inspect := inspection.Load(); inspect != nil {
		return r, (*inspect)(r)
	}
	return r, nil
}

var inspection atomic.Pointer[func(*Response) error]

// Inspect makes every client show f each answer that it gets; an error of f is
// the error of the request. The function that it returns ends that.
func Inspect(f func(*Response) error) (end func()) {
	inspection.Store(&f)
	return func() { inspection.Store(nil) }
}

func bodyReader(body any) (io.Reader, error) {
	switch b := body.(type) {
	case nil:
		return nil, nil
	case string:
		return strings.NewReader(b), nil
	case []byte:
		return bytes.NewReader(b), nil
	case io.Reader:
		return b, nil
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return nil, fmt.Errorf("marshal the request: %w", err)
		}
		return bytes.NewReader(text), nil
	}
}

// Do is Try for the test's own goroutine: a request without an answer fails the test.
func (c *Client) Do(t testing.TB, method, path string, body any, options ...func(*http.Request)) *Response {
	t.Helper()
	r, err := c.Try(t.Context(), method, path, body, options...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

// Get, Put, Post and Delete are Do with that verb.
func (c *Client) Get(t testing.TB, path string, options ...func(*http.Request)) *Response {
	t.Helper()
	return c.Do(t, http.MethodGet, path, nil, options...)
}

// Put sends body as JSON.
func (c *Client) Put(t testing.TB, path string, body any, options ...func(*http.Request)) *Response {
	t.Helper()
	return c.Do(t, http.MethodPut, path, body, options...)
}

// Post sends body as JSON; nil sends none.
func (c *Client) Post(t testing.TB, path string, body any, options ...func(*http.Request)) *Response {
	t.Helper()
	return c.Do(t, http.MethodPost, path, body, options...)
}

// Delete sends a DELETE.
func (c *Client) Delete(t testing.TB, path string) *Response {
	t.Helper()
	return c.Do(t, http.MethodDelete, path, nil)
}

// JSON is the whole body; it does not exist if the body is not JSON.
func (r *Response) JSON() gjson.Result {
	if !gjson.ValidBytes(r.Body) {
		return gjson.Result{}
	}
	return gjson.ParseBytes(r.Body)
}

// Field is the value at a gjson path of the body. Its Raw keeps numbers exact.
func (r *Response) Field(path string) gjson.Result { return r.JSON().Get(path) }

// ActivationID is the activation that the answer speaks of, or "".
func (r *Response) ActivationID() string { return r.Field("activationId").String() }

// Is fails the test unless the answer has one of the statuses.
func (r *Response) Is(t testing.TB, statuses ...int) *Response {
	t.Helper()
	for _, status := range statuses {
		if r.Status == status {
			return r
		}
	}
	t.Fatalf("%s %.200s: status %d, want %v; body: %.2000s", r.Method, r.Path, r.Status, statuses, r.Body)
	return nil
}

// Annotation is the value of an annotation (or parameter) in a list of {key, value}.
func Annotation(list gjson.Result, key string) gjson.Result {
	found := gjson.Result{}
	list.ForEach(func(_, entry gjson.Result) bool {
		if entry.Get("key").String() == key {
			found = entry.Get("value")
		}
		return true
	})
	return found
}

// SameJSON reports whether two JSON texts mean the same, with every digit of
// their numbers compared as written.
func SameJSON(a, b string) bool {
	va, errA := decodeExact(a)
	vb, errB := decodeExact(b)
	if errA != nil || errB != nil {
		return false
	}
	// Marshal sorts keys and writes json.Number as it was.
	ta, errA := json.Marshal(va)
	tb, errB := json.Marshal(vb)
	return errA == nil && errB == nil && bytes.Equal(ta, tb)
}

func decodeExact(text string) (any, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if decoder.More() {
		return nil, errors.New("more than one JSON value")
	}
	return value, nil
}

// Segment escapes one path segment.
func Segment(name string) string { return url.PathEscape(name) }
