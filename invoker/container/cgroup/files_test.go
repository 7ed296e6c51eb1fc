package cgroup

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMountinfo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mountinfo")
	require.NoError(t, os.WriteFile(file, []byte(
		`27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
broken line
`), 0o600))
	points, err := mounts(file)
	require.NoError(t, err)
	assert.Equal(t, "/sys/fs/cgroup/cpu,cpuacct", points["cpu"])
	assert.Equal(t, "/sys/fs/cgroup/memory", points["memory"])
	assert.Equal(t, "/sys/fs/cgroup/unified", points[""])
}

func TestMemberships(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cgroup")
	require.NoError(t, os.WriteFile(file, []byte("4:memory:/a:b\n2:cpu,cpuacct:/c\n0::/user.slice\n"), 0o600))
	paths, err := memberships(file)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"memory": "/a:b", "cpu": "/c", "cpuacct": "/c", "": "/user.slice"}, paths)
}

func TestUnifiedWeight(t *testing.T) {
	assert.EqualValues(t, 1, unifiedWeight(0))
	assert.EqualValues(t, 39, unifiedWeight(1024))
	assert.EqualValues(t, 10000, unifiedWeight(1<<20))
}

// TestUnifiedFiles runs version 2 on a directory tree that looks like one.
func TestUnifiedFiles(t *testing.T) {
	base := t.TempDir()
	fill := func(dir string, files ...string) {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		for _, f := range files {
			require.NoError(t, os.WriteFile(filepath.Join(dir, f), nil, 0o600))
		}
	}
	read := func(path ...string) string {
		content, err := os.ReadFile(filepath.Join(append([]string{base}, path...)...))
		require.NoError(t, err)
		return string(content)
	}
	fill(base, "cgroup.subtree_control", "cgroup.procs")
	require.NoError(t, os.WriteFile(filepath.Join(base, "cgroup.controllers"), []byte("cpu io memory pids\n"), 0o600))
	fill(filepath.Join(base, "gowhisk"), "cgroup.subtree_control")

	h, err := newV2(base, "gowhisk")
	require.NoError(t, err)
	assert.Equal(t, 2, h.Version())
	assert.Equal(t, "+memory +pids +cpu", read("cgroup.subtree_control"))
	assert.Equal(t, "+memory +pids +cpu", read("gowhisk", "cgroup.subtree_control"))

	fill(filepath.Join(base, "gowhisk", "c1"), "memory.max", "memory.swap.max", "memory.oom.group", "pids.max",
		"cpu.weight", "cgroup.procs", "cgroup.freeze", "cgroup.kill", "memory.events", "cgroup.events")
	g, err := h.Create("c1", Limits{MemoryBytes: 1 << 28, Processes: 99, CPUShares: 1024})
	require.NoError(t, err)
	assert.Equal(t, "268435456", read("gowhisk", "c1", "memory.max"))
	assert.Equal(t, "0", read("gowhisk", "c1", "memory.swap.max"))
	assert.Equal(t, "1", read("gowhisk", "c1", "memory.oom.group"))
	assert.Equal(t, "99", read("gowhisk", "c1", "pids.max"))
	assert.Equal(t, "39", read("gowhisk", "c1", "cpu.weight"))

	dir := filepath.Join(base, "gowhisk", "c1")
	require.NoError(t, g.Add(4711))
	pids, err := g.Pids()
	require.NoError(t, err)
	assert.Equal(t, []int{4711}, pids)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "memory.events"), []byte("low 0\noom 3\noom_kill 2\n"), 0o600))
	kills, err := g.OOMKills()
	require.NoError(t, err)
	assert.EqualValues(t, 2, kills)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "cgroup.events"), []byte("populated 1\nfrozen 1\n"), 0o600))
	require.NoError(t, g.Freeze(context.Background()))
	assert.Equal(t, "1", read("gowhisk", "c1", "cgroup.freeze"))
	require.NoError(t, g.Thaw())
	assert.Equal(t, "0", read("gowhisk", "c1", "cgroup.freeze"))

	require.NoError(t, os.Truncate(filepath.Join(dir, "cgroup.procs"), 0))
	require.NoError(t, g.Kill(context.Background()))
	assert.Equal(t, "1", read("gowhisk", "c1", "cgroup.kill"))

	doors, err := g.Doors()
	require.NoError(t, err)
	require.Len(t, doors, 1)
	require.NoError(t, doors[0].Close())
	left, err := h.Leftovers()
	require.NoError(t, err)
	require.Len(t, left, 1)
	assert.Equal(t, "c1", left[0].Name())
}

func TestUnifiedNeedsItsControllers(t *testing.T) {
	base := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(base, "cgroup.controllers"), []byte("hugetlb\n"), 0o600))
	_, err := newV2(base, "gowhisk")
	require.ErrorIs(t, err, ErrUnavailable)
}

func TestPollEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, poll(ctx, func() (bool, error) { return false, nil }), context.DeadlineExceeded)
}
