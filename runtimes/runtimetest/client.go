package runtimetest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Options say how a runtime is started.
type Options struct {
	// Concurrent allows several /run at once.
	Concurrent bool
	// Env is added to the environment of the container, as KEY=VALUE.
	Env []string
}

// Client is a started runtime as the suite sees it: an HTTP endpoint and two log
// streams. Whoever starts it stops it in the test's cleanup.
type Client struct {
	// HTTP reaches the runtime, whatever host URL names.
	HTTP *http.Client
	// URL is the base of /init and /run, without a final slash.
	URL            string
	Stdout, Stderr *Stream
}

// patience bounds every wait of the suite; it is reached only by a failure.
const patience = 60 * time.Second

// Answer is what a runtime answered.
type Answer struct {
	Status int
	Body   string
}

// Code is the code of an action in the form of the init request.
type Code struct {
	Main   string
	Code   string
	Binary bool
	Env    map[string]string
}

// Init posts code to /init.
func (c *Client) Init(t testing.TB, code Code) Answer {
	t.Helper()
	if code.Main == "" {
		code.Main = "main"
	}
	if code.Env == nil {
		code.Env = map[string]string{}
	}
	body, err := json.Marshal(map[string]any{"value": map[string]any{
		"name": "suite", "main": code.Main, "code": code.Code, "binary": code.Binary, "env": code.Env,
	}})
	require.NoError(t, err)
	return c.Post(t, "/init", body)
}

// MustInit is Init, and fails the test unless the code was taken.
func (c *Client) MustInit(t testing.TB, code Code) {
	t.Helper()
	a := c.Init(t, code)
	require.Equal(t, http.StatusOK, a.Status, "init: %s", a.Body)
}

// Run posts args, a JSON value, to /run, with a context like the platform's.
func (c *Client) Run(t testing.TB, args string) Answer {
	t.Helper()
	return c.Post(t, "/run", runBody(args, "1", true))
}

// MustRun is Run, and fails the test unless the status is 200.
func (c *Client) MustRun(t testing.TB, args string) string {
	t.Helper()
	a := c.Run(t, args)
	require.Equal(t, http.StatusOK, a.Status, "run: %s", a.Body)
	return a.Body
}

// runBody is a request in the contract's form; every context field but the
// namespace and names ends with number.
func runBody(args, number string, withKey bool) []byte {
	var b bytes.Buffer
	b.WriteString(`{"value":` + args +
		`,"namespace":"ns` + number + `","action_name":"/guest/suite","action_version":"0.0.` + number +
		`","activation_id":"activation` + number + `","transaction_id":"transaction` + number +
		`","deadline":"157022321340` + number + `"`)
	if withKey {
		b.WriteString(`,"api_key":"uuid:secret` + number + `"`)
	}
	b.WriteString(`}`)
	return b.Bytes()
}

// Post sends body and checks what the contract demands of every answer: a known
// length.
func (c *Client) Post(t testing.TB, path string, body []byte) Answer {
	t.Helper()
	a, err := c.post(t.Context(), path, body)
	require.NoError(t, err)
	return a
}

func (c *Client) post(ctx context.Context, path string, body []byte) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.HTTP.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return Answer{}, err
	}
	if response.ContentLength != int64(len(text)) {
		return Answer{}, errUnknownLength
	}
	return Answer{response.StatusCode, string(text)}, nil
}

// Logs returns what was printed on each stream up to the next sentinel.
func (c *Client) Logs(t testing.TB) (stdout, stderr []string) {
	t.Helper()
	return c.Stdout.Activation(t), c.Stderr.Activation(t)
}
