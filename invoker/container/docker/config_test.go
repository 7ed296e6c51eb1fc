package docker

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	engine "github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestCheck(t *testing.T) {
	require.NoError(t, Settings{}.Check())
	require.NoError(t, DefaultSettings().Check())
	for wrong, s := range map[string]Settings{
		`network "host"`:          {Network: "host"},
		`network "container:x"`:   {Network: "container:x"},
		`publish "sometimes"`:     {Publish: "sometimes"},
		`pull policy "daily"`:     {Pull: "daily"},
		`pull policy "weekly"`:    {PullManaged: "weekly"},
		`addresses "10.0.0.1"`:    {Blocked: []string{"10.0.0.1"}},
		`addresses "everything"`:  {Subnet: "everything"},
		`log option "max-size"`:   {LogOptions: []string{"max-size"}},
		"limit of -1":             {Processes: -1},
		"limit of -2":             {Scratch: -2},
		"cannot be negative":      {CPUs: -0.5},
		"times cannot be negativ": {PullTTL: -time.Second},
	} {
		assert.ErrorContains(t, s.Check(), wrong)
	}
	_, err := Config{Dir: "x"}.withDefaults()
	assert.ErrorContains(t, err, "name of their owner")
}

func TestCPUs(t *testing.T) {
	for _, c := range []struct {
		pool, memory entity.Megabytes
		shares       int64
	}{
		{0, 256, 1024}, {0, 128, 512}, {1024, 256, 256}, {1024, 1024, 1024}, {1024, 300, 341}, {1024, 2048, 1024}, {1 << 20, 128, 2},
	} {
		assert.Equal(t, c.shares, cpuShares(c.pool, c.memory), "%v", c)
	}
	assert.Zero(t, nanoCPUs(0, 1024, 256))
	assert.Zero(t, nanoCPUs(2, 0, 256))
	assert.EqualValues(t, 500_000_000, nanoCPUs(2, 1024, 256))
	assert.EqualValues(t, 666_670_000, nanoCPUs(2, 768, 256))
	assert.EqualValues(t, 10_000_000, nanoCPUs(0.001, 1024, 128), "the engine takes no less")
}

func TestScratch(t *testing.T) {
	assert.Equal(t, []string{"/action", "/tmp"}, scratchDirectories(" /action  /tmp relative / // "))
	assert.Empty(t, scratchDirectories(""))
	for user, options := range map[string]string{
		"": "", "0": ",uid=0", "65532:65532": ",uid=65532,gid=65532", "named": "", "named:100": ",gid=100", "1:named": ",uid=1",
	} {
		assert.Equal(t, options, ownership(user), user)
	}
}

func TestPublishedPort(t *testing.T) {
	port, err := publishedPort(nat.PortMap{runtimePort: {{HostIP: loopback, HostPort: "32768"}}})
	require.NoError(t, err)
	assert.EqualValues(t, 32768, port)
	_, err = publishedPort(nat.PortMap{runtimePort: {{HostPort: "0"}, {HostPort: "x"}}})
	require.Error(t, err)
}

func TestMissingExecutable(t *testing.T) {
	for text, is := range map[string]bool{
		`failed to create task: OCI runtime create failed: exec: "/run.sh": stat /run.sh: no such file or directory: unknown`: true,
		`exec: "server": executable file not found in $PATH: unknown`:                                                         true,
		`No command specified`:              true,
		`no such file or directory`:         false,
		`exec: "server": permission denied`: false,
		`write /x: no space left on device`: false,
	} {
		assert.Equal(t, is, isMissingExecutable(errors.New(text)), text)
	}
	assert.False(t, isMissingExecutable(nil))
}

func TestExplain(t *testing.T) {
	require.NoError(t, explain(nil))
	full := errors.New("mkdir /var/lib/docker/overlay2/x: no space left on device")
	require.ErrorIs(t, explain(full), full)
	require.ErrorContains(t, explain(full), "docker system prune")
	other := errors.New("other")
	require.Equal(t, other, explain(other))
}

func TestImageNames(t *testing.T) {
	s := &images{factory: &Factory{}}
	for name, want := range map[string]string{
		"me/app": "docker.io/me/app:latest", "app:2": "docker.io/library/app:2", "ghcr.io/me/app:1": "ghcr.io/me/app:1", "localhost/app": "localhost/app:latest",
	} {
		got, err := s.parse(name)
		require.NoError(t, err)
		assert.Equal(t, want, got.String())
	}
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, wrong := range []string{"", "UPPER", "a b", "-x", id} {
		_, err := s.parse(wrong)
		assert.Error(t, err, wrong)
	}
	short, err := s.parse("sha256:" + id)
	require.NoError(t, err)
	assert.Equal(t, "docker.io/library/sha256:"+id, short.String(), "a tag of an image, not an id")
	s.factory.config.UserRegistry = "registry.example/team/"
	got, err := s.parse("me/app")
	require.NoError(t, err)
	assert.Equal(t, "registry.example/team/me/app:latest", got.String())
	got, err = s.parse("ghcr.io/me/app:1")
	require.NoError(t, err)
	assert.Equal(t, "ghcr.io/me/app:1", got.String())
}

// TestOpenNetworks: what is open is said, once.
func TestOpenNetworks(t *testing.T) {
	core, seen := observer.New(zap.WarnLevel)
	f := &Factory{log: zap.New(core)}
	f.config.Blocked = []string{"169.254.0.0/16"}
	open := engine.Inspect{Driver: bridgeDriver}
	for range 2 {
		f.isolate(t.Context(), network{bridge: "gw-none"}, open)
	}
	require.Equal(t, 2, seen.Len())
	assert.Equal(t, "containers can reach each other: the network allows it", seen.All()[0].Message)
	assert.Contains(t, seen.All()[1].Message, "containers can reach the cloud's metadata addresses")
	assert.Contains(t, seen.All()[1].ContextMap(), "advice")

	dir := t.TempDir()
	for text, filters := range map[string]bool{"1\n": true, "0\n": false} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "switch"), []byte(text), 0o600))
		assert.Equal(t, filters, filtersBridges(filepath.Join(dir, "switch")))
	}
	assert.False(t, filtersBridges(filepath.Join(dir, "none")))
}

func TestSecurityOpts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "profile.json")
	require.NoError(t, os.WriteFile(path, []byte("{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\"\n}\n"), 0o600))
	got, err := readSecurityOpts([]string{"apparmor=mine", "seccomp=unconfined", "seccomp=" + path})
	require.NoError(t, err)
	assert.Equal(t, []string{"apparmor=mine", "seccomp=unconfined", `seccomp={"defaultAction":"SCMP_ACT_ALLOW"}`}, got)
	_, err = readSecurityOpts([]string{"seccomp=" + path + ".none"})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
	_, err = readSecurityOpts([]string{"seccomp=" + path})
	require.ErrorContains(t, err, path)
}

// TestSeccompProfile: the engine takes a profile as it is passed on.
func TestSeccompProfile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "profile.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["sethostname", "mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}`), 0o600))
	c := config(t.TempDir())
	c.SecurityOpts = []string{"seccomp=" + path}
	var result struct{ Error string }
	startPython(t, open(t, c), 128, `
import os
def main(args):
    try:
        os.mkdir('/tmp/x')
        return {'error': ''}
    except OSError as e:
        return {'error': e.strerror}`).run(nil, &result)
	assert.Contains(t, []string{"Function not implemented", "Operation not permitted"}, result.Error)
}
