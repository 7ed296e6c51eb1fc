package encryption_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/encryption"
)

func TestParse(t *testing.T) {
	const secret = "c2VjcmV0"
	for _, c := range []struct {
		name, text string
		isOn       bool
		err        string
	}{
		{"one key", key256, true, ""},
		{"comments and blank lines", "# keys\n\n  " + key256 + " # since May\r\n\t" + key128 + "\n", true, ""},
		{"off with older keys", "off\n" + key256, false, ""},
		{"off alone", " off # for now", false, ""},
		{"nothing", "# nothing\n", false, "there is no key"},
		{"off below a key", key256 + "\noff", false, "line 2: off must be the first line"},
		{"off twice", "off\noff\n" + key128, false, "line 2: off must be the first line"},
		{"no scheme", secret, false, "line 1: write a scheme and a key"},
		{"unknown scheme", key256 + "\n# \nrot13 " + secret, false, "line 3: there is no scheme of this name"},
		{"length of the other scheme", "aes-128" + strings.TrimPrefix(key256, "aes-256"), false, "line 1: the key has 32 bytes: aes-128 wants 16"},
		{"no base64", "aes-128 " + secret + "!", false, "line 1: the key is not base64"},
		{"words behind the key", key128 + " " + secret, false, "line 1: write a scheme and a key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := encryption.Parse([]byte(c.text))
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				require.NotContains(t, err.Error(), secret, "keys are not quoted")
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.isOn, k.IsOn())
		})
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	write := func(mode os.FileMode) {
		require.NoError(t, os.WriteFile(path, []byte(key256), 0o600))
		require.NoError(t, os.Chmod(path, mode))
	}
	_, err := encryption.Load(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, mode := range []os.FileMode{0o644, 0o604, 0o602} {
		write(mode)
		_, err = encryption.Load(path)
		require.ErrorContains(t, err, "run: chmod 600 "+path, "%o", mode)
	}
	for _, mode := range []os.FileMode{0o600, 0o640, 0o400} {
		write(mode)
		k, err := encryption.Load(path)
		require.NoError(t, err, "%o", mode)
		require.True(t, k.IsOn())
	}
	_, err = encryption.Load(filepath.Dir(path))
	require.ErrorContains(t, err, "are not a file")
	require.NoError(t, os.WriteFile(path, []byte("aes-256 x"), 0o600))
	_, err = encryption.Load(path)
	require.ErrorContains(t, err, "parameter keys "+path+": line 1: ")
}

func TestNewKeyLine(t *testing.T) {
	for scheme, size := range map[encryption.Scheme]int{encryption.AES128: 16, encryption.AES256: 32} {
		line := newKey(t, scheme)
		name, text, _ := strings.Cut(line, " ")
		require.Equal(t, string(scheme), name)
		secret, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		require.Len(t, secret, size)
		require.NotEqual(t, line, newKey(t, scheme))
	}
	_, err := encryption.NewKeyLine("des")
	require.ErrorContains(t, err, "use aes-256 or aes-128")
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "off", "off\n" + key128, key256 + "#x", "aes-256", "aes-128 ====", "\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := encryption.Parse(text)
		if (err == nil) != (k != nil) {
			t.Fatalf("keyring %v with error %v", k, err)
		}
		if err != nil {
			return
		}
		if scheme, _ := k.Seal([]byte("x")); (scheme != "") != k.IsOn() {
			t.Fatalf("a ring that is on: %v seals with %q", k.IsOn(), scheme)
		}
	})
}
