package containertest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (s *suite) roundTrip(t *testing.T) {
	for kind, source := range map[string]string{
		s.Node:   `function main(args) { return {greeting: 'Hello ' + args.name + ' 😀'} }`,
		s.Python: "def main(args):\n    return {'greeting': 'Hello ' + args['name'] + ' 😀'}",
		s.Shell:  "#!/bin/sh\nprintf '{\"greeting\":\"Hello Ada 😀\"}\\n'\n",
	} {
		t.Run(kind, func(t *testing.T) {
			b := s.start(t, kind).code(source)
			for range 3 {
				require.Equal(t, map[string]any{"greeting": "Hello Ada 😀"}, b.run(map[string]any{"name": "Ada"}))
				assert.Empty(t, b.texts(10))
			}
		})
	}
	t.Run("blackbox", func(t *testing.T) {
		b := s.start(t, "blackbox", func(spec *container.Spec) { spec.Image = s.SkeletonImage })
		b.code("#!/bin/sh\necho working\necho '{\"ok\":true}'\n")
		require.Equal(t, map[string]any{"ok": true}, b.run(map[string]any{}))
		assert.Equal(t, []string{"stdout: working"}, b.texts(10))
	})
}

func (s *suite) startErrors(t *testing.T) {
	var user *container.StartError
	if s.MissingKind != "" {
		_, err := s.Start(within(t, patience), container.Spec{Name: "missing", Kind: s.MissingKind, Image: "example.invalid/no/such:runtime", Memory: 128, Concurrency: 1})
		require.ErrorAs(t, err, &user)
		assert.Equal(t, "The runtime '"+s.MissingKind+"' is not available on this server.", user.Text)
	}
	_, err := s.Start(within(t, patience), container.Spec{Name: "image", Kind: "blackbox", Image: "example.invalid/no/such:image", Memory: 128, Concurrency: 1})
	require.ErrorAs(t, err, &user)
	assert.Equal(t, "Failed to pull container image 'example.invalid/no/such:image'.", user.Text)
}

func (s *suite) startContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.Start(ctx, container.Spec{Name: "late", Kind: s.Node, Memory: 128, Concurrency: 1})
	require.ErrorIs(t, err, context.Canceled)
}

func (s *suite) environment(t *testing.T) {
	python := "import os\ndef main(args):\n    return dict(os.environ)"
	node := `function main() { return {...process.env} }`
	for kind, source := range map[string]string{s.Node: node, s.Python: python} {
		t.Run(kind, func(t *testing.T) {
			env := s.start(t, kind).code(source).run(map[string]any{})
			assert.Equal(t, "http://api.example:3233", env["__OW_API_HOST"])
			assert.Equal(t, "guest", env["__OW_NAMESPACE"])
			assert.Equal(t, "/guest/action", env["__OW_ACTION_NAME"])
			assert.NotEmpty(t, env["PATH"])
			for name := range env {
				assert.NotContains(t, name, "SECRET", "the server's environment leaks")
			}
		})
	}
}

func (s *suite) logs(t *testing.T) {
	python := `
import sys
def main(args):
    print('out', args['n'])
    print('err', args['n'], file=sys.stderr)
    sys.stdout.write('no newline')
    return {}`
	node := `function main(args) { console.log('out', args.n); console.error('err', args.n); process.stdout.write('no newline'); return {} }`
	for kind, source := range map[string]string{s.Node: node, s.Python: python} {
		t.Run(kind, func(t *testing.T) {
			b := s.start(t, kind).code(source)
			for _, n := range []string{"1", "2", "3"} {
				b.run(map[string]any{"n": json.RawMessage(n)})
				assert.ElementsMatch(t, []string{"stdout: out " + n, "stderr: err " + n, "stdout: no newline"}, b.texts(10))
			}
		})
	}
	t.Run("of a successful init belong to the first run", func(t *testing.T) {
		b := s.start(t, s.Python).code("print('loading')\n" + pythonEcho)
		b.run(map[string]any{})
		assert.Equal(t, []string{"stdout: loading"}, b.texts(10))
		b.run(map[string]any{})
		assert.Empty(t, b.texts(10))
	})
	t.Run("have the form of the record", func(t *testing.T) {
		b := s.start(t, s.Node).code(`function main() { console.log('hello'); return {} }`)
		before := time.Now().Add(-time.Second)
		b.run(map[string]any{})
		lines := b.Logs(within(t, patience), container.LogQuery{Limit: 10, WaitForSentinel: true}).Lines
		require.Len(t, lines, 1)
		require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z {1,}stdout: hello$`, lines[0])
		stamp, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(lines[0][:30]))
		require.NoError(t, err)
		assert.WithinRange(t, stamp, before, time.Now().Add(time.Second))
	})
}

func (s *suite) truncatedLogs(t *testing.T) {
	b := s.start(t, s.Node).code(`function main(args) { for (let i = 0; i < args.lines; i++) console.log('x'.repeat(1000)); return {} }`)
	b.run(map[string]any{"lines": 3000})
	logs := b.Logs(within(t, patience), container.LogQuery{Limit: 1, WaitForSentinel: true})
	require.True(t, logs.Truncated)
	require.False(t, logs.Incomplete)
	texts := strip(logs.Lines)
	assert.Equal(t, "stderr: Logs were truncated because the total bytes size exceeds the limit of 1048576 bytes.", texts[len(texts)-1])
	assert.Less(t, len(strings.Join(logs.Lines, "\n")), 1<<20+1000)
	assert.Greater(t, len(logs.Lines), 800)
	// The stream goes on behind it.
	b.run(map[string]any{"lines": 1})
	assert.Len(t, b.texts(10), 1)
}

func (s *suite) garbage(t *testing.T) {
	b := s.start(t, s.Python).code(`
import os
def main(args):
    os.write(1, bytes(range(256)) * 4 + b'\n')
    os.write(2, b'\xff' * 1000000)
    os.write(1, b'\n\n\r\n')
    return {}`)
	b.run(map[string]any{})
	for _, text := range b.texts(10) {
		assert.True(t, utf8.ValidString(text))
	}
	b.run(map[string]any{})
	assert.NotEmpty(t, b.texts(10))
}

func (s *suite) endlessLogs(t *testing.T) {
	b := s.start(t, s.Python).code(`
import os
def main(args):
    while True:
        os.write(1, b'endless ' * 8000)`)
	body, err := json.Marshal(request(map[string]any{}))
	require.NoError(t, err)
	_, err = b.Call(within(t, time.Second), "/run", body, 1<<20)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	logs := b.Logs(within(t, patience), container.LogQuery{Limit: 1})
	assert.Less(t, len(strings.Join(logs.Lines, "\n")), 1<<20+1000)
}

func (s *suite) longAnswer(t *testing.T) {
	b := s.start(t, s.Node).code(`function main(args) { return {long: 'x'.repeat(args.n)} }`)
	response, err := b.post("/run", request(map[string]any{"n": 3 << 20}))
	require.NoError(t, err)
	assert.EqualValues(t, 3<<20+len(`{"long":""}`), response.Length)
	assert.Len(t, response.Body, 1<<20)
	assert.Len(t, b.run(map[string]any{"n": 10})["long"], 10)
	assert.Empty(t, b.texts(10))
}

func (s *suite) deadline(t *testing.T) {
	b := s.start(t, s.Python).code("def main(args):\n    print('spinning', flush=True)\n    while True: pass")
	body, err := json.Marshal(request(map[string]any{}))
	require.NoError(t, err)
	_, err = b.Call(within(t, 500*time.Millisecond), "/run", body, 1<<20)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	logs := b.Logs(within(t, patience), container.LogQuery{Limit: 10})
	assert.Equal(t, []string{"stdout: spinning"}, strip(logs.Lines))
}

func (s *suite) concurrency(t *testing.T) {
	b := s.start(t, s.Node, func(spec *container.Spec) { spec.Concurrency = 5 })
	b.code(`let waiting = [];
function main(args) {
  return new Promise(resolve => {
    waiting.push(() => resolve({n: args.n}));
    if (waiting.length == 5) { waiting.forEach(go => go()); waiting = []; }
  });
}`)
	for range 2 {
		var calls sync.WaitGroup
		answers := make([]string, 5)
		for n := range answers {
			body, err := json.Marshal(request(map[string]any{"n": n}))
			require.NoError(t, err)
			calls.Go(func() {
				response, err := b.Call(within(t, patience), "/run", body, 1<<20)
				if err == nil {
					answers[n] = string(response.Body)
				}
			})
		}
		calls.Wait()
		assert.Equal(t, []string{`{"n":0}`, `{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`}, answers)
	}
}

func (s *suite) runtimeDies(t *testing.T) {
	for kind, source := range map[string]string{
		s.Node:   `function main() { console.log('bye'); process.exit(3) }`,
		s.Python: "import os\ndef main(args):\n    print('bye', flush=True)\n    os._exit(3)",
	} {
		t.Run(kind, func(t *testing.T) {
			b := s.start(t, kind).code(source)
			response, err := b.post("/run", request(map[string]any{}))
			if err == nil {
				assert.NotEqual(t, 200, response.Status)
			} else {
				require.ErrorIs(t, err, container.ErrNoResponse)
			}
			logs := b.Logs(within(t, patience), container.LogQuery{Limit: 10})
			assert.Contains(t, strip(logs.Lines), "stdout: bye")
			response, err = b.post("/run", request(map[string]any{}))
			assert.True(t, err != nil || response.Status != 200)
		})
	}
}

func (s *suite) pause(t *testing.T) {
	for kind, source := range map[string]string{s.Node: nodeEcho, s.Python: pythonEcho} {
		t.Run(kind, func(t *testing.T) {
			b := s.start(t, kind).code(source)
			b.requireAlive()
			for range 3 {
				require.NoError(t, b.Pause(within(t, patience)))
				require.NoError(t, b.Resume(within(t, patience)))
				b.requireAlive()
			}
			require.NoError(t, b.Pause(within(t, patience)))
			body, err := json.Marshal(request(map[string]any{}))
			require.NoError(t, err)
			_, err = b.Call(within(t, 200*time.Millisecond), "/run", body, 1<<20)
			require.ErrorIs(t, err, context.DeadlineExceeded, "a paused container answers")
			require.NoError(t, b.Resume(within(t, patience)))
			require.Eventually(t, func() bool { // the abandoned run may still be under way
				response, err := b.post("/run", request(map[string]any{}))
				return err == nil && response.Status == 200
			}, patience, 10*time.Millisecond)
		})
	}
}

// callInBackground runs the action and returns what the call will return.
func (b *box) callInBackground(t *testing.T) <-chan error {
	body, err := json.Marshal(request(map[string]any{}))
	require.NoError(t, err)
	returned := make(chan error, 1)
	ctx := within(t, patience)
	go func() {
		_, err := b.Call(ctx, "/run", body, 1<<20)
		returned <- err
	}()
	return returned
}

// awaitLine waits until the action has printed a line.
func (b *box) awaitLine(line string) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		logs := b.Logs(within(b.t, patience), container.LogQuery{Limit: 1})
		return strings.Contains(strings.Join(logs.Lines, "\n"), line)
	}, patience, time.Millisecond)
}

func (s *suite) destroyDuringCall(t *testing.T) {
	b := s.start(t, s.Python).code("import time\ndef main(args):\n    print('sleeping', flush=True)\n    time.sleep(1000)")
	returned := b.callInBackground(t)
	b.awaitLine("sleeping")
	b.destroy()
	err := <-returned
	require.Error(t, err)
	require.False(t, errors.Is(err, container.ErrOutOfMemory), "%v", err)
	b.destroy() // more than once is fine
	_, err = b.post("/run", request(map[string]any{}))
	require.Error(t, err)
}

func (s *suite) destroyWhilePaused(t *testing.T) {
	b := s.start(t, s.Python).code(pythonEcho)
	require.NoError(t, b.Pause(within(t, patience)))
	b.destroy()
}

func (s *suite) daemon(t *testing.T) {
	b := s.start(t, s.Python).code(`
import os, subprocess, time
def main(args):
    subprocess.Popen(['setsid', 'sleep', '1000'], close_fds=True)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
    return {}`)
	b.run(map[string]any{})
	b.destroy() // the residue is checked after each test
}

// testLeftovers kills an owner of containers and sweeps.
func testLeftovers(t *testing.T, open func(t *testing.T) container.Factory, o Options) {
	owner := o.Owner(t)
	out, err := owner.StdoutPipe()
	require.NoError(t, err)
	owner.Stderr = os.Stderr
	require.NoError(t, owner.Start())
	line := make([]byte, len("started\n"))
	_, err = out.Read(line)
	require.NoError(t, err)
	require.Equal(t, "started\n", string(line))
	require.NotEmpty(t, o.Residue(), "the owner started nothing, or Residue does not see it")
	require.NoError(t, owner.Process.Kill())
	require.Error(t, owner.Wait())
	open(t) // sweeps
	require.Eventually(t, func() bool { return len(o.Residue()) == 0 }, patience, 10*time.Millisecond)
}
