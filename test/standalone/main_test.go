// Package standalone checks what the operator and the users of one
// `gowhisk serve` process rely on: how it starts and stops, what it keeps and
// what it leaves, how it treats hostile actions, and the traps of
// openwhisk-invoker.md section 13.
package standalone

import (
	"testing"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

func TestMain(m *testing.M) { harness.Main(m) }

// instance is JavaScript whose value differs between containers.
const instance = `const instance = require("crypto").randomUUID()
`

// isCold reports whether the activation began with an initialisation.
func isCold(record gjson.Result) bool {
	return harness.Annotation(record.Get("annotations"), "initTime").Exists()
}

// endsWith checks status and result of a blocking invocation that failed.
func endsWith(t testing.TB, r *harness.Response, status string, texts ...string) {
	t.Helper()
	r.Is(t, 502)
	require.Equalf(t, status, r.Field("response.status").String(), "%.2000s", r.Body)
	text := r.Field("response.result.error").String()
	for _, one := range texts {
		if text == one {
			return
		}
	}
	if len(texts) > 0 {
		t.Fatalf("result %.500q, want one of %q", text, texts)
	}
}

const (
	applicationError = "application error"
	developerError   = "action developer error"

	exitedUnexpectedly = "The action did not produce a valid response and exited unexpectedly."
	// commandExited is how a runtime's proxy tells the same (openwhisk-invoker.md 1.8).
	commandExited   = "command exited"
	exhaustedMemory = "The action exhausted its memory and was aborted."
)
