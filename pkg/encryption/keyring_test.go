package encryption_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/encryption"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// The keys are those of OpenWhisk's own tests. The values were made with the JVM's
// AES/GCM/NoPadding and a java.nio.ByteBuffer, as OpenWhisk makes them.
const (
	key128 = "aes-128 ra1V6AfOYAv0jCzEdufIFA=="
	key256 = "aes-256 j5rLzhtxwzPyUVUy8/p8XJmBoKeDoSzNJP1SITJEY9E="

	secret128 = "AAAADAEIDxYdJCsyOUBHTjczZ3Oyprw9n69pJb4Nzo81Jo2fUTMZPA=="
	secret256 = "AAAAgAEIDxYdJCsyOUBHTlVcY2pxeH+GjZSboqmwt77FzNPa4ejv9v0ECxIZICcuNTxDSlFYX2ZtdHuCiZCXnqWss7rByM/W3eTr8vkABw4VHCMqMTg/Rk1UW2JpcHd+hYyTmqGor7a9xMvS2eDn7vX8AwoRGB8mLTQ7QklQV15lbHN6Qyf+TyyFZJSP5QSZUmh9Z3aD1ieiTKGuAvbR2PTOHBIX3ghuCqc5OlNdzb8="
)

func ring(t testing.TB, lines ...string) *encryption.Keyring {
	t.Helper()
	k, err := encryption.Parse([]byte(strings.Join(lines, "\n")))
	require.NoError(t, err)
	return k
}

func newKey(t testing.TB, scheme encryption.Scheme) string {
	t.Helper()
	line, err := encryption.NewKeyLine(scheme)
	require.NoError(t, err)
	return line
}

func TestOpensWhatOpenWhiskEncrypted(t *testing.T) {
	k := ring(t, key128, key256)
	plain, err := k.Open("aes-128", secret128)
	require.NoError(t, err)
	require.Equal(t, `"secret"`, string(plain))
	plain, err = k.Open("aes-256", secret256)
	require.NoError(t, err)
	require.Equal(t, `{"a":[1.50e3,"ü"],"b":null}`, string(plain))
}

// TestWireFormat is openwhisk-rest-api.md 5.1: what OpenWhisk's decoder insists on.
func TestWireFormat(t *testing.T) {
	for scheme, nonce := range map[encryption.Scheme]int{encryption.AES128: 12, encryption.AES256: 128} {
		k := ring(t, newKey(t, scheme))
		name, text := k.Seal([]byte(`"x"`))
		require.Equal(t, string(scheme), name)
		data, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		require.Equal(t, []byte{0, 0, 0, byte(nonce)}, data[:4])
		require.Len(t, data, 4+nonce+len(`"x"`)+16)

		_, again := k.Seal([]byte(`"x"`))
		require.NotEqual(t, text, again, "each value has a nonce of its own")
	}
}

func TestOpenRefuses(t *testing.T) {
	k := ring(t, key128, key256)
	changed, err := base64.StdEncoding.DecodeString(secret128)
	require.NoError(t, err)
	changed[len(changed)-1] ^= 1
	for _, c := range []struct {
		name, scheme, text string
		err                error
	}{
		{"another key", "aes-128", func() string { _, s := ring(t, newKey(t, encryption.AES128)).Seal([]byte("1")); return s }(), encryption.ErrNoKey},
		{"a change", "aes-128", base64.StdEncoding.EncodeToString(changed), encryption.ErrNoKey},
		{"the other scheme", "aes-256", secret128, encryption.ErrFormat},
		{"an unknown scheme", "rot13", secret128, encryption.ErrFormat},
		{"no base64", "aes-128", "secret!", encryption.ErrFormat},
		{"nothing", "aes-128", "", encryption.ErrFormat},
		{"a short text", "aes-128", "AAAADAAA", encryption.ErrFormat},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := k.Open(c.scheme, c.text)
			require.ErrorIs(t, err, c.err)
		})
	}
	var none *encryption.Keyring
	_, err = none.Open("aes-128", secret128)
	require.ErrorIs(t, err, encryption.ErrNoKey)
	plain, err := none.Open("noop", "text")
	require.NoError(t, err)
	require.Equal(t, "text", string(plain))
}

func TestLock(t *testing.T) {
	parameters := entity.Parameters{
		{Key: "number", Value: json.RawMessage(`1e400`)},
		{Key: "init", Value: json.RawMessage(`{"a":0.10}`), Init: true},
		{Key: "null", Value: json.RawMessage(`null`)},
		{Key: "copied", Value: json.RawMessage(`"` + secret128 + `"`), Encryption: "aes-128"},
	}
	k := ring(t, key256, key128)
	locked := k.Lock(parameters)
	require.Equal(t, "aes-256", locked[0].Encryption)
	require.True(t, locked[1].Init)
	require.NotContains(t, string(locked.AppendJSON(nil)), "0.10")
	require.Equal(t, parameters[2:], locked[2:], "null and what is encrypted stay")
	require.Equal(t, "", parameters[0].Encryption, "the argument is left alone")
	require.Equal(t, locked, k.Lock(locked))

	plain := k.Unlock(locked)
	require.Equal(t, parameters[:3], plain[:3])
	require.Equal(t, `"secret"`, string(plain[3].Value))
	require.Equal(t, locked[:3], ring(t, key128).Unlock(locked)[:3], "without the key they stay")
	require.Equal(t, parameters, ring(t, "off", key128).Lock(parameters))
	require.False(t, (*encryption.Keyring)(nil).IsOn())
}

// TestValuesKeepTheirSpelling also when a client spelled the text with escapes.
func TestValuesKeepTheirSpelling(t *testing.T) {
	k := ring(t, key256)
	scheme, text := k.Seal([]byte(`{"n":0.10,"s":"\u00e9\/"}`))
	value, err := k.OpenValue(scheme, json.RawMessage(`"`+strings.ReplaceAll(text, "/", `\/`)+`"`))
	require.NoError(t, err)
	require.Equal(t, `{"n":0.10,"s":"\u00e9\/"}`, string(value))

	for _, value := range []string{`1`, `null`, `{"a":1}`, ``, `"`} {
		_, err = k.OpenValue("aes-256", json.RawMessage(value))
		require.ErrorIs(t, err, encryption.ErrFormat, value)
	}
	_, text = k.Seal([]byte(`not JSON`))
	_, err = k.OpenValue("aes-256", json.RawMessage(`"`+text+`"`))
	require.ErrorIs(t, err, encryption.ErrFormat)
	value, err = k.OpenValue("noop", json.RawMessage(`1`))
	require.NoError(t, err)
	require.Equal(t, `1`, string(value))
}

func FuzzOpen(f *testing.F) {
	k := ring(f, key128, key256)
	for _, s := range []string{"", "=", "AAAADA==", secret128, secret256, secret128[:20]} {
		f.Add("aes-128", s)
		f.Add("aes-256", s)
	}
	f.Fuzz(func(t *testing.T, scheme, text string) {
		plain, err := k.Open(scheme, text)
		if err != nil && plain != nil {
			t.Fatal("a text that cannot be opened has a content")
		}
		// What is sealed is opened to the same bytes, whatever they are.
		sealedScheme, sealed := k.Seal([]byte(text))
		if again, err := k.Open(sealedScheme, sealed); err != nil || !bytes.Equal(again, []byte(text)) {
			t.Fatalf("sealed %q, opened %q: %v", text, again, err)
		}
	})
}
