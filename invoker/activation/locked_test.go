package activation

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/invoker/pool"
	"github.com/gowhisk/gowhisk/pkg/encryption"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// testKeys open what lock locks.
var testKeys = newTestKeys()

func newTestKeys() *encryption.Keyring {
	line, err := encryption.NewKeyLine(encryption.AES256)
	if err != nil {
		panic(err)
	}
	keys, err := encryption.Parse([]byte(line))
	if err != nil {
		panic(err)
	}
	return keys
}

// lock returns a JSON value encrypted, as a JSON string.
func lock(keys *encryption.Keyring, value string) string {
	_, text := keys.Seal([]byte(value))
	return string(entity.AppendString(nil, text))
}

// TestUnlock: only what is marked is opened, and everything keeps its spelling.
func TestUnlock(t *testing.T) {
	locked := map[string]string{"é": "aes-256", "o": "aes-256", "plain": "noop"}
	content := `{ "\u00e9" : ` + lock(testKeys, `{"n":0.10,"s":"\u00e9\/"}`) + `, "x": 1e400 ,"o":` + lock(testKeys, `"z"`) + `,"plain":"as it is"}`
	got, err := unlock(json.RawMessage(content), locked, testKeys)
	require.NoError(t, err)
	require.Equal(t, `{"\u00e9":{"n":0.10,"s":"\u00e9\/"},"x":1e400,"o":"z","plain":"as it is"}`, string(got))

	for _, same := range []string{`[1,"x"]`, ``} {
		got, err := unlock(json.RawMessage(same), locked, testKeys)
		require.NoError(t, err)
		require.Equal(t, same, string(got))
	}
}

// TestRunWithLockedArguments: what goes to /init and to /run is decrypted.
func TestRunWithLockedArguments(t *testing.T) {
	bodies := map[string]string{}
	b := &box{answers: answerTable{"/init": answers(200, `{}`), "/run": answers(200, `{}`)}, bodies: bodies}
	task := testTask(`{"env":`+lock(testKeys, `{"a": [1]}`)+`,"arg":`+lock(testKeys, `0.10`)+`}`, "env")
	task.Message().LockedArgs = map[string]string{"env": "aes-256", "arg": "aes-256"}
	r := run(t, b, task, true, source{})
	require.Equal(t, pool.Keep, r.outcome)
	require.Contains(t, bodies["/init"], `"env":{"env":"{\"a\":[1]}",`)
	require.Contains(t, bodies["/run"], `{"value":{"arg":0.10},`)
}

// TestLockedArgumentsWithoutKey: the action is not run, and the developer is told
// which parameter to set again.
func TestLockedArgumentsWithoutKey(t *testing.T) {
	stranger := newTestKeys()
	for _, c := range []struct{ name, scheme, value, why string }{
		{"no_key", "aes-256", lock(stranger, `"secret"`), "no key of the server fits"},
		{"not_encrypted", "aes-256", `"secret"`, "it is not in the form of an encrypted value"},
		{"not_a_string", "aes-256", `{"secret":1}`, "it is not in the form of an encrypted value"},
		{"unknown_scheme", "rot13", `"secret"`, "it is not in the form of an encrypted value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, initialise := range []bool{true, false} {
				b := &box{}
				task := blocking(`{"k":` + c.value + `}`)
				task.Message().LockedArgs = map[string]string{"k": c.scheme}
				r := run(t, b, task, initialise, source{})
				require.Empty(t, b.calls)
				require.Equal(t, initialise, r.outcome == pool.Destroy, "a warm container stays")
				require.Equal(t, entity.StatusDeveloperError, r.record().Response.StatusCode)
				require.Equal(t, `{"error":"The action was not run: the encrypted parameter \"k\" cannot be decrypted: `+c.why+
					`. Set the parameter again, or ask for the key that it was encrypted with."}`, string(r.record().Response.Result))
				require.Equal(t, []string{"settled", "ended"}, r.order)
			}
		})
	}
}
