package wasm

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/container/containertest"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gowhisk-wasm-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		os.RemoveAll(dir)
		os.Exit(status)
	}))
}

// programs is where Go programs below testdata are built.
var programs string

var buildProgram = sync.OnceValues(func() (string, error) {
	return build("program", "GOOS=wasip1", "GOARCH=wasm")
})

var buildCompiler = sync.OnceValues(func() (string, error) { return build("compiler") })

// build builds the program of that name below testdata.
func build(name string, env ...string) (file string, err error) {
	file = filepath.Join(programs, name)
	command := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, "./testdata/"+name)
	command.Env = append(append(os.Environ(), "GOFLAGS="), env...)
	if said, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", name, err, said)
	}
	return file, nil
}

// goModule returns the module of the Go program in testdata/program.
func goModule(t testing.TB) []byte {
	t.Helper()
	file, err := buildProgram()
	require.NoError(t, err)
	binary, err := os.ReadFile(file)
	require.NoError(t, err)
	return binary
}

// compilerCommand is that of the program in testdata/compiler.
func compilerCommand(t testing.TB) []string {
	t.Helper()
	file, err := buildCompiler()
	require.NoError(t, err)
	return []string{file, Command}
}

func openIn(t testing.TB, dir string) *Factory {
	t.Helper()
	f, err := Open(Config{Dir: dir, Compiler: compilerCommand(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

func TestConformance(t *testing.T) {
	dir := t.TempDir()
	loaded(t, openIn(t, dir), goModule(t)) // compiling it may take longer than the suite waits
	containertest.RunProgram(t, func(t *testing.T) container.Factory { return openIn(t, dir) }, containertest.Program{
		Kind: Kind, MissingKind: "wasm:component",
		Code: base64.StdEncoding.EncodeToString(goModule(t)),
	})
}
