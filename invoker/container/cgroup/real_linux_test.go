package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRealGroups runs on the machine's own control groups. Where there are none
// that this user may write, it holds Open to saying so.
func TestRealGroups(t *testing.T) {
	h, err := Open("/", fmt.Sprintf("gowhisk-cgroup-test-%d", os.Getpid()))
	if err != nil {
		require.ErrorIs(t, err, ErrUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer func() { require.NoError(t, h.Close()) }()

	t.Run("kill reaches a fork that changed its session, also frozen", func(t *testing.T) {
		g := create(t, h, Limits{Processes: 100})
		c := start(t, g, "setsid sleep 1000 & setsid sleep 1000 & echo; wait")
		pids, err := g.Pids()
		require.NoError(t, err)
		assert.GreaterOrEqual(t, len(pids), 2)
		require.NoError(t, g.Freeze(ctx))
		reaped := make(chan error, 1)
		go func() { reaped <- c.Wait() }()
		require.NoError(t, g.Kill(ctx))
		require.Error(t, <-reaped)
		require.NoError(t, g.Remove(ctx))
	})
	t.Run("a process that exceeds the memory limit is killed and counted", func(t *testing.T) {
		g := create(t, h, Limits{MemoryBytes: 32 << 20})
		before, err := g.OOMKills()
		require.NoError(t, err)
		c := start(t, g, "echo; x=xxxxxxxx; while :; do x=$x$x; done")
		require.Error(t, c.Wait())
		after, err := g.OOMKills()
		require.NoError(t, err)
		assert.Greater(t, after, before)
		require.NoError(t, g.Kill(ctx))
		require.NoError(t, g.Remove(ctx))
	})
	t.Run("a new owner finds what is left", func(t *testing.T) {
		g := create(t, h, Limits{})
		left, err := h.Leftovers()
		require.NoError(t, err)
		require.Len(t, left, 1)
		assert.Equal(t, g.Name(), left[0].Name())
		require.NoError(t, left[0].Kill(ctx))
		require.NoError(t, left[0].Remove(ctx))
	})
}

func create(t *testing.T, h Hierarchy, l Limits) Group {
	t.Helper()
	g, err := h.Create("c"+strings.ReplaceAll(t.Name(), "/", "-")[:20], l)
	require.NoError(t, err)
	return g
}

// start runs a shell script that prints a line, in the group from its first
// command on, and returns after the line.
func start(t *testing.T, g Group, script string) *exec.Cmd {
	t.Helper()
	doors, err := g.Doors()
	require.NoError(t, err)
	c := exec.Command("/bin/sh", "-c", "read gate; "+script)
	c.ExtraFiles = doors
	gate, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	require.NoError(t, g.Add(c.Process.Pid))
	_, err = gate.Write([]byte("go\n"))
	require.NoError(t, err)
	_, err = out.Read(make([]byte, 1))
	require.NoError(t, err)
	for _, d := range doors {
		require.NoError(t, errors.Join(d.Close()))
	}
	return c
}
