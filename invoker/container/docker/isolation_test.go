package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These tests hold what docs/containers.md promises of actions that try to leave
// their limits: each attempt fails, and whoever tried is told how.

// patience bounds everything that should take no time.
const patience = 20 * time.Second

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// box is a started container of the engine.
type box struct {
	*Container
	t testing.TB
}

// startPython starts a container with a Python action.
func startPython(t testing.TB, f *Factory, memory entity.Megabytes, source string) *box {
	t.Helper()
	return start(t, f, container.Spec{Kind: "python:3.11", Image: imageOf("python:3.11"), Memory: memory}, source)
}

func start(t testing.TB, f *Factory, spec container.Spec, source string) *box {
	t.Helper()
	spec.Name, spec.Concurrency = "isolation-"+fmt.Sprint(time.Now().UnixNano()), max(spec.Concurrency, 1)
	c, err := f.Start(within(t, patience), spec)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Destroy(within(t, patience))) })
	b := &box{c.(*Container), t}
	if source != "" {
		b.init(source)
	}
	return b
}

func (b *box) init(source string) {
	b.t.Helper()
	response, err := b.post("/init", map[string]any{"value": map[string]any{"name": "action", "main": "main", "code": source, "binary": false}})
	require.NoError(b.t, err)
	require.Equal(b.t, 200, response.Status, "%s", response.Body)
}

func (b *box) post(path string, body any) (container.Response, error) {
	b.t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(b.t, err)
	return b.Call(within(b.t, patience), path, encoded, 1<<20)
}

// run runs the action and decodes its result.
func (b *box) run(arguments, result any) {
	b.t.Helper()
	response, err := b.post("/run", map[string]any{"value": arguments})
	require.NoError(b.t, err)
	require.Equal(b.t, 200, response.Status, "%s", response.Body)
	require.NoError(b.t, json.Unmarshal(response.Body, result), "%s", response.Body)
}

// texts are the lines of the last activation without their times.
func (b *box) texts() []string {
	b.t.Helper()
	logs := b.Logs(within(b.t, patience), container.LogQuery{Limit: 10, WaitForSentinel: true})
	require.False(b.t, logs.Incomplete, "%v", logs.Lines)
	texts := []string{}
	for _, l := range logs.Lines {
		_, text, _ := strings.Cut(l, "Z ")
		texts = append(texts, strings.TrimSpace(text))
	}
	return texts
}

func TestMemory(t *testing.T) {
	f := open(t, config(t.TempDir()))
	const hog = "def main(args):\n    hog = []\n    while True:\n        hog.append(b'x' * 1000000)"
	const echo = "def main(args):\n    return {}"
	t.Run("whoever exceeds it is ended and told why", func(t *testing.T) {
		neighbour := startPython(t, f, 128, echo)
		_, err := startPython(t, f, 128, hog).post("/run", map[string]any{"value": nil})
		require.ErrorIs(t, err, container.ErrOutOfMemory)
		neighbour.run(nil, &struct{}{})
	})
	t.Run("files in memory count", func(t *testing.T) {
		b := startPython(t, f, 128, `
import os
def main(args):
    for place in ('/action', '/tmp', '/dev/shm'):
        with open(place + '/fill', 'wb') as f:
            try:
                while True:
                    f.write(b'x' * 65536)
            except OSError:
                pass
    hog = [b'x' * 1000000 for i in range(100)]
    return {'survived': len(hog)}`)
		_, err := b.post("/run", map[string]any{"value": nil})
		require.ErrorIs(t, err, container.ErrOutOfMemory)
	})
	t.Run("an engine elsewhere tells of it with its events", func(t *testing.T) {
		b := startPython(t, f, 128, hog)
		b.memory.mu.Lock()
		b.memory.file = "" // the control group of another machine cannot be read
		b.memory.mu.Unlock()
		_, err := b.post("/run", map[string]any{"value": nil})
		require.ErrorIs(t, err, container.ErrOutOfMemory)
	})
	t.Run("there is no swap beyond it", func(t *testing.T) {
		state, err := f.api.ContainerInspect(within(t, patience), startPython(t, f, 128, "").engineID())
		require.NoError(t, err)
		assert.EqualValues(t, 128<<20, state.HostConfig.Memory)
		assert.Contains(t, []int64{-1, 128 << 20}, state.HostConfig.MemorySwap, "-1 where the kernel cannot limit swap")
	})
}

func TestProcesses(t *testing.T) {
	c := config(t.TempDir())
	c.Processes = 64
	f := open(t, c)
	neighbour := startPython(t, f, 128, "import os\ndef main(args):\n    if os.fork() == 0:\n        os._exit(0)\n    return {}")
	b := startPython(t, f, 256, `
import os, time
def main(args):
    children = 0
    try:
        while True:
            if os.fork() == 0:
                time.sleep(1000)
            children += 1
    except OSError as e:
        neighbourly = str(e)
    return {'children': children, 'error': neighbourly}`)
	var result struct {
		Children int
		Error    string
	}
	b.run(nil, &result)
	assert.Equal(t, "[Errno 11] Resource temporarily unavailable", result.Error)
	assert.Less(t, result.Children, 64)
	assert.Greater(t, result.Children, 20)
	neighbour.run(nil, &struct{}{})
}

func TestDisk(t *testing.T) {
	c := config(t.TempDir())
	c.Scratch = 64
	f := open(t, c)
	b := startPython(t, f, 512, `
import os
def fill(place):
    total = 0
    try:
        for i in range(1000):
            with open('%s/f%d' % (place, i), 'wb', buffering=0) as f:
                while total < 1 << 30:
                    total += f.write(b'x' * 65536)
    except OSError as e:
        return {'total': total, 'error': e.strerror}
def number(place):
    try:
        for i in range(10 ** 6):
            os.close(os.open('%s/n%d' % (place, i), os.O_CREAT | os.O_WRONLY))
    except OSError as e:
        return {'total': i, 'error': e.strerror}
def main(args):
    return {'bytes': {p: fill(p) for p in args['bytes']}, 'files': {p: number(p) for p in args['files']}}`)
	type attempt struct {
		Total int
		Error string
	}
	var result struct{ Bytes, Files map[string]attempt }
	b.run(map[string]any{
		"files": []string{"/action"},
		"bytes": []string{"/tmp", "/dev/shm", "/", "/etc", "/usr/local/bin", "/var/tmp", "/home", "/run", "/launchers"},
	}, &result)
	const room = 32 << 20 // two directories share the 64 MB
	assert.LessOrEqual(t, result.Bytes["/tmp"].Total, room)
	assert.Greater(t, result.Bytes["/tmp"].Total, room/2)
	assert.Equal(t, "No space left on device", result.Bytes["/tmp"].Error)
	assert.LessOrEqual(t, result.Bytes["/dev/shm"].Total, 512/16<<20)
	assert.Equal(t, "No space left on device", result.Bytes["/dev/shm"].Error)
	for _, place := range []string{"/", "/etc", "/usr/local/bin", "/var/tmp", "/home", "/run", "/launchers"} {
		assert.Zero(t, result.Bytes[place].Total, place)
		assert.Contains(t, []string{"Read-only file system", "Permission denied"}, result.Bytes[place].Error, place)
	}
	assert.Equal(t, "No space left on device", result.Files["/action"].Error)
	assert.Less(t, result.Files["/action"].Total, 32*256)

	root := start(t, open(t, asRoot(t)), container.Spec{Kind: "python:3.11", Image: imageOf("python:3.11"), Memory: 128}, `
def main(args):
    refusals = {}
    for place in args['places']:
        try:
            open(place + '/was-here', 'w')
        except OSError as e:
            refusals[place] = e.strerror
    return refusals`)
	refusals := map[string]string{}
	root.run(map[string]any{"places": []string{"/", "/etc", "/usr/bin", "/root", "/run"}}, &refusals)
	assert.Equal(t, map[string]string{
		"/": "Read-only file system", "/etc": "Read-only file system", "/usr/bin": "Read-only file system",
		"/root": "Read-only file system", "/run": "Read-only file system",
	}, refusals, "also not by root")
}

// asRoot is a configuration whose containers run as the container's root.
func asRoot(t testing.TB) Config {
	c := config(t.TempDir())
	c.User = "0:0"
	return c
}

// attempts is an action that tries what takes privileges, and returns what it was
// told; what succeeded has "".
const attempts = `
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    if getattr(libc, name)(*args) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def status():
    with open('/proc/self/status') as f:
        fields = dict(line.strip().split(':\t', 1) for line in f if ':\t' in line)
    return {k: fields[k] for k in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp')}
def own(path):
    open(path, 'w').close()
    os.chown(path, 1, 1)
def write(path, text):
    with open(path, 'w') as f:
        f.write(text)
tries = {
    'change an owner': lambda: own('/tmp/owned'),
    'become another user': lambda: os.setuid(1),
    'mount a file system': lambda: call('mount', b'none', b'/tmp', b'tmpfs', 0, None),
    'unmount one': lambda: call('umount', b'/action'),
    'make the root writable': lambda: call('mount', None, b'/', None, 32, None),
    'make a device': lambda: os.mknod('/tmp/disk', 0o60600, os.makedev(8, 0)),
    'have a raw socket': lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    'have a packet socket': lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    'name the host': lambda: socket.sethostname('mine'),
    'change the root': lambda: os.chroot('/tmp'),
    'make a user namespace': lambda: call('unshare', 0x10000000),
    'make a network namespace': lambda: call('unshare', 0x40000000),
    'load a module': lambda: call('syscall', 175, b'', 0, b''),
    'set the clock': lambda: __import__('time').clock_settime(0, 0),
    'raise a limit': lambda: __import__('resource').setrlimit(7, (1 << 20, 1 << 20)),
    'raise a priority': lambda: os.setpriority(os.PRIO_PROCESS, 0, -5),
    'set a kernel option': lambda: write('/proc/sys/kernel/core_pattern', '|/tmp/x'),
    'crash the machine': lambda: write('/proc/sysrq-trigger', 'c'),
    'leave its control group': lambda: write('/sys/fs/cgroup/memory/cgroup.procs', str(os.getpid())),
    'raise its memory': lambda: write('/sys/fs/cgroup/memory/memory.limit_in_bytes', '-1'),
    'read kernel memory': lambda: open('/proc/kcore', 'rb').read(1) or call('close', -1),
    'talk to the engine': lambda: socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock'),
    'read the keys of the kernel': lambda: call('syscall', 250, 0, -1, 1),
}
def main(args):
    errors = {}
    for name, attempt in tries.items():
        try:
            attempt()
            errors[name] = ''
        except (OSError, ValueError) as e:
            errors[name] = str(e)
    return {'status': status(), 'errors': errors}`

func TestCapabilities(t *testing.T) {
	for user, c := range map[string]Config{"as the image's user": config(t.TempDir()), "as root": asRoot(t)} {
		t.Run(user, func(t *testing.T) {
			var result struct{ Status, Errors map[string]string }
			startPython(t, open(t, c), 128, attempts).run(nil, &result)
			const none = "0000000000000000"
			assert.Equal(t, map[string]string{
				"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none, "NoNewPrivs": "1", "Seccomp": "2",
			}, result.Status)
			require.Len(t, result.Errors, 23)
			for what, refusal := range result.Errors {
				assert.NotEmpty(t, refusal, "an action could %s", what)
			}
		})
	}
}
