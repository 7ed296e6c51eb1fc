package wasm

import (
	"encoding/base64"
	"flag"
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

// TestMain also serves as the compiler.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Command {
		os.Exit(CompileMain(os.Args[2:]))
	}
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// built keeps programs that were compiled to WebAssembly, by their directory.
var built sync.Map

// program returns the module of a Go program below testdata.
func goModule(t testing.TB, name string) []byte {
	t.Helper()
	build := sync.OnceValues(func() ([]byte, error) {
		dir, err := os.MkdirTemp("", "gowhisk-wasm-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		out := filepath.Join(dir, "main.wasm")
		command := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "./testdata/"+name)
		command.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
		command.Stderr = os.Stderr
		if err := command.Run(); err != nil {
			return nil, err
		}
		return os.ReadFile(out)
	})
	kept, _ := built.LoadOrStore(name, build)
	binary, err := kept.(func() ([]byte, error))()
	require.NoError(t, err)
	return binary
}

func openIn(t testing.TB, dir string) *Factory {
	t.Helper()
	f, err := Open(Config{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

func TestConformance(t *testing.T) {
	dir := t.TempDir()
	containertest.RunProgram(t, func(t *testing.T) container.Factory { return openIn(t, dir) }, containertest.Program{
		Kind: Kind, MissingKind: "wasm:component",
		Code: base64.StdEncoding.EncodeToString(goModule(t, "program")),
	})
}
