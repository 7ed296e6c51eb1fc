package activation

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// answered is an exchange that got an answer well within its limits.
func answered(status int, body string) *exchange {
	return &exchange{
		timeout: time.Second, elapsed: time.Millisecond, maxBytes: 1 << 20, truncation: 1 << 20,
		response: container.Response{Status: status, Body: []byte(body), Length: int64(len(body))},
	}
}

func failed(err error) *exchange {
	return &exchange{timeout: time.Second, elapsed: time.Millisecond, maxBytes: 1 << 20, truncation: 1 << 20, err: err}
}

func late(x *exchange) *exchange {
	x.elapsed = x.timeout
	return x
}

// TestRunAnswer is the run half of the table in openwhisk-invoker.md 1.3.
func TestRunAnswer(t *testing.T) {
	const invalid = "The action did not produce a valid JSON or JSON Array response"
	deep := strings.Repeat("[", entity.MaxNesting+1) + strings.Repeat("]", entity.MaxNesting+1)
	tooLong := answered(200, `{"a":1}`)
	tooLong.maxBytes, tooLong.truncation, tooLong.response.Length = 5, 4, 1000
	for _, c := range []struct {
		name   string
		x      *exchange
		status entity.StatusCode
		result string
	}{
		{"object", answered(200, `{"a":1e400,"b":"<&>"}`), 0, `{"a":1e400,"b":"<&>"}`},
		{"object with surrounding space", answered(200, " {\"a\":1}\n"), 0, `{"a":1}`},
		{"error hides its siblings", answered(200, `{"x":2,"error":{"code":1}}`), 1, `{"error":{"code":1}}`},
		{"null error is an error", answered(200, `{"error":null,"x":1}`), 1, `{"error":null}`},
		{"error spelled with an escape", answered(200, `{"\u0065rror":"e"}`), 1, `{"error":"e"}`},
		{"nested error is no error", answered(200, `{"a":{"error":1}}`), 0, `{"a":{"error":1}}`},
		{"array", answered(200, `[1,{"error":2}]`), 0, `[1,{"error":2}]`},
		{"string", answered(200, `"x"`), 2, `{"error":"` + invalid + `: \"x\""}`},
		{"number", answered(200, `3`), 2, `{"error":"` + invalid + `: 3"}`},
		{"garbage", answered(200, `{"a":`), 2, `{"error":"` + invalid + `: {\"a\":"}`},
		{"invalid UTF-8", answered(200, "{\"a\":\"\xff\"}"), 2, `{"error":"` + invalid + `: {\"a\":\"\ufffd\"}"}`},
		{"too deep", answered(200, deep), 2, `{"error":"` + invalid + `: ` + deep + `"}`},
		{"failure too deep", answered(502, deep), 2, `{"error":"` + invalid + `: ` + deep + `"}`},
		{"empty", answered(200, ``), 2, `{"error":"` + invalid + `."}`},
		{"failure with error", answered(502, `{"error":["e"],"x":1}`), 2, `{"error":["e"]}`},
		{"failure without error", answered(502, `{"x":1}`), 2, `{"error":"` + invalid + `: {\"x\":1}"}`},
		{"too long", tooLong, 1, `{"error":"The action produced a response that exceeded the allowed length: 1000 > 5 bytes. The truncated response was: {\"a\""}`},
		{"late wins over the body", late(answered(200, `{"a":1}`)), 2, `{"error":"The action exceeded its time limits of 1000 milliseconds."}`},
		{"memory wins over late", late(failed(container.ErrOutOfMemory)), 2, `{"error":"The action exhausted its memory and was aborted."}`},
		{"connection lost", failed(container.ErrNoResponse), 2, `{"error":"The action did not produce a valid response and exited unexpectedly."}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := runAnswer(c.x)
			require.Equal(t, c.status, r.StatusCode)
			if strings.Contains(c.result, `\ufffd`) {
				require.JSONEq(t, c.result, string(r.Result))
				return
			}
			require.Equal(t, c.result, string(r.Result))
		})
	}
}

// TestInitAnswer is the init half of the same table.
func TestInitAnswer(t *testing.T) {
	tooLong := answered(200, `xxxxx`)
	tooLong.maxBytes = 2
	for _, c := range []struct {
		name   string
		x      *exchange
		ok     bool
		result string
	}{
		{"ok", answered(200, `{"ok":true}`), true, ``},
		{"ok wins over late", late(answered(200, ``)), true, ``},
		{"failure with error", answered(502, `{"error":"e"}`), false, `{"error":"e"}`},
		{"failure with text", answered(403, `no`), false, `{"error":"The action failed during initialization: no"}`},
		{"failure without a body", answered(500, ``), false, `{"error":"The action failed during initialization."}`},
		{"late", late(failed(container.ErrNoResponse)), false, `{"error":"The action exceeded its time limits of 1000 milliseconds during initialization."}`},
		{"connection lost", failed(container.ErrNoResponse), false, `{"error":"The action did not initialize and exited unexpectedly."}`},
		{"memory", failed(container.ErrOutOfMemory), false, `{"error":"The action exhausted its memory and was aborted."}`},
		{"too long is the developer's error", tooLong, false, `{"error":"The action produced a response that exceeded the allowed length: 5 > 2 bytes. The truncated response was: xxxxx"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, ok := initAnswer(c.x)
			require.Equal(t, c.ok, ok)
			if !ok {
				require.Equal(t, entity.StatusDeveloperError, r.StatusCode)
				require.Equal(t, c.result, string(r.Result))
			}
		})
	}
}

func TestResultSizeCountsCharacters(t *testing.T) {
	r := runAnswer(answered(200, `{"a":"ü€"}`))
	require.EqualValues(t, 10, *r.Size)
}

func FuzzRunAnswer(f *testing.F) {
	for _, s := range []string{`{}`, `[]`, `{"error":1}`, `{"\u0065rror":1}`, `{"a":"\ud800"}`, "", "x", "\xff"} {
		f.Add(200, []byte(s))
		f.Add(502, []byte(s))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		r := runAnswer(answered(status, string(body)))
		if !json.Valid(r.Result) {
			t.Fatalf("result is not JSON: %q", r.Result)
		}
		if r.StatusCode != entity.StatusSuccess {
			var o map[string]json.RawMessage
			if err := json.Unmarshal(r.Result, &o); err != nil || len(o) != 1 || o["error"] == nil {
				t.Fatalf("a failure's result is not {\"error\": …}: %q", r.Result)
			}
		}
	})
}
