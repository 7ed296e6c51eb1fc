package archive_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/runtimes/archive"
)

var fuzzLimits = archive.Limits{Bytes: 1 << 20, Entries: 100}

// FuzzExtract feeds arbitrary bytes: whatever happens, nothing appears outside
// the root, limits hold, and no link of an archive that was taken leads out.
func FuzzExtract(f *testing.F) {
	items := []item{
		{"a/b", "x", 0o755},
		{"l", "a", fs.ModeSymlink | 0o777},
		{"up", "a/../..", fs.ModeSymlink | 0o777},
		{"../evil", "x", 0o644},
	}
	f.Add(zipOf(f, items[:2]...))
	f.Add(tarOf(f, items[:2]...))
	f.Add(zipOf(f, items...))
	f.Add(tarOf(f, items...))
	f.Fuzz(func(t *testing.T, data []byte) {
		parent := t.TempDir()
		err := archive.Extract(data, filepath.Join(parent, "root"), fuzzLimits)
		requireConfined(t, parent, err == nil)
	})
}

// FuzzEntries builds archives from fuzzed names and link targets, which reaches
// deeper than fuzzed bytes do.
func FuzzEntries(f *testing.F) {
	f.Add("a", "l", "a", "l/b")
	f.Add("p/q/r", "p/q/s", "../..", "t")
	f.Add("..", "d", "..", "d/x")
	f.Fuzz(func(t *testing.T, file, link, target, second string) {
		items := []item{
			{file, "x", 0o644},
			{link, target, fs.ModeSymlink | 0o777},
			{second, link + "/../" + target, fs.ModeSymlink | 0o777},
			{second + "/x", "x", 0o755},
		}
		for _, i := range items {
			if i.name == "" || len(i.name) > 1000 || strings.HasSuffix(i.name, "/") {
				return // the archive writer refuses these
			}
		}
		parent := t.TempDir()
		err := archive.Extract(zipOf(t, items...), filepath.Join(parent, "root"), fuzzLimits)
		requireConfined(t, parent, err == nil)
	})
}

// requireConfined checks the invariants; links only when the archive was taken,
// since after an error the caller removes everything.
func requireConfined(t *testing.T, parent string, taken bool) {
	t.Helper()
	requireOnlyRoot(t, parent)
	rootPath := filepath.Join(parent, "root")
	root, err := os.OpenRoot(rootPath)
	require.NoError(t, err)
	defer func() { _ = root.Close() }()
	var size int64
	require.NoError(t, filepath.WalkDir(rootPath, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		require.True(t, info.Mode().IsRegular() || info.IsDir() || info.Mode()&fs.ModeSymlink != 0, "a special file: %v", path)
		if info.Mode().IsRegular() {
			size += info.Size()
		}
		if taken && info.Mode()&fs.ModeSymlink != 0 {
			name, err := filepath.Rel(rootPath, path)
			require.NoError(t, err)
			if _, err := root.Stat(name); err != nil {
				require.ErrorIs(t, err, fs.ErrNotExist, "a link that leads out: %v", path)
			}
		}
		return nil
	}))
	require.LessOrEqual(t, size, fuzzLimits.Bytes+1)
}
