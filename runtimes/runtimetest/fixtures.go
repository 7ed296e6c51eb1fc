package runtimetest

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"encoding/base64"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// behaviour names what a fixture does, the same in every language.
type behaviour string

const (
	identity   behaviour = "identity"    // returns its arguments
	readsEnv   behaviour = "env"         // returns MYINIT as seen while loading ("loaded") and running ("now")
	contextual behaviour = "context"     // returns the __OW_ variables
	unicode    behaviour = "unicode"     // prints and returns ☃ around the argument "delimiter"
	notObject  behaviour = "not object"  // returns a string
	chatty     behaviour = "chatty"      // prints out N and err N, N being the argument "n"
	noisy      behaviour = "noisy"       // prints as many lines "line" as the argument "n" says on each stream
	unfinished behaviour = "unfinished"  // prints on both streams without a final newline
	hangs      behaviour = "hangs"       // prints two lines "going", then waits for ever
	exits      behaviour = "exits"       // ends the process
	big        behaviour = "big"         // returns a string of the length in the argument "n"
	otherEntry behaviour = "other entry" // identity, by the entry point niam
)

// language makes fixtures for the kinds of a family.
type language struct {
	fixture func(t testing.TB, b behaviour) Code
	// entryPoints: the language has functions that main can name.
	entryPoints bool
	// restarts: the code runs in a process per activation, so that an exit says
	// nothing about the next activation.
	restarts bool
}

var languages = map[string]language{
	"nodejs": {fixture: sources(nodeFixtures), entryPoints: true},
	"python": {fixture: sources(pythonFixtures), entryPoints: true},
	"php":    {fixture: sources(phpFixtures), entryPoints: true},
	"ruby":   {fixture: sources(rubyFixtures), entryPoints: true},
	"java":   {fixture: javaFixture, entryPoints: true},
	"go":     {fixture: sources(goFixtures), entryPoints: true},
	"shell":  {fixture: sources(shellFixtures), restarts: true},
	"native": {fixture: nativeFixture},
}

func sources(of map[behaviour]string) func(testing.TB, behaviour) Code {
	return func(t testing.TB, b behaviour) Code {
		code, ok := of[b]
		require.True(t, ok, "no fixture for %s", b)
		c := Code{Code: code}
		if b == otherEntry {
			c.Main = "niam"
		}
		return c
	}
}

var nodeFixtures = map[behaviour]string{
	identity:   `function main(args) { return args }`,
	otherEntry: `function niam(args) { return args }`,
	readsEnv:   `const loaded = process.env.MYINIT; function main() { return { loaded, now: process.env.MYINIT } }`,
	contextual: `function main() { const e = process.env; return {
		namespace: e.__OW_NAMESPACE, action_name: e.__OW_ACTION_NAME, action_version: e.__OW_ACTION_VERSION,
		activation_id: e.__OW_ACTIVATION_ID, transaction_id: e.__OW_TRANSACTION_ID, deadline: e.__OW_DEADLINE, api_key: e.__OW_API_KEY } }`,
	unicode:    `function main(args) { const s = "☃ " + args.delimiter + " ☃"; console.log(s); return { winter: s } }`,
	notObject:  `function main() { return "a string" }`,
	chatty:     `function main(args) { console.log("out " + args.n); console.error("err " + args.n); return {} }`,
	noisy:      `function main(args) { for (let i = 0; i < args.n; i++) { console.log("line"); console.error("line") } return {} }`,
	unfinished: `function main() { process.stdout.write("half"); process.stderr.write("half"); return {} }`,
	hangs:      `function main() { console.log("going"); console.log("going"); return new Promise(() => setInterval(() => {}, 1e6)) }`,
	exits:      `function main() { console.log("going"); process.exit(3) }`,
	big:        `function main(args) { return { big: "x".repeat(args.n) } }`,
}

var pythonFixtures = map[behaviour]string{
	identity:   "def main(args):\n    return args\n",
	otherEntry: "def niam(args):\n    return args\n",
	readsEnv:   "import os\nloaded = os.environ.get('MYINIT')\ndef main(args):\n    return {'loaded': loaded, 'now': os.environ.get('MYINIT')}\n",
	contextual: "import os\ndef main(args):\n    return {k: os.environ.get('__OW_' + k.upper()) for k in ('namespace', 'action_name', 'action_version', 'activation_id', 'transaction_id', 'deadline', 'api_key')}\n",
	unicode:    "def main(args):\n    s = '☃ ' + args['delimiter'] + ' ☃'\n    print(s)\n    return {'winter': s}\n",
	notObject:  "def main(args):\n    return 'a string'\n",
	chatty:     "import sys\ndef main(args):\n    print('out', args['n'])\n    print('err', args['n'], file=sys.stderr)\n    return {}\n",
	noisy:      "import sys\ndef main(args):\n    for i in range(args['n']):\n        print('line')\n        print('line', file=sys.stderr)\n    return {}\n",
	unfinished: "import sys\ndef main(args):\n    sys.stdout.write('half')\n    sys.stderr.write('half')\n    return {}\n",
	hangs:      "import time\ndef main(args):\n    print('going')\n    print('going')\n    time.sleep(1e6)\n",
	exits:      "import sys\ndef main(args):\n    print('going')\n    sys.exit(3)\n",
	big:        "def main(args):\n    return {'big': 'x' * args['n']}\n",
}

var shellFixtures = map[behaviour]string{
	identity: "#!/bin/sh\ncat\necho\n",
	readsEnv: `echo "{\"loaded\":\"$MYINIT\",\"now\":\"$MYINIT\"}"`,
	contextual: `echo "{\"namespace\":\"$__OW_NAMESPACE\",\"action_name\":\"$__OW_ACTION_NAME\",\"action_version\":\"$__OW_ACTION_VERSION\",` +
		`\"activation_id\":\"$__OW_ACTIVATION_ID\",\"transaction_id\":\"$__OW_TRANSACTION_ID\",\"deadline\":\"$__OW_DEADLINE\",\"api_key\":\"$__OW_API_KEY\"}"`,
	unicode:    `s="☃ $(echo "$1" | sed 's/.*"delimiter":"\([^"]*\)".*/\1/') ☃"; echo "$s"; echo "{\"winter\":\"$s\"}"`,
	notObject:  `echo '"a string"'`,
	chatty:     `n=$(echo "$1" | sed 's/[^0-9]//g'); echo "out $n"; echo "err $n" >&2; echo '{}'`,
	noisy:      `n=$(echo "$1" | sed 's/[^0-9]//g'); yes line | head -n "$n"; yes line | head -n "$n" >&2; echo '{}'`,
	unfinished: `printf half >&2; echo half; printf '{}'`,
	hangs:      `echo going; echo going; sleep 1000`,
	exits:      `echo going; exit 3`,
	big:        `n=$(echo "$1" | sed 's/[^0-9]//g'); printf '{"big":"'; head -c "$n" /dev/zero | tr '\0' x; echo '"}'`,
}

//go:embed native/main.go.txt
var nativeSource []byte

// nativeProgram is compiled once per test process. The program does what the
// init variable FIXTURE says.
var nativeProgram = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "runtimetest")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, nativeSource, 0o644); err != nil {
		return nil, err
	}
	program := filepath.Join(dir, "exec")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, source)
	build.Dir = dir
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GO111MODULE=off", "GOFLAGS=")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(program)
})

func nativeFixture(t testing.TB, b behaviour) Code {
	t.Helper()
	program, err := nativeProgram()
	require.NoError(t, err, "build the native fixture")
	return Code{Code: base64.StdEncoding.EncodeToString(program), Binary: true, Env: map[string]string{"FIXTURE": string(b)}}
}

// File is one file of an archive.
type File struct {
	Name, Text string
	Mode       fs.FileMode // 0 is 0644
}

// Zip packs files as code for an init request.
func Zip(t testing.TB, files ...File) Code {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.Name, Method: zip.Deflate}
		if f.Mode == 0 {
			f.Mode = 0o644
		}
		h.SetMode(f.Mode)
		entry, err := w.CreateHeader(h)
		require.NoError(t, err)
		_, err = strings.NewReader(f.Text).WriteTo(entry)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return Code{Code: base64.StdEncoding.EncodeToString(b.Bytes()), Binary: true}
}
