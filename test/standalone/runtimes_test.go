package standalone

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
)

func TestRuntimes(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	n := harness.NewNamespace(t, s, "runtimes")
	returns := func(t *testing.T, name, payload, want string) {
		t.Helper()
		r := n.Invoke(t, name, payload).Is(t, 200)
		require.Truef(t, harness.SameJSON(want, r.Field("response.result").Raw), "want %s, got %s", want, r.Body)
	}

	t.Run("node_zip", func(t *testing.T) {
		files := map[string]string{
			"package.json": `{"name": "zipped", "main": "lib/entry.js"}`,
			"lib/entry.js": `const {greet} = require("./greet")
exports.main = args => ({said: greet(args.name)})
exports.other = () => ({other: true})`,
			"lib/greet.js": `exports.greet = name => "hello " + name`,
		}
		n.PutAction(t, "nodezip", harness.Node(harness.Zip(t, files)))
		returns(t, "nodezip", `{"name":"Ädä"}`, `{"said":"hello Ädä"}`)

		other := harness.Node(harness.Zip(t, files))
		other.Exec.Main = "other"
		n.PutAction(t, "nodeother", other)
		returns(t, "nodeother", `{}`, `{"other":true}`)
	})

	t.Run("node_es_module", func(t *testing.T) {
		n.PutAction(t, "nodeesm", harness.Node(harness.Zip(t, map[string]string{
			"package.json": `{"name": "esm", "type": "module", "main": "index.js"}`,
			"index.js":     `export function main(args) { return {esm: true, ...args} }`,
		})))
		returns(t, "nodeesm", `{"x":1}`, `{"esm":true,"x":1}`)
	})

	t.Run("python_zip", func(t *testing.T) {
		files := map[string]string{
			"__main__.py":         "from helpers.greet import greet\ndef main(args):\n    return {'said': greet(args['name'])}\ndef other(args):\n    return {'other': True}\n",
			"helpers/__init__.py": "",
			"helpers/greet.py":    "def greet(name):\n    return 'hello ' + name\n",
		}
		n.PutAction(t, "pythonzip", harness.Python(harness.Zip(t, files)))
		returns(t, "pythonzip", `{"name":"Ädä"}`, `{"said":"hello Ädä"}`)

		other := harness.Python(harness.Zip(t, files))
		other.Exec.Main = "other"
		n.PutAction(t, "pythonother", other)
		returns(t, "pythonother", `{}`, `{"other":true}`)
	})

	t.Run("errors_of_the_code", func(t *testing.T) {
		for name, action := range map[string]harness.Action{
			"node syntax":    harness.Node(`function main( { return`),
			"node no main":   harness.Node(`function other() {}`),
			"python syntax":  harness.Python("def main(args)\n    return\n"),
			"python no main": harness.Python("def other(args):\n    return {}\n"),
			"node bad zip":   harness.Node(base64.StdEncoding.EncodeToString([]byte("PK\x03\x04 is no archive"))),
			"python bad zip": harness.Python(base64.StdEncoding.EncodeToString([]byte("PK\x03\x04 is no archive"))),
		} {
			n.PutAction(t, "broken", action)
			r := n.Invoke(t, "broken", `{}`)
			endsWith(t, r, developerError)
			require.NotEmptyf(t, r.Field("response.result.error").String(), "%s: %s", name, r.Body)
		}
	})

	t.Run("native_executable", func(t *testing.T) {
		binary := base64.StdEncoding.EncodeToString(compile(t))
		n.PutAction(t, "native", harness.Action{Exec: harness.Exec{Kind: "native:1", Code: binary}})
		returns(t, "native", `{"name":"Ada"}`, `{"hello":"Ada","runs":1}`)
		returns(t, "native", `{"name":"Bob"}`, `{"hello":"Bob","runs":2}`)
	})

	t.Run("shell_script", func(t *testing.T) {
		for _, kind := range []string{"shell:1", "blackbox"} {
			action := harness.Action{Exec: harness.Exec{Kind: kind, Code: `#!/bin/sh
echo "a log line for $__OW_ACTION_NAME"
echo "to stderr" >&2
echo "{\"args\": $1}"
`}}
			if kind == "blackbox" {
				action.Exec.Image = "openwhisk/dockerskeleton"
			}
			n.PutAction(t, "script", action)
			r := n.Invoke(t, "script", `{"a":"it's"}`).Is(t, 200)
			require.True(t, harness.SameJSON(`{"args":{"a":"it's"}}`, r.Field("response.result").Raw), "%s", r.Body)
			logs := n.Activation(t, r.ActivationID()).Get("logs").Raw
			require.Contains(t, logs, "stdout: a log line for /"+n.Name+"/script")
			require.Contains(t, logs, "stderr: to stderr")
		}
	})

	t.Run("exact_numbers", func(t *testing.T) {
		// The platform may not touch them; a language may, so this one does not look.
		n.PutAction(t, "script", harness.Action{Exec: harness.Exec{Kind: "shell:1", Code: "#!/bin/sh\necho \"$1\"\n"}})
		returns(t, "script", `{"big":123456789012345678901234567890,"tiny":1e-400,"price":0.10}`,
			`{"big":123456789012345678901234567890,"tiny":1e-400,"price":0.10}`)
	})

	t.Run("foreign_image", func(t *testing.T) {
		n.PutAction(t, "foreign", harness.Action{Exec: harness.Exec{Kind: "blackbox", Image: "no/such-image"}})
		r := n.Invoke(t, "foreign", `{}`)
		endsWith(t, r, developerError)
		require.Contains(t, r.Field("response.result.error").String(), "Failed to pull container image 'no/such-image'")
	})
}

// compile builds a static executable that speaks the pipe protocol of
// openwhisk-invoker.md 1.8: a request per line on standard input, a result per
// line on descriptor 3.
func compile(t *testing.T) []byte {
	t.Helper()
	dir := harness.TempDir(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(`package main

import (
	"bufio"
	"encoding/json"
	"os"
)

func main() {
	requests, results := bufio.NewReader(os.Stdin), json.NewEncoder(os.NewFile(3, "results"))
	for runs := 1; ; runs++ {
		line, err := requests.ReadBytes('\n')
		if err != nil {
			return
		}
		var request struct{ Value struct{ Name string } }
		if err := json.Unmarshal(line, &request); err != nil {
			panic(err)
		}
		results.Encode(map[string]any{"hello": request.Value.Name, "runs": runs})
	}
}
`), 0o600))
	output := filepath.Join(dir, "exec")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", output, filepath.Join(dir, "main.go"))
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod", "GO111MODULE=off")
	out, err := build.CombinedOutput()
	require.NoErrorf(t, err, "go build: %s", strings.TrimSpace(string(out)))
	binary, err := os.ReadFile(output)
	require.NoError(t, err)
	return binary
}
