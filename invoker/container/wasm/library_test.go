package wasm

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// counting is a compiler whose processes leave a line in a file each.
func counting(t testing.TB) (c compiler, compiled func() int) {
	t.Helper()
	program := compilerCommand(t)
	counter := filepath.Join(t.TempDir(), "compiled")
	c = compiler{
		command: []string{"/bin/sh", "-c", `echo >> "$1"; shift; exec "$@"`, "sh", counter, program[0], program[1]},
		timeout: patience, memory: 1024, turns: make(chan struct{}, 2),
	}
	return c, func() int {
		content, err := os.ReadFile(counter)
		if os.IsNotExist(err) {
			return 0
		}
		require.NoError(t, err)
		return len(content)
	}
}

func openedLibrary(t testing.TB, dir string, c compiler, unused, disk entity.Megabytes) *library {
	t.Helper()
	l, err := openLibrary(dir, c, unused, disk, zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(l.close)
	return l
}

// numbered is a module that is like no other.
func numbered(n int) []byte { return printer(`{"n":` + strconv.Itoa(n) + `}`).bytes() }

func borrowed(t testing.TB, l *library, module []byte) *volume {
	t.Helper()
	v, err := l.borrow(within(t, patience), module)
	require.NoError(t, err)
	return v
}

// TestModulesAreCompiledOnce: by all that want one together, while it is in memory,
// and after a restart.
func TestModulesAreCompiledOnce(t *testing.T) {
	dir := t.TempDir()
	c, compiled := counting(t)
	l := openedLibrary(t, dir, c, 64, 1024)
	var borrowers sync.WaitGroup
	volumes := make([]*volume, 8)
	for i := range volumes {
		borrowers.Go(func() { volumes[i], _ = l.borrow(within(t, patience), numbered(1)) })
	}
	borrowers.Wait()
	for _, v := range volumes {
		require.NotNil(t, v)
		require.Same(t, volumes[0], v)
		l.giveBack(v)
	}
	v := borrowed(t, l, numbered(1))
	require.Same(t, volumes[0], v)
	l.giveBack(v)
	require.Equal(t, 1, compiled())
	l.close()

	l = openedLibrary(t, dir, c, 64, 1024)
	l.giveBack(borrowed(t, l, numbered(1)))
	require.Equal(t, 1, compiled())
	l.giveBack(borrowed(t, l, numbered(2)))
	require.Equal(t, 2, compiled())
}

// TestUnusedModulesLeaveMemory: those that were not used for longest, and none that
// is in use.
func TestUnusedModulesLeaveMemory(t *testing.T) {
	c, compiled := counting(t)
	l := openedLibrary(t, t.TempDir(), c, 64, 1024)
	l.unused = int64(len(numbered(1)))*2 + 10
	for _, n := range []int{1, 2, 1, 3} {
		l.giveBack(borrowed(t, l, numbered(n)))
	}
	inUse := borrowed(t, l, numbered(1))
	require.Len(t, l.volumes, 2) // 1 and 3
	l.giveBack(borrowed(t, l, numbered(2)))
	l.giveBack(borrowed(t, l, numbered(3)))
	l.giveBack(borrowed(t, l, numbered(4)))
	require.Len(t, l.volumes, 3)
	require.Same(t, inUse, borrowed(t, l, numbered(1)))
	l.giveBack(inUse)
	l.giveBack(inUse)
	require.Len(t, l.volumes, 2)
	require.LessOrEqual(t, l.held, l.unused)
	require.Equal(t, 4, compiled())
}

// TestUnusedModulesLeaveTheDisk: the machine code that was not used for longest.
func TestUnusedModulesLeaveTheDisk(t *testing.T) {
	dir := t.TempDir()
	c, compiled := counting(t)
	l := openedLibrary(t, dir, c, 64, 1024)
	for n := range 3 {
		l.giveBack(borrowed(t, l, numbered(n)))
	}
	entries, err := os.ReadDir(l.dir)
	require.NoError(t, err)
	require.Len(t, entries, 3)
	for i, e := range entries { // the first is the one that was used last
		at := time.Now().Add(-time.Duration(i) * time.Hour)
		require.NoError(t, os.Chtimes(filepath.Join(l.dir, e.Name()), at, at))
	}
	l.disk = size(filepath.Join(l.dir, entries[0].Name())) * 3 / 2
	// What was left by a compiler that was killed, and by another version.
	require.NoError(t, os.Mkdir(filepath.Join(l.dir, "compiling-1"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(l.dir, "0-abc", l.version), 0o700))
	l.close()
	require.NoError(t, l.tidy())
	left, err := os.ReadDir(l.dir)
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.Equal(t, entries[0].Name(), left[0].Name())
	require.Equal(t, 3, compiled())
}

// TestDamagedMachineCodeIsMadeAgain at the next attempt.
func TestDamagedMachineCodeIsMadeAgain(t *testing.T) {
	dir := t.TempDir()
	c, compiled := counting(t)
	l := openedLibrary(t, dir, c, 64, 1024)
	l.giveBack(borrowed(t, l, numbered(1)))
	l.close()
	files, err := filepath.Glob(filepath.Join(l.dir, "*", l.version, "*"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.NoError(t, os.WriteFile(files[0], []byte("damaged"), 0o600))
	l = openedLibrary(t, dir, c, 64, 1024)
	v, err := l.borrow(within(t, patience), numbered(1))
	if err != nil {
		v = borrowed(t, l, numbered(1))
	}
	l.giveBack(v)
	require.Equal(t, 2, compiled())
}

// TestCompilingGoesOn when nobody waits for it any more, so that the next attempt
// finds what the first one began.
func TestCompilingGoesOn(t *testing.T) {
	c, compiled := counting(t)
	l := openedLibrary(t, t.TempDir(), c, 64, 1024)
	ended, end := context.WithCancel(t.Context())
	end()
	_, err := l.borrow(ended, numbered(1))
	require.ErrorIs(t, err, context.Canceled)
	l.loading.Wait()
	require.Equal(t, 1, compiled())
	v := borrowed(t, l, numbered(1))
	require.Equal(t, 1, compiled())
	l.giveBack(v)
	l.close()
	require.Empty(t, l.volumes)
}

// TestCompilingIsBounded: in time, in memory, and by the patience of who waits.
func TestCompilingIsBounded(t *testing.T) {
	c, _ := counting(t)
	// The compiler takes minutes for as many loops in one function.
	slow := starting(nil)
	for range 100_000 {
		slow.funcs[0].body = append(slow.funcs[0].body, stop...)
	}
	t.Run("time", func(t *testing.T) {
		c := c
		c.timeout = 200 * time.Millisecond
		_, err := openedLibrary(t, t.TempDir(), c, 64, 1024).borrow(within(t, patience), slow.bytes())
		require.ErrorAs(t, err, new(badModule))
		require.ErrorContains(t, err, "takes longer than 200ms to compile")
	})
	t.Run("patience", func(t *testing.T) {
		l := openedLibrary(t, t.TempDir(), c, 64, 1024)
		_, err := l.borrow(within(t, 200*time.Millisecond), slow.bytes())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		l.close() // ends the process
		require.Empty(t, l.volumes)
	})
	t.Run("memory", func(t *testing.T) {
		c := c
		ample := c
		ample.memory, c.memory = 256, 96
		many := starting(nil)
		for range 2000 {
			body := []byte{}
			for range 500 {
				body = append(body, append(constant(1), drop...)...)
			}
			many.funcs = append(many.funcs, function{body: append(body, calls(0)...)})
		}
		l := openedLibrary(t, t.TempDir(), ample, 64, 1024)
		l.giveBack(borrowed(t, l, numbered(1)))
		_, err := openedLibrary(t, t.TempDir(), c, 64, 1024).borrow(within(t, patience), many.bytes())
		require.ErrorAs(t, err, new(badModule))
		require.ErrorContains(t, err, "takes more than 96 MB to compile")
	})
	t.Run("no compiler", func(t *testing.T) {
		c := c
		c.command = []string{filepath.Join(t.TempDir(), "none")}
		_, err := openedLibrary(t, t.TempDir(), c, 64, 1024).borrow(within(t, patience), numbered(1))
		require.ErrorContains(t, err, "start the compiler of WebAssembly")
		require.NotErrorIs(t, err, errCutOff)
	})
}
