package standalone

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
)

// TestWebAssembly: a module runs in the server itself, and neither its faults nor
// its greed are the server's.
func TestWebAssembly(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	n := harness.NewNamespace(t, s, "wasm")
	code := base64.StdEncoding.EncodeToString(module(t))
	action := harness.Action{Exec: harness.Exec{Kind: "wasm:default", Code: code}}
	created := n.PutAction(t, "module", action)
	require.Equal(t, "wasm:wasi", created.Field("exec.kind").String())
	require.True(t, created.Field("exec.binary").Bool())
	// The first invocation also compiles, which may take long on a busy machine.
	n.Invoke(t, "module", `{"do":"greet","name":"Ada"}`).Is(t, 200)

	returns := func(t *testing.T, payload, want string) *harness.Response {
		t.Helper()
		r := n.Invoke(t, "module", payload).Is(t, 200)
		require.Truef(t, harness.SameJSON(want, r.Field("response.result").Raw), "want %s, got %s", want, r.Body)
		return r
	}
	t.Run("result_and_logs", func(t *testing.T) {
		r := returns(t, `{"do":"greet","name":"Ädä"}`, `{"said":"hello Ädä"}`)
		logs := n.Activation(t, r.ActivationID()).Get("logs").Raw
		require.Contains(t, logs, "stdout: a log line for /"+n.Name+"/module")
		require.Contains(t, logs, "stderr: to stderr")
		require.NotContains(t, logs, "said")
	})

	t.Run("exact_numbers", func(t *testing.T) {
		returns(t, `{"do":"echo","big":123456789012345678901234567890,"price":0.10}`,
			`{"args":{"do":"echo","big":123456789012345678901234567890,"price":0.10}}`)
	})

	t.Run("errors_of_the_code", func(t *testing.T) {
		r := n.Invoke(t, "module", `{"do":"fail"}`)
		endsWith(t, r, applicationError, "no luck")
		endsWith(t, n.Invoke(t, "module", `{"do":"exit"}`), developerError, "no luck")
		r = n.Invoke(t, "module", `{"do":"panic"}`)
		require.Equal(t, "The action exited with status 2.", r.Field("response.result.error").String(), "%s", r.Body)
		require.Contains(t, n.Activation(t, r.ActivationID()).Get("logs").Raw, "panic: lost")
		returns(t, `{"do":"echo"}`, `{"args":{"do":"echo"}}`)
	})

	t.Run("what_cannot_be_loaded", func(t *testing.T) {
		for text, code := range map[string]string{
			"does not begin with the magic bytes": base64.StdEncoding.EncodeToString([]byte("PK is no module")),
			"cut off or damaged":                  base64.StdEncoding.EncodeToString([]byte("\x00asm\x01\x00\x00\x00\x0a\x7f")),
			"is not a WebAssembly module":         "(module)",
		} {
			n.PutAction(t, "broken", harness.Action{Exec: harness.Exec{Kind: "wasm:wasi", Code: code}})
			r := n.Invoke(t, "broken", `{}`)
			endsWith(t, r, developerError)
			require.Contains(t, r.Field("response.result.error").String(), text)
		}
	})

	t.Run("memory_limit", func(t *testing.T) {
		n.PutAction(t, "greedy", action.With(harness.Limits{Memory: 128}))
		endsWith(t, n.Invoke(t, "greedy", `{"do":"hog"}`), developerError, exhaustedMemory)
		n.Invoke(t, "greedy", `{"do":"echo"}`).Is(t, 200)
	})

	t.Run("time_limit", func(t *testing.T) {
		n.PutAction(t, "slow", action.With(harness.Limits{Timeout: 1000}))
		for _, do := range []string{"spin", "sleep"} {
			r := n.Invoke(t, "slow", `{"do":"`+do+`"}`)
			endsWith(t, r, developerError, timeLimit(1000))
			require.True(t, harness.Annotation(r.Field("annotations"), "timeout").Bool(), "%s", r.Body)
		}
	})

	t.Run("sees_no_files", func(t *testing.T) { returns(t, `{"do":"look"}`, `{}`) })
}

// module builds testdata/wasm as anybody would.
func module(t *testing.T) []byte {
	t.Helper()
	out := filepath.Join(harness.TempDir(t), "main.wasm")
	build := exec.Command("go", "build", "-o", out, "./testdata/wasm")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	said, err := build.CombinedOutput()
	require.NoErrorf(t, err, "%s", said)
	binary, err := os.ReadFile(out)
	require.NoError(t, err)
	return binary
}
