package standalone

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

const sentinel = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"

// hostile is an action that misbehaves when its argument "attack" is true and
// otherwise returns its arguments. The code is the misbehaviour.
type hostile struct {
	name   string
	node   string // statements; may use await
	python string // an indented block
	limits harness.Limits
	// ends checks the answer to the attack, and its record with the logs.
	ends func(t *testing.T, r *harness.Response, record func() gjson.Result)
}

func (h hostile) actions() map[string]harness.Action {
	found := map[string]harness.Action{}
	if h.node != "" {
		found["node"] = harness.Node("async function main(args) {\n  if (args.attack) {\n" + h.node + "\n  }\n  return args\n}").With(h.limits)
	}
	if h.python != "" {
		code := "import os, signal, sys, time\ndef main(args):\n    if args.get('attack'):\n"
		for line := range strings.Lines(h.python) {
			code += "        " + line
		}
		found["python"] = harness.Python(code + "\n    return args\n").With(h.limits)
	}
	return found
}

// outcome is the usual check: status and one of some texts.
func outcome(status string, texts ...string) func(*testing.T, *harness.Response, func() gjson.Result) {
	return func(t *testing.T, r *harness.Response, _ func() gjson.Result) {
		t.Helper()
		endsWith(t, r, status, texts...)
	}
}

// truncated checks that one of the last two lines says that the limit of 1 MB
// was reached; after a developer error another notice follows (openwhisk-rest-api.md 10.2).
func truncated(t *testing.T, logs gjson.Result) {
	t.Helper()
	lines := logs.Array()
	require.NotEmpty(t, lines, "log lines")
	last := lines[max(0, len(lines)-2):]
	for _, line := range last {
		if strings.HasSuffix(line.String(), "stderr: Logs were truncated because the total bytes size exceeds the limit of 1048576 bytes.") {
			return
		}
	}
	t.Fatalf("%d lines, the last two %.600s: no notice that the logs were truncated", len(lines), last)
}

func timeLimit(ms int) string {
	return fmt.Sprintf("The action exceeded its time limits of %d milliseconds.", ms)
}

var attacks = []hostile{
	{
		name:   "allocates_past_its_limit",
		node:   `const all = []; for (;;) all.push(Buffer.alloc(8 << 20, 1))`,
		python: `all = []` + "\n" + `while True: all.append(bytearray(os.urandom(1 << 20) * 8))`,
		limits: harness.Limits{Memory: 128, Timeout: 30000},
		ends:   outcome(developerError, exhaustedMemory),
	},
	{
		name: "forks_without_end",
		python: `while True:
    try: os.fork()
    except OSError: time.sleep(0.01)`,
		limits: harness.Limits{Memory: 128, Timeout: 3000},
		ends:   outcome(developerError, timeLimit(3000), exhaustedMemory, exitedUnexpectedly, commandExited),
	},
	{
		name:   "logs_without_end",
		node:   `for (;;) { for (let i = 0; i < 10; i++) console.log("x".repeat(1000)); await new Promise(setImmediate) }`,
		python: `while True: print('x' * 1000)`,
		limits: harness.Limits{Memory: 256, Timeout: 3000, Logs: new(1)},
		ends: func(t *testing.T, r *harness.Response, record func() gjson.Result) {
			endsWith(t, r, developerError, timeLimit(3000))
			logs := record().Get("logs")
			require.Less(t, len(logs.Raw), 3<<20, "size of the logs in the record")
			truncated(t, logs)
		},
	},
	{
		// Node keeps what a full pipe does not take, so this is an attack on memory too.
		name:   "logs_without_ever_waiting",
		node:   `for (;;) console.log("x".repeat(1000))`,
		limits: harness.Limits{Memory: 256, Timeout: 3000, Logs: new(1)},
		ends: func(t *testing.T, r *harness.Response, record func() gjson.Result) {
			endsWith(t, r, developerError, timeLimit(3000), exhaustedMemory)
			require.Less(t, len(record().Get("logs").Raw), 3<<20, "size of the logs in the record")
		},
	},
	{
		name:   "never_answers",
		node:   `await new Promise(() => setInterval(() => {}, 1000))`,
		python: `while True: time.sleep(1)`,
		limits: harness.Limits{Timeout: 1000},
		ends:   outcome(developerError, timeLimit(1000)),
	},
	{
		name:   "loops",
		node:   `for (;;);`,
		python: `while True: pass`,
		limits: harness.Limits{Timeout: 1000},
		ends:   outcome(developerError, timeLimit(1000)),
	},
	{
		name:   "exits",
		node:   `process.exit(0)`,
		python: `os._exit(0)`,
		ends:   outcome(developerError, exitedUnexpectedly, commandExited),
	},
	{
		name:   "kills_everything_it_can",
		node:   `for (const pid of [process.ppid, 1, -1]) { try { process.kill(pid, "SIGKILL") } catch (e) {} }; await new Promise(() => setInterval(() => {}, 1000))`,
		python: "for pid in (os.getppid(), 1, -1):\n    try: os.kill(pid, signal.SIGKILL)\n    except OSError: pass\ntime.sleep(60)",
		limits: harness.Limits{Timeout: 3000},
		ends:   outcome(developerError, exitedUnexpectedly, commandExited, timeLimit(3000)),
	},
	{
		name:   "closes_every_descriptor",
		node:   `const fs = require("fs"); for (let fd = 0; fd < 200; fd++) { try { fs.closeSync(fd) } catch (e) {} }; await new Promise(() => setInterval(() => {}, 1000))`,
		python: "os.closerange(0, 200)\ntime.sleep(60)",
		limits: harness.Limits{Timeout: 3000},
		ends:   outcome(developerError, exitedUnexpectedly, commandExited, timeLimit(3000)),
	},
	{
		name:   "ignores_sigterm",
		node:   `process.on("SIGTERM", () => {}); process.on("SIGINT", () => {}); await new Promise(() => setInterval(() => {}, 1000))`,
		python: "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)",
		limits: harness.Limits{Timeout: 1000},
		ends:   outcome(developerError, timeLimit(1000)),
	},
	{
		name: "prints_the_sentinel_and_garbage",
		node: `for (let i = 0; i < 100; i++) { console.log("` + sentinel + `"); console.error("` + sentinel + `") }
process.stdout.write(Buffer.from([0, 255, 254, 10, 128, 0])); process.stderr.write("{\"error\":")`,
		python: `for i in range(100):
    print('` + sentinel + `')
    print('` + sentinel + `', file=sys.stderr)
sys.stdout.buffer.write(b'\x00\xff\xfe\n\x80\x00')
sys.stderr.write('{"error":')`,
		ends: func(t *testing.T, r *harness.Response, record func() gjson.Result) {
			r.Is(t, 200)
			// What it prints is text: only the runtime ends an activation's logs.
			require.Equal(t, 200, strings.Count(record().Get("logs").Raw, sentinel))
		},
	},
	{
		name:   "prints_one_line_of_20_MB",
		node:   `process.stdout.write("y".repeat(20 << 20))`,
		python: `sys.stdout.write('y' * (20 << 20))`,
		limits: harness.Limits{Logs: new(1), Timeout: 30000},
		ends: func(t *testing.T, r *harness.Response, record func() gjson.Result) {
			r.Is(t, 200)
			logs := record().Get("logs")
			require.Less(t, len(logs.Raw), 3<<20, "size of the logs in the record")
			truncated(t, logs)
		},
	},
	{
		name:   "forges_answers",
		node:   `for (let i = 0; i < 3; i++) { try { require("fs").writeSync(3, "{\"forged\":true}\n") } catch (e) {} }`,
		python: "for i in range(3):\n    try: os.write(3, b'{\"forged\":true}\\n')\n    except OSError: pass",
		// It may fool itself; what follows must not be fooled.
		ends: func(t *testing.T, r *harness.Response, _ func() gjson.Result) { r.Is(t, 200, 502) },
	},
	{
		name:   "returns_10_MB",
		node:   `return {text: "z".repeat(10 << 20)}`,
		python: `return {'text': 'z' * (10 << 20)}`,
		ends: func(t *testing.T, r *harness.Response, record func() gjson.Result) {
			endsWith(t, r, applicationError)
			require.Contains(t, r.Field("response.result.error").String(), " > 1048576 bytes. The truncated response was: ")
			require.Greater(t, record().Get("response.size").Int(), int64(10<<20))
		},
	},
	{
		name: "fills_the_disk",
		python: `written, refused = 0, []
for place in ('filler', '/tmp/filler', '/var/tmp/filler', '/dev/shm/filler'):
    try:
        with open(place, 'wb') as f:
            for _ in range(4096):
                f.write(b'd' * (1 << 20))
                written += 1
    except OSError as e:
        refused.append(e.errno)
return {'refused': len(refused), 'written': written}`,
		limits: harness.Limits{Memory: 256, Timeout: 60000},
		ends: func(t *testing.T, r *harness.Response, _ func() gjson.Result) {
			if r.Status != 200 {
				// Where scratch space is memory, the memory limit may come first.
				endsWith(t, r, developerError, exhaustedMemory)
				return
			}
			require.Equal(t, "4", r.Field("response.result.refused").Raw, "every place is bounded")
			require.Less(t, r.Field("response.result.written").Int(), int64(4096), "MB written")
		},
	},
	{
		name:   "leaves_a_descendant_that_loops",
		python: "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        while True: pass\n    os._exit(0)\nos._exit(1)",
		limits: harness.Limits{Timeout: 3000},
		// The descendant may hold the descriptors whose end would tell of the exit.
		ends: outcome(developerError, exitedUnexpectedly, commandExited, timeLimit(3000)),
	},
}

func TestHostileActions(t *testing.T) {
	s := harness.Start(t, harness.Options{Flags: []string{"--memory", "4096"}})
	n := harness.NewNamespace(t, s, "hostile")
	// The neighbour keeps its container through everything.
	neighbour := harness.NewNamespace(t, s, "neighbour")
	neighbour.PutAction(t, "calm", harness.Node(instance+`function main(args) { return {instance, ...args} }`))
	home := neighbour.Invoke(t, "calm", `{}`).Is(t, 200).Field("response.result.instance").String()

	for _, attack := range attacks {
		for language, action := range attack.actions() {
			t.Run(attack.name+"/"+language, func(t *testing.T) {
				name := attack.name + "-" + language
				n.PutAction(t, name, action)
				r := n.Invoke(t, name, `{"attack":true}`)
				attack.ends(t, r, func() gjson.Result { return n.Activation(t, r.ActivationID()) })

				for i := range 3 {
					next := n.Invoke(t, name, fmt.Sprintf(`{"call":%d}`, i)).Is(t, 200)
					require.True(t, harness.SameJSON(fmt.Sprintf(`{"call":%d}`, i), next.Field("response.result").Raw), "call %d after the attack: %s", i, next.Body)
					logs := n.Activation(t, next.ActivationID()).Get("logs")
					require.Empty(t, logs.Array(), "logs of call %d after the attack: %.500s", i, logs.Raw)
				}
				calm := neighbour.Invoke(t, "calm", `{"x":1}`).Is(t, 200)
				require.Equal(t, home, calm.Field("response.result.instance").String(), "the neighbour's container")
			})
		}
	}

	t.Run("nothing_is_left", func(t *testing.T) {
		processes := harness.Descendants(s.PID())
		s.Stop(t)
		require.Empty(t, harness.Alive(processes), "processes")
		require.Empty(t, harness.Leftovers(t, s.Dir()), "processes that use the data directory")
	})
}
