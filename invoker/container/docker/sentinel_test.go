package docker

import (
	"bytes"
	"strings"
	"testing"

	engine "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLogSentinel(t *testing.T) {
	f := open(t, config(t.TempDir()))
	b := startPython(t, f, 128, `
import os, re, sys
sentinel = 'XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX'
def readable():
    for pid in [p for p in os.listdir('/proc') if p.isdigit()]:
        for name in ('environ', 'cmdline', 'maps', 'mem', 'fd', 'root', 'cwd', 'exe'):
            path = '/proc/%s/%s' % (pid, name)
            try:
                if name == 'fd':
                    found = ' '.join(os.readlink(path + '/' + fd) for fd in os.listdir(path)).encode()
                elif name in ('root', 'cwd', 'exe'):
                    found = os.readlink(path).encode()
                else:
                    with open(path, 'rb') as f:
                        found = f.read(1 << 20)
            except (OSError, ValueError):
                continue
            yield pid, path, found
def main(args):
    guesses = {'', *args['guesses']}
    proxys = []
    for pid, path, found in readable():
        if pid == '1' and not path.endswith('cmdline'):
            proxys.append(path)
        if pid != str(os.getpid()):
            guesses.update(w.decode() for w in re.findall(rb'[A-Z2-7]{26}', found))
    for guess in sorted(guesses):
        print(sentinel + guess, flush=True)
        print(sentinel + guess, file=sys.stderr, flush=True)
    print('behind')
    return {'guesses': len(guesses), 'proxys': proxys}`)
	var result struct {
		Guesses int
		Proxys  []string
	}
	for range 2 { // what was forged would show up here the second time
		b.run(map[string]any{"guesses": []string{"ABCDEFGHIJKLMNOPQRSTUVWXYZ"}}, &result)
		texts := b.texts()
		assert.Contains(t, texts, "stdout: behind")
		assert.Len(t, texts, 2*result.Guesses+1)
		assert.Empty(t, result.Proxys, "the proxy's files can be read")
	}
}

// TestStolenLogs: what an action may write to it can open for reading. What it gets
// there is only what it printed itself.
func TestStolenLogs(t *testing.T) {
	b := startPython(t, open(t, config(t.TempDir())), 128, `
import os, re, select, threading
stolen = {1: b'', 2: b''}
def steal(number):
    fd = os.open('/proc/self/fd/%d' % number, os.O_RDONLY | os.O_NONBLOCK)
    while True:
        select.select([fd], [], [])
        try:
            stolen[number] += os.read(fd, 65536)
        except BlockingIOError:
            pass
for number in stolen:
    threading.Thread(target=steal, args=(number,), daemon=True).start()
def main(args):
    for i in range(100):
        os.write(1, b'mine\n')
        os.write(2, b'mine\n')
    return {'marks': sum(len(re.findall(rb'TION_XXX', s)) for s in stolen.values()), 'bytes': sum(map(len, stolen.values()))}`)
	var result struct{ Marks, Bytes int }
	for range 20 {
		b.run(nil, &result)
		b.texts()
	}
	assert.Zero(t, result.Marks)
	assert.NotZero(t, result.Bytes, "the thief had something to steal")
}

// TestQuietActivations: what prints nothing has no sentinel, and its logs are
// complete at once.
func TestQuietActivations(t *testing.T) {
	b := startPython(t, open(t, config(t.TempDir())), 128, `
import sys
def main(args):
    for name in args['print']:
        print(name, file=getattr(sys, name))
    return {}`)
	for _, print := range [][]string{{}, {"stdout"}, {}, {"stderr"}, {"stdout", "stderr"}, {}} {
		b.run(map[string]any{"print": print}, &struct{}{})
		want := []string{}
		for _, name := range print {
			want = append(want, name+": "+name)
		}
		assert.ElementsMatch(t, want, b.texts())
	}
	logs, err := b.factory.api.ContainerLogs(within(t, patience), b.engineID(), engine.LogsOptions{ShowStdout: true, ShowStderr: true})
	require.NoError(t, err)
	var out bytes.Buffer
	_, err = stdcopy.StdCopy(&out, &out, logs)
	require.NoError(t, err)
	require.NoError(t, logs.Close())
	assert.Equal(t, 8, strings.Count(out.String(), "\n"), "four lines and their sentinels:\n%s", &out)
}
