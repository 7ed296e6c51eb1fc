//go:build unix

package process

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/runtimes"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestKinds(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	k := &kinds{log: zap.New(core), interpreters: []runtimes.Interpreter{
		{Family: "nodejs", Kind: "nodejs:18", Path: "/n18"},
		{Family: "nodejs", Kind: "nodejs:22", Path: "/n22"},
		{Family: "python", Kind: "python:3.9", Path: "/p39"},
		{Family: "python", Kind: "python:3.12", Path: "/p312"},
	}}
	for kind, path := range map[string]string{
		"nodejs:18": "/n18", "nodejs:14": "/n18", "nodejs:20": "/n22", "nodejs:24": "/n22", "nodejs:default": "/n22", "nodejs": "/n22",
		"python:3.9": "/p39", "python:3.10": "/p39", "python:3.11": "/p312", "python:3": "/p312", "python:2": "/p312", "python:default": "/p312",
	} {
		i, err := k.resolve(kind, "")
		require.NoError(t, err)
		assert.Equal(t, path, i.Path, kind)
	}
	t.Run("a stand-in is logged once", func(t *testing.T) {
		before := logged.Len()
		_, err := k.resolve("nodejs:14", "")
		require.NoError(t, err)
		assert.Equal(t, before, logged.Len())
	})
	t.Run("what cannot run is the user's error", func(t *testing.T) {
		var user *container.StartError
		_, err := k.resolve("java:8", "")
		require.ErrorAs(t, err, &user)
		assert.Equal(t, "The runtime 'java:8' is not available on this server.", user.Text)
		_, err = k.resolve("blackbox", "me/image")
		require.ErrorAs(t, err, &user)
		assert.Equal(t, "Failed to pull container image 'me/image'.", user.Text)
	})
	t.Run("the skeleton of any registry and tag runs", func(t *testing.T) {
		for image, want := range map[string]bool{
			"openwhisk/dockerskeleton": true, "openwhisk/dockerskeleton:nightly": true,
			"docker.io/openwhisk/dockerskeleton:1.2": true, "registry:5000/openwhisk/dockerskeleton": true,
			"gowhisk/dockerskeleton:1":      true,
			"evil-openwhisk/dockerskeleton": false, "openwhisk/dockerskeletons": false, "": false,
		} {
			assert.Equal(t, want, isSkeleton(image), image)
		}
	})
}

func TestInterpreterPaths(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "version-manager", "3.11")
	for _, d := range []string{"bin", "lib"} {
		require.NoError(t, os.MkdirAll(filepath.Join(prefix, d), 0o755))
	}
	home, err := os.UserHomeDir()
	require.NoError(t, err)
	for path, want := range map[string][]string{
		"/usr/bin/node": nil,
		"":              nil,
		filepath.Join(prefix, "bin", "python3.11"):   {prefix},
		filepath.Join(home, "bin", "node"):           {filepath.Join(home, "bin", "node")},
		filepath.Join(prefix, "elsewhere", "python"): {filepath.Join(prefix, "elsewhere", "python")},
	} {
		assert.Equal(t, want, interpreterPaths(runtimes.Interpreter{Path: path}), path)
	}
}

func TestUserIDsComeBackLast(t *testing.T) {
	p := newUserPool(100, 2)
	a, err := p.take()
	require.NoError(t, err)
	p.put(a)
	b, err := p.take()
	require.NoError(t, err)
	assert.Equal(t, []int{100, 101}, []int{a, b})
	_, err = p.take()
	require.NoError(t, err)
	_, err = p.take()
	require.ErrorIs(t, err, errNoUser)
}

func TestRemoveTreeThatAnActionLocked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "scratch")
	locked := filepath.Join(dir, "a", "b")
	require.NoError(t, os.MkdirAll(locked, 0o755))
	outside := filepath.Join(t.TempDir(), "kept")
	require.NoError(t, os.WriteFile(outside, nil, 0o600))
	require.NoError(t, os.Symlink(filepath.Dir(outside), filepath.Join(locked, "link")))
	for _, d := range []string{locked, filepath.Dir(locked)} {
		require.NoError(t, os.Chmod(d, 0))
	}
	require.NoError(t, removeTree(dir))
	assert.NoDirExists(t, dir)
	assert.FileExists(t, outside)
}

func TestReportSaysWhatIsShared(t *testing.T) {
	assert.Contains(t, newReport(LevelPlain, false, 0, 0, "darwin", nil).Shared, "memory")
	assert.Contains(t, newReport(LevelPlain, false, 0, 4, "linux", nil).Shared, "processes of the server's user")
	assert.Contains(t, newReport(LevelRoot, true, 2, 7, "linux", []string{"why not"}).String(), "why not")
}
