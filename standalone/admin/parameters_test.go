package admin

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/encryption"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

func TestParameters(t *testing.T) {
	db, err := sqlite.Open(t.Context(), sqlite.Options{InMemory: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	run := func(args ...string) (out, progress string, err error) {
		cmd := Parameters("", func(context.Context) (encryption.Documents, func() error, error) {
			return struct {
				store.EntityStore
				*sqlite.DB
			}{db.Entities(), db}, func() error { return nil }, nil
		})
		var stdout, stderr strings.Builder
		cmd.SetOut(&stdout)
		cmd.SetErr(&stderr)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(args)
		err = cmd.ExecuteContext(t.Context())
		return stdout.String(), stderr.String(), err
	}
	file := filepath.Join(t.TempDir(), "keys")
	write := func(lines ...string) {
		require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600))
	}

	key, _, err := run("new-key")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(key, "aes-256 "))
	other, _, err := run("new-key", "--scheme", "aes-128")
	require.NoError(t, err)
	_, _, err = run("new-key", "--scheme", "rot13")
	require.EqualError(t, err, "--scheme rot13: there is no scheme of this name: use aes-256 or aes-128")
	_, _, err = run("reencrypt")
	require.EqualError(t, err, "name the file of the keys with --parameter-keys")
	_, _, err = run("reencrypt", "--parameter-keys", file)
	require.ErrorIs(t, err, os.ErrNotExist)

	a := &entity.Action{
		Header: entity.Header{Namespace: "ns", Name: "a", Version: entity.FirstVersion}, Exec: entity.Exec{Kind: "nodejs:20"},
		Parameters: entity.Parameters{{Key: "k", Value: json.RawMessage(`"v"`)}},
	}
	require.NoError(t, db.Entities().Put(t.Context(), a))
	for _, c := range []struct {
		lines         []string
		out, progress string
	}{
		{[]string{key}, "1 entities read, 1 encrypted\n", "1 entities read, 1 rewritten\n"},
		{[]string{other, key}, "1 entities read, 1 encrypted\n", "1 entities read, 1 rewritten\n"},
		{[]string{other}, "1 entities read, 0 encrypted\n", "1 entities read, 0 rewritten\n"},
		{[]string{"off\n", other}, "1 entities read, 1 decrypted\n", "1 entities read, 1 rewritten\n"},
	} {
		write(c.lines...)
		out, progress, err := run("reencrypt", "--parameter-keys", file)
		require.NoError(t, err)
		require.Equal(t, c.out, out)
		require.Equal(t, c.progress, progress)
	}

	write(key)
	_, _, err = run("reencrypt", "--parameter-keys", file)
	require.NoError(t, err)
	write(other)
	out, progress, err := run("reencrypt", "--parameter-keys", file)
	require.EqualError(t, err, "1 values were left as they are; keep the older keys until they are gone")
	require.Equal(t, "1 entities read, 0 encrypted\n", out)
	require.Equal(t, "1 entities read, 0 rewritten\nns/a: parameter \"k\" cannot be decrypted: no key of the server fits\n", progress)
}
