package datadir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOneOwnerAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "data")
	d, err := Open(t.Context(), path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	_, err = Open(t.Context(), path)
	require.ErrorContains(t, err, "another server runs on the data directory "+path+"; stop it, or name another directory with --data-dir")
	require.NoError(t, d.Close())
	again, err := Open(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

func TestDirectoryThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(t.Context(), filepath.Join(file, "data"))
	require.ErrorContains(t, err, "name another with --data-dir")
}

func TestTheNameStays(t *testing.T) {
	path := t.TempDir()
	d, err := Open(t.Context(), path)
	require.NoError(t, err)
	name, err := d.Name()
	require.NoError(t, err)
	require.NotEmpty(t, name)
	require.NoError(t, d.Close())
	d, err = Open(t.Context(), path)
	require.NoError(t, err)
	same, err := d.Name()
	require.NoError(t, err)
	require.Equal(t, name, same)
	require.NoError(t, d.Close())

	other, err := Temporary()
	require.NoError(t, err)
	different, err := other.Name()
	require.NoError(t, err)
	require.NotEqual(t, name, different)
	require.NoError(t, other.Close())
	require.NoDirExists(t, other.Path())
}

func TestOnceIsRepeatedUntilItWorks(t *testing.T) {
	d, err := Temporary()
	require.NoError(t, err)
	defer d.Close()
	broken, calls := errors.New("broken"), 0
	require.ErrorIs(t, d.Once("made", func() error { calls++; return broken }), broken)
	for range 2 {
		require.NoError(t, d.Once("made", func() error { calls++; return nil }))
	}
	require.Equal(t, 2, calls)
}
