package actionproxy_test

import (
	"encoding/base64"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/runtimes"
	"github.com/gowhisk/gowhisk/runtimes/runtimetest"
)

// TestStartedLauncher: with --launcher-fds the proxy drives a launcher that
// somebody else started, and notices its end by the end of its answers.
func TestStartedLauncher(t *testing.T) {
	launchers := t.TempDir()
	require.NoError(t, runtimes.Install(launchers))
	requestsOut, requestsIn, err := os.Pipe()
	require.NoError(t, err)
	answersOut, answersIn, err := os.Pipe()
	require.NoError(t, err)

	launcher := exec.Command(interpreters(t)["python"].Path, filepath.Join(launchers, runtimes.Launcher("python")))
	launcher.Stdin, launcher.ExtraFiles = requestsOut, []*os.File{answersIn}
	require.NoError(t, launcher.Start())
	p := startProxy(t, "python:3.11", nil, []*os.File{requestsIn, answersOut}, "--launcher-fds", "4,5")
	for _, f := range []*os.File{requestsIn, requestsOut, answersIn, answersOut} {
		require.NoError(t, f.Close())
	}

	p.MustInit(t, runtimetest.Code{Code: "def main(args):\n    return args\n"})
	require.JSONEq(t, `{"a":1}`, p.MustRun(t, `{"a":1}`))
	p.Logs(t)
	require.NoError(t, launcher.Process.Kill())
	require.Error(t, launcher.Wait())
	a := p.Run(t, `{}`)
	require.GreaterOrEqual(t, a.Status, 500)
	require.Contains(t, a.Body, "exited")
	p.Logs(t)
}

// TestLauncherEndsWithProxy: a launcher whose proxy was killed sees the end of
// its requests and ends.
func TestLauncherEndsWithProxy(t *testing.T) {
	for family, i := range interpreters(t) {
		if runtimes.Launcher(family) == "" {
			continue // a part of the action
		}
		t.Run(family, func(t *testing.T) {
			launchers := prepared(t, i)
			answersOut, answersIn, err := os.Pipe()
			require.NoError(t, err)
			defer func() { _ = answersOut.Close() }()
			line := runtimes.Command(family, i.Path, launchers)
			launcher := exec.Command(line[0], line[1:]...)
			launcher.ExtraFiles = []*os.File{answersIn}
			requests, err := launcher.StdinPipe()
			require.NoError(t, err)
			require.NoError(t, launcher.Start())
			require.NoError(t, answersIn.Close())
			require.NoError(t, requests.Close())
			require.NoError(t, launcher.Wait())
		})
	}
}

// TestStop: SIGTERM ends proxy and action, also in the middle of a run.
func TestStop(t *testing.T) {
	for kind, code := range map[string]string{
		"shell:1":                      "echo in; sleep 300",
		interpreters(t)["nodejs"].Kind: `function main() { console.log("in"); return new Promise(() => setInterval(() => {}, 1000)) }`,
	} {
		t.Run(kind, func(t *testing.T) {
			p := startProxy(t, kind, nil, nil)
			p.MustInit(t, runtimetest.Code{Code: code})
			broken := make(chan error, 1)
			go func() {
				_, err := p.HTTP.Post(p.URL+"/run", "application/json", strings.NewReader(`{"value":{}}`))
				broken <- err
			}()
			if kind != "shell:1" { // its first line is held back: it may be the result
				p.Stdout.Contains(t, "in")
			}
			require.NoError(t, p.command.Process.Signal(syscall.SIGTERM))
			require.NoError(t, p.command.Wait())
			require.Error(t, <-broken)
		})
	}
}

// TestBigInit: code of the greatest size that the platform sends.
func TestBigInit(t *testing.T) {
	p := startProxy(t, interpreters(t)["nodejs"].Kind, nil, nil, "--interpreter", interpreters(t)["nodejs"].Path)
	comment := "// " + strings.Repeat("x", 50<<20) + "\n"
	p.MustInit(t, runtimetest.Code{Code: comment + "function main(args) { return args }"})
	require.JSONEq(t, `{"a":1}`, p.MustRun(t, `{"a":1}`))
	a := p.Post(t, "/run", make([]byte, 65<<20))
	require.Equal(t, http.StatusRequestEntityTooLarge, a.Status)
}

func TestBlackbox(t *testing.T) {
	t.Run("code that is built in", func(t *testing.T) {
		p := startProxy(t, "blackbox", nil, nil)
		require.NoError(t, os.WriteFile(filepath.Join(p.dir, "exec"), []byte("#!/bin/sh\necho '{\"ok\":1}'\n"), 0o755))
		a := p.Post(t, "/init", []byte(`{"value":{"name":"x","main":"main","binary":false,"env":{}}}`))
		require.Equal(t, http.StatusOK, a.Status, a.Body)
		require.JSONEq(t, `{"ok":1}`, p.MustRun(t, `{}`))
	})
	t.Run("code that is built in elsewhere", func(t *testing.T) {
		image := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(image, "exec"), []byte("#!/bin/sh\nread -r ok <data\necho \"$ok\"\n"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(image, "data"), []byte("{\"ok\":1}\n"), 0o644))
		p := startProxy(t, "blackbox", []string{"GOWHISK_BUILT_IN=" + image}, nil)
		a := p.Post(t, "/init", []byte(`{"value":{"name":"x","main":"main","binary":false,"env":{}}}`))
		require.Equal(t, http.StatusOK, a.Status, a.Body)
		require.JSONEq(t, `{"ok":1}`, p.MustRun(t, `{}`), "the program runs in its own directory")
	})
	t.Run("no code at all", func(t *testing.T) {
		p := startProxy(t, "blackbox", nil, nil)
		a := p.Post(t, "/init", []byte(`{"value":{}}`))
		require.Equal(t, http.StatusForbidden, a.Status, a.Body)
	})
	t.Run("uploaded code", func(t *testing.T) {
		p := startProxy(t, "blackbox", nil, nil)
		p.MustInit(t, runtimetest.Code{Code: base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\necho \"$1\"\n")), Binary: true})
		require.JSONEq(t, `{"a":1}`, p.MustRun(t, `{"a":1}`))
	})
}

// TestExecutionEnvironment: a program compiled for another image is refused.
func TestExecutionEnvironment(t *testing.T) {
	env := []string{"OW_EXECUTION_ENV=openwhisk/action-native-v1"}
	program := runtimetest.File{Name: "exec", Text: "#!/bin/sh\nwhile read -r line; do echo '{}' >&3; done\n", Mode: 0o755}
	p := startProxy(t, "native:1", env, nil)
	a := p.Init(t, runtimetest.Zip(t, program))
	require.Equal(t, http.StatusBadGateway, a.Status)
	require.Contains(t, a.Body, "Execution environment version mismatch. See logs for details.")

	p = startProxy(t, "native:1", env, nil)
	p.MustInit(t, runtimetest.Zip(t, program, runtimetest.File{Name: "exec.env", Text: "openwhisk/action-native-v1\n"}))
	require.JSONEq(t, `{}`, p.MustRun(t, `{}`))
}

func TestCommandLine(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no kind":                  {nil, "no kind given"},
		"unknown kind":             {[]string{"--kind", "cobol:1"}, `the kind "cobol:1" is unknown`},
		"bad address":              {[]string{"--kind", "shell:1", "--listen", "nowhere"}, `cannot listen on "nowhere"`},
		"bad descriptors":          {[]string{"--kind", "shell:1", "--launcher-fds", "4"}, "want two descriptor numbers"},
		"stray argument":           {[]string{"--kind", "shell:1", "x"}, `unexpected argument "x"`},
		"interpreter missing":      {[]string{"--kind", "python:3.11", "--interpreter", "/nowhere/python3"}, "name it with --interpreter"},
		"interpreter that is none": {[]string{"--kind", "python:3.11", "--interpreter", "/bin/true"}, "ended before it was ready"},
	} {
		t.Run(name, func(t *testing.T) {
			self, err := os.Executable()
			require.NoError(t, err)
			dir := t.TempDir()
			// Flags that come later win.
			args := append([]string{"--listen", "unix:" + filepath.Join(dir, "s"), "--dir", dir}, c.args...)
			command := exec.Command(self, args...)
			command.Env = append(os.Environ(), asProxy+"=1")
			output, err := command.CombinedOutput()
			require.Error(t, err)
			require.Contains(t, string(output), c.says)
		})
	}
}

// TestEnvironmentConfiguration: images configure the proxy by variables, which
// the action does not see.
func TestEnvironmentConfiguration(t *testing.T) {
	p := startProxy(t, "shell:1", []string{"GOWHISK_KIND=python:3.11", "GOWHISK_LISTEN=tcp:127.0.0.1:1"}, nil)
	p.MustInit(t, runtimetest.Code{Code: `echo "{\"kind\":\"$GOWHISK_KIND$GOWHISK_LISTEN\"}"`})
	require.JSONEq(t, `{"kind":""}`, p.MustRun(t, `{}`))
}
