package archive_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/runtimes/archive"
)

// item is one entry of a test archive, in either format.
type item struct {
	name, body string
	mode       fs.FileMode
}

func zipOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, i := range items {
		h := &zip.FileHeader{Name: i.name, Method: zip.Deflate}
		h.SetMode(i.mode)
		f, err := w.CreateHeader(h)
		require.NoError(t, err)
		_, err = f.Write([]byte(i.body))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func tarOf(t testing.TB, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, i := range items {
		h := &tar.Header{Name: i.name, Mode: int64(i.mode.Perm()), Size: int64(len(i.body)), Typeflag: tar.TypeReg}
		switch {
		case i.mode.IsDir():
			h.Typeflag = tar.TypeDir
		case i.mode&fs.ModeSymlink != 0:
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, i.body, 0
		case i.mode&fs.ModeIrregular != 0:
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, i.body, 0
		case i.mode&fs.ModeDevice != 0:
			h.Typeflag = tar.TypeChar
		}
		require.NoError(t, w.WriteHeader(h))
		if h.Size > 0 {
			_, err := w.Write([]byte(i.body))
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	return b.Bytes()
}

// bothFormats runs a test on the same items as zip and as tar.gz.
func bothFormats(t *testing.T, items []item, test func(t *testing.T, data []byte)) {
	t.Run("zip", func(t *testing.T) { test(t, zipOf(t, items...)) })
	t.Run("tar.gz", func(t *testing.T) { test(t, tarOf(t, items...)) })
}

func TestExtract(t *testing.T) {
	items := []item{
		{"lib/", "", fs.ModeDir | 0o755},
		{"lib/deep/a.txt", "ä", 0o600},
		{"./exec", "#!/bin/sh\n", 0o755},
		{"bin/link", "../exec", fs.ModeSymlink | 0o777},
		{"self", "lib/deep", fs.ModeSymlink | 0o777},
		{"dangling", "nowhere", fs.ModeSymlink | 0o777},
	}
	bothFormats(t, items, func(t *testing.T, data []byte) {
		dir := filepath.Join(t.TempDir(), "new", "action")
		require.NoError(t, archive.Extract(data, dir, archive.Limits{}))

		text, err := os.ReadFile(filepath.Join(dir, "self", "a.txt"))
		require.NoError(t, err)
		require.Equal(t, "ä", string(text))
		info, err := os.Stat(filepath.Join(dir, "bin", "link"))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o755), info.Mode().Perm())
		info, err = os.Stat(filepath.Join(dir, "lib", "deep", "a.txt"))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o644), info.Mode().Perm(), "readable whatever the archive said")
	})
}

func TestHostileEntriesAreRefused(t *testing.T) {
	cases := map[string]struct {
		items []item
		says  string
	}{
		"parent":                {[]item{{"../evil", "x", 0o644}}, "has '..' in its path"},
		"parent inside":         {[]item{{"a/../../evil", "x", 0o644}}, "has '..' in its path"},
		"absolute":              {[]item{{"/tmp/evil", "x", 0o644}}, "has an absolute path"},
		"absolute link":         {[]item{{"l", "/etc", fs.ModeSymlink | 0o777}}, "only relative links"},
		"link out":              {[]item{{"l", "../x", fs.ModeSymlink | 0o777}}, "not inside the archive"},
		"link to parent itself": {[]item{{"l", "..", fs.ModeSymlink | 0o777}}, "not inside the archive"},
		"link chain out": {[]item{
			{"p/q/root", "../..", fs.ModeSymlink | 0o777},
			{"t", "p/q/root/../..", fs.ModeSymlink | 0o777},
		}, "not inside the archive"},
		"file through a link": {[]item{
			{"l", ".", fs.ModeSymlink | 0o777},
			{"l/f", "x", 0o644},
		}, "cannot be a link"},
		"file as directory": {[]item{{"f", "x", 0o644}, {"f/g", "x", 0o644}}, "cannot be a directory"},
		"device":            {[]item{{"null", "", fs.ModeDevice | fs.ModeCharDevice | 0o666}}, "is a special file"},
		"link loop":         {[]item{{"a", "b", fs.ModeSymlink | 0o777}, {"b", "a", fs.ModeSymlink | 0o777}}, "not inside the archive"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			bothFormats(t, c.items, func(t *testing.T, data []byte) {
				parent := t.TempDir()
				err := archive.Extract(data, filepath.Join(parent, "root"), archive.Limits{})
				require.ErrorContains(t, err, c.says)
				var user *archive.Error
				require.ErrorAs(t, err, &user)
				requireOnlyRoot(t, parent)
			})
		})
	}
}

func TestLimits(t *testing.T) {
	zeros := strings.Repeat("\x00", 20<<20)
	t.Run("ratio", func(t *testing.T) {
		bothFormats(t, []item{{"zeros", zeros, 0o644}}, func(t *testing.T, data []byte) {
			require.ErrorContains(t, archive.Extract(data, t.TempDir(), archive.Limits{}), "more than 200 times its size")
		})
	})
	t.Run("bytes", func(t *testing.T) {
		bothFormats(t, []item{{"a", "12345", 0o644}, {"b", "67890", 0o644}}, func(t *testing.T, data []byte) {
			require.NoError(t, archive.Extract(data, t.TempDir(), archive.Limits{Bytes: 10}))
			require.ErrorContains(t, archive.Extract(data, t.TempDir(), archive.Limits{Bytes: 9}), "more than 9 bytes")
		})
	})
	t.Run("entries", func(t *testing.T) {
		bothFormats(t, []item{{"a", "", 0o644}, {"b", "", 0o644}}, func(t *testing.T, data []byte) {
			require.NoError(t, archive.Extract(data, t.TempDir(), archive.Limits{Entries: 2}))
			require.ErrorContains(t, archive.Extract(data, t.TempDir(), archive.Limits{Entries: 1}), "more than 1 entries")
		})
	})
}

func TestTarHardLinkIsACopy(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, archive.Extract(tarOf(t, item{"a", "x", 0o755}, item{"b", "a", fs.ModeIrregular | 0o644}), dir, archive.Limits{}))
	info, err := os.Lstat(filepath.Join(dir, "b"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o755), info.Mode())
	err = archive.Extract(tarOf(t, item{"b", "/etc/passwd", fs.ModeIrregular | 0o644}), dir, archive.Limits{})
	require.ErrorContains(t, err, "absolute path")
}

func TestDamaged(t *testing.T) {
	z := zipOf(t, item{"a", strings.Repeat("hello", 1000), 0o644})
	for name, data := range map[string][]byte{
		"neither":       []byte("hello"),
		"truncated zip": z[:len(z)/2],
		"empty gzip":    {0x1f, 0x8b},
	} {
		t.Run(name, func(t *testing.T) {
			var user *archive.Error
			require.ErrorAs(t, archive.Extract(data, t.TempDir(), archive.Limits{}), &user)
		})
	}
}

func TestDetect(t *testing.T) {
	for magic, want := range map[string]archive.Format{
		"PK\x03\x04": archive.Zip, "PK\x05\x06": archive.Zip, "PK\x07\x08": archive.Zip,
		"PK\x03\x06": archive.None, "PK\x04\x05": archive.None, "PK": archive.None,
		"\x1f\x8b\x08\x00": archive.TarGz, "#!/b": archive.None, "": archive.None,
	} {
		require.Equal(t, want, archive.Detect([]byte(magic)), "%q", magic)
	}
}

// requireOnlyRoot fails when parent holds anything but the directory root.
func requireOnlyRoot(t testing.TB, parent string) {
	t.Helper()
	entries, err := os.ReadDir(parent)
	require.NoError(t, err)
	for _, e := range entries {
		require.Equal(t, "root", e.Name(), "something was written outside the root")
	}
}
