package standalone

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/test/harness"
)

// keyFile is the file of a server's parameter keys.
type keyFile struct{ path string }

func newKeyFile(t *testing.T) keyFile {
	return keyFile{filepath.Join(harness.TempDir(t), "parameter-keys")}
}

func (k keyFile) write(t *testing.T, lines ...string) {
	t.Helper()
	require.NoError(t, os.WriteFile(k.path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}

// newKey prints a key as the operator makes one.
func newKey(t *testing.T, scheme string) string {
	t.Helper()
	line := harness.AdminCommand(t, "", "parameters", "new-key", "--scheme", scheme).OK(t).Stdout
	require.True(t, strings.HasPrefix(line, scheme+" "), line)
	return line
}

// reencrypt runs the command beside or without the server, and returns what it says.
func (k keyFile) reencrypt(t *testing.T, s *harness.Server) string {
	t.Helper()
	return s.Admin(t, "parameters", "reencrypt", "--parameter-keys", k.path).OK(t).Stdout
}

const (
	// showNode and showPython return their arguments and what the environment has of
	// the parameter for the initialisation.
	showNode = instance + `let runs = 0
function main(args) { return {args, env: process.env.SECRET_INIT, runs: ++runs} }`
	showPython = `import os
def main(args): return {"args": args, "env": os.environ.get("SECRET_INIT")}`

	initSecret = "sesame-of-the-environment"
	runSecret  = "sesame-of-the-arguments"
)

func secretive(a harness.Action) harness.Action {
	a.Parameters = []harness.KeyValue{
		{Key: "SECRET_INIT", Value: initSecret, Init: true},
		{Key: "secret", Value: map[string]any{"password": runSecret}},
	}
	return a
}

// holds reports whether the files of the server's database have a text.
func holds(t *testing.T, s *harness.Server, text string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir(), "gowhisk.db*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		if bytes.Contains(content, []byte(text)) {
			return true
		}
	}
	return false
}

// TestEncryptedParameters is one deployment's story: encryption is turned on, keys
// change, one is lost, encryption is turned off.
func TestEncryptedParameters(t *testing.T) {
	keys := newKeyFile(t)
	first, second := newKey(t, "aes-128"), newKey(t, "aes-256")
	keys.write(t, first)
	s := harness.Start(t, harness.Options{Flags: []string{"--parameter-keys", keys.path}})
	n := harness.NewNamespace(t, s, "locked")
	restart := func(lines ...string) {
		t.Helper()
		s.Stop(t)
		keys.write(t, lines...)
		s.Restart(t)
		n.Client = s.Client(n.Key)
	}
	// works checks that an action gets its plain parameters.
	works := func(name string) {
		t.Helper()
		result := n.Invoke(t, name, "").Is(t, 200).Field("response.result")
		require.Equal(t, initSecret, result.Get("env").String())
		require.Equal(t, `{"secret":{"password":"`+runSecret+`"}}`, strings.ReplaceAll(result.Get("args").Raw, " ", ""))
	}
	for name, a := range map[string]harness.Action{"node": harness.Node(showNode), "python": harness.Python(showPython)} {
		shown := n.PutAction(t, name, secretive(a))
		require.Contains(t, string(shown.Body), runSecret, "the answer to a PUT shows what was sent")
		works(name)
	}

	t.Run("get_shows_the_encrypted_form", func(t *testing.T) {
		list := n.Get(t, "_/actions/node").Is(t, 200).Field("parameters")
		require.Len(t, list.Array(), 2)
		for _, p := range list.Array() {
			require.Equal(t, "aes-128", p.Get("encryption").String())
		}
	})
	t.Run("database_has_no_plain_value", func(t *testing.T) {
		const secret = "sesame-that-nobody-returns"
		quiet := harness.Node(`function main({password}) { return {length: password.length} }`)
		quiet.Parameters = []harness.KeyValue{{Key: "password", Value: secret}}
		n.PutAction(t, "quiet", quiet)
		require.Equal(t, `{"length":26}`, n.Invoke(t, "quiet", "").Is(t, 200).Field("response.result").Raw)
		require.True(t, holds(t, s, "{password}"), "the code, to tell that the files are the right ones")
		require.False(t, holds(t, s, secret))
		n.Delete(t, "_/actions/quiet").Is(t, 200)
	})
	t.Run("payload_overrides", func(t *testing.T) {
		result := n.Invoke(t, "node", `{"secret":0.50}`).Is(t, 200).Field("response.result")
		require.Equal(t, initSecret, result.Get("env").String())
		require.Equal(t, `{"secret":0.5}`, result.Get("args").Raw)
	})
	t.Run("copy_into_another_action", func(t *testing.T) {
		list := n.Get(t, "_/actions/node").Is(t, 200).Field("parameters").Raw
		n.Put(t, "_/actions/copy", `{"exec":{"kind":"python:default","code":"`+strings.ReplaceAll(strings.ReplaceAll(showPython, `"`, `\"`), "\n", `\n`)+`"},"parameters":`+list+`}`).Is(t, 200)
		works("copy")
	})
	t.Run("package_and_binding", func(t *testing.T) {
		n.Put(t, "_/packages/p", `{"parameters":[{"key":"SECRET_INIT","value":"`+initSecret+`","init":true}]}`).Is(t, 200)
		n.Put(t, "_/packages/b", `{"binding":{"namespace":"_","name":"p"},"parameters":[{"key":"secret","value":{"password":"`+runSecret+`"}}]}`).Is(t, 200)
		n.PutAction(t, "p/act", harness.Node(showNode))
		works("b/act")
	})
	t.Run("rotation_beside_the_server", func(t *testing.T) {
		restart(second, first)
		works("node")
		runs := n.Invoke(t, "node", "").Is(t, 200).Field("response.result.runs").Int()
		before := n.Get(t, "_/actions/node?code=false").Is(t, 200)
		require.Contains(t, keys.reencrypt(t, s), "5 encrypted")
		require.Contains(t, keys.reencrypt(t, s), " 0 encrypted")
		works("node")
		// An update reads what is stored, and makes everybody see it.
		n.Put(t, "_/packages/p?overwrite=true", `{}`).Is(t, 200)
		works("b/act")
		restart(second)
		after := n.Get(t, "_/actions/node?code=false").Is(t, 200)
		for _, field := range []string{"version", "updated"} {
			require.Equal(t, before.Field(field).Raw, after.Field(field).Raw, field)
		}
		require.Equal(t, "aes-256", after.Field("parameters.0.encryption").String())
		require.Greater(t, runs, int64(1))
		for _, name := range []string{"node", "python", "copy", "b/act"} {
			works(name)
		}
	})
	t.Run("lost_key", func(t *testing.T) {
		restart(newKey(t, "aes-256"))
		for _, name := range []string{"node", "python"} {
			r := n.Invoke(t, name, "")
			endsWith(t, r, developerError)
			require.Regexp(t, `^The action was not run: the encrypted parameter "(SECRET_INIT|secret)" cannot be decrypted: no key of the server fits\.`,
				r.Field("response.result.error").String())
		}
		require.Contains(t, s.Process().Log(), "an action's parameters cannot be decrypted")
		left := s.Admin(t, "parameters", "reencrypt", "--parameter-keys", keys.path)
		require.Equal(t, 1, left.Code)
		require.Contains(t, left.Stderr, `parameter "secret" cannot be decrypted: no key of the server fits`)
		// What the payload overrides needs no key.
		n.PutAction(t, "node", secretive(harness.Node(showNode)))
		works("node")
	})
	t.Run("off", func(t *testing.T) {
		lines, err := os.ReadFile(keys.path)
		require.NoError(t, err)
		restart("off", second, strings.TrimSpace(string(lines)))
		works("node")
		require.Contains(t, keys.reencrypt(t, s), "5 decrypted")
		restart("off")
		for _, name := range []string{"node", "python", "copy", "b/act"} {
			works(name)
		}
		require.False(t, n.Get(t, "_/actions/node").Is(t, 200).Field("parameters.0.encryption").Exists())
	})
	require.NotContains(t, s.Process().Log(), runSecret, "logs")
}

func TestKeyFileThatOthersMayReadStopsTheStart(t *testing.T) {
	keys := newKeyFile(t)
	keys.write(t, newKey(t, "aes-256"))
	require.NoError(t, os.Chmod(keys.path, 0o644))
	p := harness.Launch(t, harness.Options{Ephemeral: true, Flags: []string{"--parameter-keys", keys.path}})
	require.Equal(t, 1, p.WaitExit(t))
	require.Contains(t, p.Log(), "chmod 600 "+keys.path)
	usage := harness.AdminCommand(t, filepath.Dir(keys.path), "parameters", "reencrypt", "--parameter-keys", keys.path)
	require.Equal(t, 1, usage.Code)
	require.Contains(t, usage.Stderr, "chmod 600 ")
}
