package runtimetest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// python holds the rules of openwhisk-invoker.md 1.9.
func (s *suite) python(t *testing.T) {
	s.pythonResults(t)
	s.pythonArchives(t)
}

func (s *suite) pythonResults(t *testing.T) {
	t.Run("an exception is the result, its traceback is logged", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		c.MustInit(t, Code{Code: "def main(args):\n    raise ValueError('wrong ' + args['x'])\n"})
		require.JSONEq(t, `{"error":"wrong ❄"}`, c.MustRun(t, `{"x":"❄"}`))
		_, stderr := c.Logs(t)
		require.Equal(t, "Traceback (most recent call last):", stderr[0])
		require.Contains(t, stderr, "    raise ValueError('wrong ' + args['x'])")
		require.Equal(t, "ValueError: wrong ❄", stderr[len(stderr)-1])
		require.Equal(t, http.StatusOK, c.Run(t, `{"x":"again"}`).Status)
	})
	for name, c := range map[string]struct{ source, result string }{
		"exact integers":            {"def main(a):\n    return {'n': 12345678901234567890123}\n", `{"n": 12345678901234567890123}`},
		"a tuple":                   {"def main(a):\n    return 1, 2\n", `[1, 2]`},
		"not a number":              {"def main(a):\n    return {'n': float('nan')}\n", `{"error": "Out of range float values are not JSON compliant`},
		"a lone surrogate":          {"def main(a):\n    return {'s': '\\ud800'}\n", `{"s": "\ud800"}`},
		"standard input of a child": {"import subprocess\ndef main(a):\n    return {'s': subprocess.run(['cat'], stdout=subprocess.PIPE).stdout.decode()}\n", `{"s": ""}`},
		"standard input":            {"import sys\ndef main(a):\n    return {'s': sys.stdin.read()}\n", `{"s": ""}`},
		"a class as the main":       {"class main(dict):\n    pass\n", `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			client := s.start(t, s.kind, Options{})
			client.MustInit(t, Code{Code: c.source})
			require.True(t, strings.HasPrefix(client.MustRun(t, `{}`), c.result)) // newer versions say more
		})
	}
	t.Run("a result that is no JSON is an error of the action", func(t *testing.T) {
		client := s.start(t, s.kind, Options{})
		client.MustInit(t, Code{Code: "def main(a):\n    return {'x': {1}}\n"})
		require.JSONEq(t, `{"error":"Object of type set is not JSON serializable"}`, client.MustRun(t, `{}`))
	})
	for name, c := range map[string]struct{ source, says string }{
		"a syntax error":        {"def main(:", "SyntaxError"},
		"a missing module":      {"import no_such_module\ndef main(a):\n    return a\n", "No module named 'no_such_module'"},
		"no such function":      {"x = 1", "Action entrypoint 'main' is not a function."},
		"an exit while loading": {"import sys; sys.exit(1)", "The action did not initialize and exited unexpectedly."},
	} {
		t.Run("init fails by "+name, func(t *testing.T) {
			client := s.start(t, s.kind, Options{})
			a := client.Init(t, Code{Code: c.source})
			require.Equal(t, http.StatusBadGateway, a.Status, a.Body)
			require.Contains(t, errorOf(t, a.Body), c.says)
			client.Logs(t)
		})
	}
}

func (s *suite) pythonArchives(t *testing.T) {
	const main = "import lib.ok, os\ndef main(args):\n    return {'ok': lib.ok.text, 'cwd': os.path.exists('data.txt'), 'name': __name__}\n"
	t.Run("zip with sub-modules", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		c.MustInit(t, Zip(t,
			File{Name: "__main__.py", Text: main},
			File{Name: "lib/__init__.py"},
			File{Name: "lib/ok.py", Text: "text = 'yes'\n"},
			File{Name: "data.txt"}))
		require.JSONEq(t, `{"ok":"yes","cwd":true,"name":"main__"}`, c.MustRun(t, `{}`))
	})
	t.Run("zip with a virtualenv", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		c.MustInit(t, Zip(t,
			File{Name: "__main__.py", Text: "import dep\ndef main(args):\n    return {'ok': dep.text}\n"},
			File{Name: "virtualenv/bin/activate_this.py", Text: "raise Exception('not needed')\n"},
			File{Name: "virtualenv/lib/python3.11/site-packages/dep.py", Text: "text = 'yes'\n"}))
		require.JSONEq(t, `{"ok":"yes"}`, c.MustRun(t, `{}`))
	})
	t.Run("zip with a virtualenv that only has a script", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		c.MustInit(t, Zip(t,
			File{Name: "__main__.py", Text: "import dep\ndef main(args):\n    return {'ok': dep.text}\n"},
			File{Name: "virtualenv/bin/activate_this.py", Text: "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'packages'))\n"},
			File{Name: "virtualenv/packages/dep.py", Text: "text = 'yes'\n"}))
		require.JSONEq(t, `{"ok":"yes"}`, c.MustRun(t, `{}`))
	})
	t.Run("zip with a broken virtualenv", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		a := c.Init(t, Zip(t, File{Name: "__main__.py", Text: main}, File{Name: "virtualenv/readme"}))
		require.Contains(t, errorOf(t, a.Body), "Invalid virtualenv. Zip file does not include 'activate_this.py'.")
	})
	t.Run("source in base64", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		c.MustInit(t, Code{Code: "ZGVmIG1haW4oYSk6CiAgICByZXR1cm4geyJvayI6IDF9Cg==", Binary: true})
		require.JSONEq(t, `{"ok":1}`, c.MustRun(t, `{}`))
	})
}
