// Package runtimetest is the conformance suite of action runtimes: what the
// platform relies on in anything that answers /init and /run. It knows only an
// HTTP endpoint and two log streams, so it runs against the proxy in a local
// process and against container images alike.
//
// The cases are the checklist of openwhisk-invoker.md 1.10 and the status tables
// of 1.7 and 1.8; client.go, stream.go and fixtures.go hold what they are made of.
package runtimetest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Start starts a runtime of a kind and stops it when the test ends.
type Start func(t testing.TB, kind string, o Options) *Client

// Run runs the suite for each kind. Kinds are of the families nodejs, python, php,
// ruby, java, go, shell and native; the last needs a Go compiler on the machine of the test.
func Run(t *testing.T, kinds []string, start Start) {
	for _, kind := range kinds {
		t.Run(strings.ReplaceAll(kind, ":", ""), func(t *testing.T) {
			family, _, _ := strings.Cut(kind, ":")
			l, ok := languages[family]
			require.True(t, ok, "the suite has no fixtures for %s", kind)
			s := &suite{language: l, kind: kind, start: start}
			s.values(t)
			s.environment(t)
			s.logs(t)
			s.refusals(t)
			s.endings(t)
			s.timeouts(t)
			switch family {
			case "nodejs":
				s.node(t)
			case "python":
				s.python(t)
			case "php":
				s.php(t)
			case "ruby":
				s.ruby(t)
			case "java":
				s.java(t)
			case "go":
				s.golang(t)
			case "shell":
				s.shell(t)
			case "native":
				s.native(t)
			}
		})
	}
}

// suite is the run for one kind.
type suite struct {
	language
	kind  string
	start Start
}

// with starts a runtime and initialises it with the fixture of b.
func (s *suite) with(t *testing.T, b behaviour) *Client {
	t.Helper()
	c := s.start(t, s.kind, Options{})
	c.MustInit(t, s.fixture(t, b))
	return c
}

// values: what goes in and comes out.
func (s *suite) values(t *testing.T) {
	t.Run("identity", func(t *testing.T) {
		c := s.with(t, identity)
		for _, args := range []string{
			`{}`, `{"a":1,"b":[true,null,"x"],"c":{"d":-1.5}}`, `{"delimiter":"❄","quote":"\"\\\n\u0000"}`, `[1,"two",{"three":3}]`, `[]`,
		} {
			require.JSONEq(t, args, c.MustRun(t, args))
		}
	})
	t.Run("newlines in the request are no line ends", func(t *testing.T) {
		c := s.with(t, identity)
		require.JSONEq(t, `{"a":[1,2]}`, c.MustRun(t, "{\n\"a\":\n[1,\r\n2]\n}\n"))
	})
	t.Run("no value is an empty object", func(t *testing.T) {
		if s.kind != "native:1" { // ActionLoop leaves this to the program
			c := s.with(t, identity)
			require.JSONEq(t, `{}`, c.MustRun(t, `null`))
		}
	})
	t.Run("input over 1 MiB", func(t *testing.T) {
		c := s.with(t, identity)
		args := `{"big":"` + strings.Repeat("é", 1<<20) + `"}`
		require.True(t, jsonEqual(args, c.MustRun(t, args)))
	})
	t.Run("result of 4 MiB", func(t *testing.T) {
		c := s.with(t, big)
		result := c.MustRun(t, `{"n":4194304}`)
		require.True(t, jsonEqual(`{"big":"`+strings.Repeat("x", 4<<20)+`"}`, result))
		require.JSONEq(t, `{"big":"xxx"}`, c.MustRun(t, `{"n":3}`))
	})
	t.Run("unicode in source, arguments, log and result", func(t *testing.T) {
		c := s.with(t, unicode)
		require.JSONEq(t, `{"winter":"☃ ❄ ☃"}`, c.MustRun(t, `{"delimiter":"❄"}`))
		stdout, stderr := c.Logs(t)
		require.Equal(t, []string{"☃ ❄ ☃"}, stdout)
		require.Empty(t, stderr)
	})
	t.Run("another entry point", func(t *testing.T) {
		if s.entryPoints {
			c := s.with(t, otherEntry)
			require.JSONEq(t, `{"a":1}`, c.MustRun(t, `{"a":1}`))
		}
	})
}

// environment: what the code finds in its variables.
func (s *suite) environment(t *testing.T) {
	t.Run("init variables are there before the code loads", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		code := s.fixture(t, readsEnv)
		code.Env = merge(code.Env, map[string]string{"MYINIT": "wörld =\"$x"})
		if s.kind == "shell:1" {
			code.Env["MYINIT"] = "wörld ="
		}
		want, err := json.Marshal(map[string]string{"loaded": code.Env["MYINIT"], "now": code.Env["MYINIT"]})
		require.NoError(t, err)
		c.MustInit(t, code)
		require.JSONEq(t, string(want), c.MustRun(t, `{}`))
	})
	t.Run("context variables are refreshed by each run", func(t *testing.T) {
		c := s.with(t, contextual)
		for _, n := range []string{"1", "2"} {
			a := c.Post(t, "/run", runBody(`{}`, n, true))
			require.Equal(t, http.StatusOK, a.Status, a.Body)
			require.JSONEq(t, `{"namespace":"ns`+n+`","action_name":"/guest/suite","action_version":"0.0.`+n+
				`","activation_id":"activation`+n+`","transaction_id":"transaction`+n+`","deadline":"157022321340`+n+
				`","api_key":"uuid:secret`+n+`"}`, a.Body)
		}
	})
}

// logs: what is printed, and where an activation's output ends.
func (s *suite) logs(t *testing.T) {
	t.Run("one sentinel per activation on each stream", func(t *testing.T) {
		c := s.with(t, chatty)
		for n := range 5 {
			require.JSONEq(t, `{}`, c.MustRun(t, fmt.Sprintf(`{"n":%d}`, n)))
			stdout, stderr := c.Logs(t)
			require.Equal(t, []string{fmt.Sprintf("out %d", n)}, stdout)
			require.Equal(t, []string{fmt.Sprintf("err %d", n)}, stderr)
		}
	})
	t.Run("everything printed is before the sentinel", func(t *testing.T) {
		c := s.with(t, noisy)
		const lines = 50_000 // more than pipes hold
		require.JSONEq(t, `{}`, c.MustRun(t, fmt.Sprintf(`{"n":%d}`, lines)))
		stdout, stderr := c.Logs(t)
		require.Len(t, stdout, lines)
		require.Len(t, stderr, lines)
	})
	t.Run("sentinel after an unfinished line", func(t *testing.T) {
		c := s.with(t, unfinished)
		for range 2 {
			require.JSONEq(t, `{}`, c.MustRun(t, `{}`))
			stdout, stderr := c.Logs(t)
			require.Equal(t, []string{"half"}, stdout)
			require.Equal(t, []string{"half"}, stderr)
		}
	})
}

// refusals: requests that a runtime must not accept.
func (s *suite) refusals(t *testing.T) {
	refused := func(t *testing.T, a Answer, status int, text string) {
		t.Helper()
		require.Equal(t, status, a.Status, a.Body)
		require.Contains(t, errorOf(t, a.Body), text)
	}
	t.Run("run before init", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		refused(t, c.Run(t, `{}`), http.StatusForbidden, "System not initialized.")
	})
	t.Run("init without code, and then with it", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		for _, body := range []string{`{}`, `{"value":{}}`, `{"value":{"main":"main"}}`, `{"value":{"main":"main","code":""}}`, `[]`} {
			refused(t, c.Post(t, "/init", []byte(body)), http.StatusForbidden, "Missing main/no code to execute.")
		}
		refused(t, c.Post(t, "/init", []byte(`{"value":`)), http.StatusBadRequest, "Error unmarshaling request")
		c.MustInit(t, s.fixture(t, chatty))
		c.MustRun(t, `{"n":7}`)
		stdout, stderr := c.Logs(t)
		require.Equal(t, []string{"out 7"}, stdout, "refused requests leave no sentinel")
		require.Equal(t, []string{"err 7"}, stderr)
	})
	t.Run("second init", func(t *testing.T) {
		c := s.with(t, identity)
		refused(t, c.Init(t, s.fixture(t, notObject)), http.StatusForbidden, "Cannot initialize the action more than once.")
		require.JSONEq(t, `{"a":1}`, c.MustRun(t, `{"a":1}`))
		c.Stderr.Contains(t, "Cannot initialize the action more than once.")
	})
	t.Run("a request that is no JSON", func(t *testing.T) {
		c := s.with(t, identity)
		refused(t, c.Post(t, "/run", []byte(`{"value":`)), http.StatusBadRequest, "Error unmarshaling request")
		require.JSONEq(t, `{"a":1}`, c.MustRun(t, `{"a":1}`))
	})
	t.Run("a result that is no object or array", func(t *testing.T) {
		c := s.with(t, notObject)
		refused(t, c.Run(t, `{}`), http.StatusBadGateway, "The action did not return a dictionary or array.")
		c.Logs(t)
	})
	t.Run("an unknown path", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		refused(t, c.Post(t, "/elsewhere", []byte(`{}`)), http.StatusInternalServerError, "Bad request.")
	})
}

// endings: code that ends its process.
func (s *suite) endings(t *testing.T) {
	t.Run("exit during a run", func(t *testing.T) {
		c := s.with(t, exits)
		for range 2 {
			a := c.Run(t, `{}`)
			require.GreaterOrEqual(t, a.Status, 400)
			require.Contains(t, errorOf(t, a.Body), "exited")
		}
		stdout, _ := c.Logs(t)
		require.Equal(t, []string{"going"}, stdout)
		second, _ := c.Logs(t)
		if s.restarts {
			require.Equal(t, []string{"going"}, second)
		} else {
			require.Empty(t, second)
		}
	})
	t.Run("code that cannot start", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		code := Zip(t, File{Name: "readme.txt", Text: "no code here"})
		a := c.Init(t, code)
		require.Equal(t, http.StatusBadGateway, a.Status, a.Body)
		require.NotEmpty(t, errorOf(t, a.Body))
		c.Logs(t)
		require.Equal(t, http.StatusForbidden, c.Run(t, `{}`).Status)
	})
	t.Run("a damaged archive", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		a := c.Init(t, Code{Code: "UEsDBAoAAAAAAA==", Binary: true})
		require.Equal(t, http.StatusBadGateway, a.Status, a.Body)
		require.Contains(t, errorOf(t, a.Body), "the archive")
		c.Logs(t)
	})
}

// timeouts: the platform gives up and removes the container; until then nothing
// else runs in it, and what was printed is in the logs.
func (s *suite) timeouts(t *testing.T) {
	t.Run("a run that takes too long", func(t *testing.T) {
		c := s.with(t, hangs)
		ctx, giveUp := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := c.post(ctx, "/run", runBody(`{}`, "1", true))
			ended <- err
		}()
		c.Stdout.Contains(t, "going")
		a := c.Run(t, `{}`)
		require.Equal(t, http.StatusForbidden, a.Status, a.Body)
		require.Contains(t, errorOf(t, a.Body), "System not ready, status is running.")
		giveUp()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

// failingInit is code that a runtime refuses, and what it says.
type failingInit struct {
	code Code
	says string
}

func (s *suite) initFailures(t *testing.T, cases map[string]failingInit) {
	for name, c := range cases {
		t.Run("init fails by "+name, func(t *testing.T) {
			client := s.start(t, s.kind, Options{})
			a := client.Init(t, c.code)
			require.Equal(t, http.StatusBadGateway, a.Status, a.Body)
			require.Contains(t, errorOf(t, a.Body), c.says)
			client.Logs(t)
			require.GreaterOrEqual(t, client.Run(t, `{}`).Status, 400)
		})
	}
}

// errorOf returns the error text of a body, which must be an object with it.
func errorOf(t testing.TB, body string) string {
	t.Helper()
	var e struct{ Error string }
	require.NoError(t, json.Unmarshal([]byte(body), &e), body)
	return e.Error
}

// jsonEqual compares without printing megabytes when it fails.
func jsonEqual(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && fmt.Sprint(x) == fmt.Sprint(y)
}

func merge(a, b map[string]string) map[string]string {
	merged := make(map[string]string, len(a)+len(b))
	for _, m := range []map[string]string{a, b} {
		for k, v := range m {
			merged[k] = v
		}
	}
	return merged
}
