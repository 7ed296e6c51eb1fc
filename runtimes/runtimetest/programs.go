package runtimetest

import (
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// shell holds the rules of OpenWhisk's dockerskeleton.
func (s *suite) shell(t *testing.T) {
	for name, c := range map[string]struct {
		code   Code
		status int
		result string
		says   string
		stdout []string
	}{
		"the arguments are the first argument": {Code{Code: `echo "{\"got\":$1}"`}, 200, `{"got":{"a":1}}`, "", nil},
		"lines before the last are logs":       {Code{Code: "echo one\necho two\necho '{}'\necho\n"}, 200, `{}`, "", []string{"one", "two"}},
		"a word that looks like base64":        {Code{Code: "date", Binary: true}, 502, "", "The action did not return a dictionary or array.", nil},
		"a zip with exec":                      {Zip(t, File{Name: "exec", Text: "#!/bin/sh\n. ./lib\n"}, File{Name: "lib", Text: "echo '{\"ok\":1}'"}), 200, `{"ok":1}`, "", nil},
		"a script in base64":                   {Code{Code: base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\necho '[1]'\n")), Binary: true}, 200, `[1]`, "", nil},
		"a status with a result":               {Code{Code: "echo '{\"ok\":1}'; exit 5"}, 200, `{"ok":1}`, "", nil},
		"a status without a result":            {Code{Code: "echo no; exit 5"}, 502, "", "exited with status 5", []string{"no"}},
		"a signal":                             {Code{Code: "kill -9 $$"}, 502, "", "ended by a signal", nil},
		"no output":                            {Code{Code: "true"}, 502, "", "The action did not return a dictionary or array.", nil},
		"a path":                               {Code{Code: "case $PATH in */bin*) echo '{}';; esac"}, 200, `{}`, "", nil},
		"a process that stays":                 {Code{Code: "sleep 300 & echo '{}'"}, 200, `{}`, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			client := s.start(t, s.kind, Options{})
			client.MustInit(t, c.code)
			a := client.Run(t, `{"a":1}`)
			require.Equal(t, c.status, a.Status, a.Body)
			if c.result != "" {
				require.JSONEq(t, c.result, a.Body)
			} else {
				require.Contains(t, errorOf(t, a.Body), c.says)
			}
			stdout, _ := client.Logs(t)
			if c.stdout != nil {
				require.Equal(t, c.stdout, stdout)
			}
		})
	}
}

// native holds the rules of ActionLoop (openwhisk-invoker.md 1.8).
func (s *suite) native(t *testing.T) {
	// Answers with its environment, in which the shell itself puts PWD, SHLVL, _.
	const tellsEnv = "#!/bin/sh\nwhile read -r line; do echo \"{\\\"env\\\":\\\"$(/usr/bin/env | /usr/bin/tr '\\n' ' ')\\\"}\" >&3; done\n"
	t.Run("the environment is only the contract's", func(t *testing.T) {
		c := s.start(t, s.kind, Options{Env: []string{"__OW_API_HOST=http://host", "SECRET=x"}})
		c.MustInit(t, Code{Code: tellsEnv, Env: map[string]string{"MYINIT": "here"}})
		body := c.MustRun(t, `{}`)
		for _, part := range []string{"__OW_API_HOST=http://host", "MYINIT=here", "__OW_PROXY_VERSION="} {
			require.Contains(t, body, part)
		}
		for _, part := range []string{"SECRET", "HOME="} {
			require.NotContains(t, body, part)
		}
	})
	t.Run("a zip with exec", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		c.MustInit(t, Zip(t, File{Name: "exec", Text: "#!/bin/sh\nwhile read -r line; do /bin/cat ok >&3; done\n"}, File{Name: "ok", Text: "{\"ok\":1}\n"}))
		require.Equal(t, `{"ok":1}`, c.MustRun(t, `{}`), "the line exactly as written")
	})
	t.Run("an acknowledgement is awaited when asked for", func(t *testing.T) {
		c := s.start(t, s.kind, Options{Env: []string{"OW_WAIT_FOR_ACK=1"}})
		c.MustInit(t, s.fixture(t, identity))
		require.JSONEq(t, `{"a":1}`, c.MustRun(t, `{"a":1}`))
	})
	for name, c := range map[string]struct{ source, says string }{
		"a wrong acknowledgement": {"#!/bin/sh\necho '{\"ok\":false}' >&3; read -r line\n", "The action did not initialize properly."},
		"an exit before it":       {"#!/bin/sh\nexit 1\n", "Command exited abruptly during initialization."},
		"no executable":           {"hello", "cannot start action"},
	} {
		t.Run("init fails by "+name, func(t *testing.T) {
			client := s.start(t, s.kind, Options{Env: []string{"OW_WAIT_FOR_ACK=1"}})
			a := client.Init(t, Code{Code: c.source})
			require.Equal(t, http.StatusBadGateway, a.Status, a.Body)
			require.Contains(t, errorOf(t, a.Body), c.says)
			client.Logs(t)
		})
	}
}
