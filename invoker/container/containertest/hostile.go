package containertest

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (s *suite) outOfMemory(t *testing.T) {
	if !s.LimitsMemory {
		return
	}
	neighbour := s.start(t, s.Python).code(pythonEcho)
	for kind, source := range map[string]string{
		s.Python: "def main(args):\n    hog = []\n    while True:\n        hog.append(b'x' * 1000000)",
		s.Node:   `function main() { const hog = []; for (;;) hog.push(Buffer.alloc(1000000, 'x')); }`,
	} {
		t.Run(kind, func(t *testing.T) {
			b := s.start(t, kind).code(source)
			_, err := b.post("/run", request(map[string]any{}))
			require.ErrorIs(t, err, container.ErrOutOfMemory)
			neighbour.requireAlive()
			s.start(t, s.Python).code(pythonEcho).requireAlive()
		})
	}
	t.Run("in children", func(t *testing.T) {
		b := s.start(t, s.Shell).code("#!/bin/sh\nx=xxxxxxxxxxxxxxxx\nwhile :; do x=$x$x; done\n")
		_, err := b.post("/run", request(map[string]any{}))
		require.ErrorIs(t, err, container.ErrOutOfMemory)
	})
}

func (s *suite) forkBomb(t *testing.T) {
	if !s.LimitsProcesses {
		return
	}
	neighbour := s.start(t, s.Python).code(pythonEcho)
	b := s.start(t, s.Python, func(spec *container.Spec) { spec.Memory = 512 }).code(`
import os
def main(args):
    print('bombing', flush=True)
    while True:
        try:
            os.fork()
        except OSError:
            pass`)
	body, err := json.Marshal(request(map[string]any{}))
	require.NoError(t, err)
	_, err = b.Call(within(t, 2*time.Second), "/run", body, 1<<20)
	require.Error(t, err)
	neighbour.requireAlive()
	b.destroy()
	s.start(t, s.Python).code(pythonEcho).requireAlive()
}

// writable lists the directories that an action can write to.
const writable = `
import os
def places():
    found = []
    for top, dirs, files in os.walk('/'):
        if top.startswith(('/proc', '/sys')) or top.count('/') > 3:
            dirs[:] = []
            continue
        if os.access(top, os.W_OK):
            found.append(top)
    return found
`

func (s *suite) removesSocket(t *testing.T) {
	b := s.start(t, s.Python).code(writable + `
def main(args):
    for place in places():
        for name in os.listdir(place):
            try:
                os.remove(os.path.join(place, name))
            except OSError:
                pass
    try:
        os.closerange(0, 1024)
    except OSError:
        pass
    return {}`)
	// Whatever it answers, it does so at once, and can be destroyed.
	_, err := b.post("/run", request(map[string]any{}))
	require.False(t, errors.Is(err, container.ErrOutOfMemory))
	_, err = b.post("/run", request(map[string]any{}))
	require.False(t, errors.Is(err, container.ErrOutOfMemory))
}

func (s *suite) killsProxy(t *testing.T) {
	b := s.start(t, s.Python).code(`
import os, signal
def main(args):
    for pid in {1, os.getppid()} - {0, os.getpid()}:
        for number in (signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
            try:
                os.kill(pid, number)
            except OSError:
                pass
    return {}`)
	body, err := json.Marshal(request(map[string]any{}))
	require.NoError(t, err)
	_, _ = b.Call(within(t, 2*time.Second), "/run", body, 1<<20) // any answer will do
}

func (s *suite) fillsDisk(t *testing.T) {
	if !s.LimitsDisk {
		return
	}
	b := s.start(t, s.Python, func(spec *container.Spec) { spec.Memory = 256 }).code(writable + `
def main(args):
    total, errors = 0, []
    for place in places() + ['/dev/shm']:
        try:
            for i in range(100000):
                with open(os.path.join(place, 'f%d' % i), 'wb') as f:
                    total += f.write(b'x' * 1000000)
                    f.flush()
        except OSError as e:
            errors.append(e.errno)
    return {'total': total, 'errors': errors}`)
	result := b.run(map[string]any{})
	assert.NotEmpty(t, result["errors"])
	assert.Less(t, result["total"], float64(256<<20))
}

// readable is an action that reads the paths it is given and finds a file by
// its name anywhere.
const readable = `
import os
def main(args):
    read = []
    for path in args['paths']:
        try:
            with open(path, 'rb') as f:
                f.read(1)
            read.append(path)
        except OSError:
            pass
        try:
            os.listdir(path)
            read.append(path)
        except OSError:
            pass
    for top, dirs, files in os.walk('/'):
        if top.startswith(('/proc', '/sys', '/usr', '/opt')):
            dirs[:] = []
        if args['name'] in files:
            read.append(os.path.join(top, args['name']))
    return {'read': read}`

func (s *suite) readsFiles(t *testing.T) {
	if !s.HidesFiles {
		return
	}
	owner := s.start(t, s.Python).code(`
import os, tempfile
def main(args):
    paths = [os.path.join(d, 'secret-of-another') for d in (os.getcwd(), tempfile.gettempdir())]
    for p in paths:
        with open(p, 'w') as f:
            f.write('secret')
    return {'paths': paths}`)
	secrets := owner.run(map[string]any{})["paths"].([]any)
	thief := s.start(t, s.Python).code(readable)
	paths := secrets
	for _, p := range append(s.Hidden, "/etc/shadow", "/proc/1/environ", "/proc/1/root/etc/shadow") {
		paths = append(paths, p)
	}
	result := thief.run(map[string]any{"paths": paths, "name": "secret-of-another"})
	assert.Empty(t, result["read"])
}

func (s *suite) writesFiles(t *testing.T) {
	b := s.start(t, s.Python).code(`
import os
def main(args):
    wrote = []
    for place in ('/etc', '/usr', '/usr/bin', '/bin', '/lib', '/opt', '/', '/var', '/proc/sys/kernel', os.path.dirname(os.__file__), args['launchers']):
        try:
            with open(os.path.join(place, 'was-here'), 'w'):
                wrote.append(place)
        except OSError:
            pass
    return {'wrote': wrote}`)
	assert.Empty(t, b.run(map[string]any{"launchers": "/launchers"})["wrote"])
}

func (s *suite) killsOthers(t *testing.T) {
	if !s.HidesProcesses {
		return
	}
	neighbour := s.start(t, s.Python).code(pythonEcho)
	b := s.start(t, s.Python).code(`
import os, signal
def main(args):
    for pid in range(2, 100000):
        if pid not in (os.getpid(), os.getppid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
    return {}`)
	// It may well hit its own proxy.
	_, _ = b.post("/run", request(map[string]any{}))
	neighbour.requireAlive()
}
