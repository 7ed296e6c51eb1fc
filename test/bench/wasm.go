package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/gowhisk/gowhisk/test/harness"
)

// handWritten is a WebAssembly module that prints {"hello":"bench"}, in base64.
const handWritten = "AGFzbQEAAAABEANgBH9/f38Bf2ABfwBgAAACRgIWd2FzaV9zbmFwc2hvdF9wcmV2aWV3MQhmZF93cml0ZQAAFndhc2lfc25hcHNob3RfcHJldmlldzEJcHJvY19leGl0AAEDAgECBQMBAAEHEwIGX3N0YXJ0AAIGbWVtb3J5AgAKHgEcAEEAQYAINgIAQQRBEjYCAEEBQQBBAUEIEAAaCwsZAQBBgAgLEnsiaGVsbG8iOiJiZW5jaCJ9Cg=="

// wasmBar is what a cold start may take, in ms.
const wasmBar = 10

// measureWasm calls WebAssembly actions that nobody called before: of new code, of
// code that is in memory because another action has the same, and of code that was
// compiled by a server that is gone.
func measureWasm(ctx context.Context, p plan, scratch string, results *report) error {
	small, err := base64.StdEncoding.DecodeString(handWritten)
	if err != nil {
		return err
	}
	large, err := buildWasm(ctx, scratch)
	if err != nil {
		return err
	}
	const count = 10
	dir := filepath.Join(scratch, "wasm")
	modules := []struct {
		name   string
		module []byte
	}{{"a small module", small}, {fmt.Sprintf("a Go program (%.1f MB)", float64(len(large))/1e6), large}}
	times := func(s *server, what string, n int, variant func(i int) int) (took []float64, err error) {
		for i := range count {
			action := harness.Action{Exec: harness.Exec{
				Kind: "wasm:wasi", Code: base64.StdEncoding.EncodeToString(numbered(modules[n].module, variant(i))),
			}}
			name := fmt.Sprintf("wasm-%s-%d-%d", what, n, i)
			if _, err := s.put(ctx, name, action); err != nil {
				return nil, err
			}
			begin := time.Now()
			if err := s.invoke(ctx, name); err != nil {
				return nil, err
			}
			took = append(took, milliseconds(time.Since(begin)))
		}
		return took, nil
	}
	same := func(int) int { return 0 }
	each := func(i int) int { return i }
	err = served(ctx, p, dir, func(s *server) error {
		for n, m := range modules {
			compiled, err := times(s, "new", n, each)
			if err != nil {
				return err
			}
			shared, err := times(s, "shared", n, same)
			if err != nil {
				return err
			}
			results.add("wasm, "+m.name+", first call of new code, p50", median(compiled), "ms")
			results.atMost("wasm cold start, "+m.name+", code in memory, p50", median(shared), "ms", wasmBar)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return served(ctx, p, dir, func(s *server) error {
		for n, m := range modules {
			kept, err := times(s, "kept", n, each)
			if err != nil {
				return err
			}
			results.atMost("wasm cold start, "+m.name+", code on disk, p50", median(kept), "ms", wasmBar)
		}
		return nil
	})
}

// served calls use with a server on dir.
func served(ctx context.Context, p plan, dir string, use func(*server) error) error {
	s, err := startServer(ctx, p.gowhisk, dir)
	if err != nil {
		return err
	}
	err = errors.Join(use(s), s.stop())
	if err != nil {
		fmt.Fprintf(os.Stderr, "the end of the server's log:\n%s\n", s.logTail())
	}
	return err
}

// numbered is the module with a custom section that makes it another one.
func numbered(module []byte, n int) []byte {
	return append(module[:len(module):len(module)], 0, 3, 1, 'n', byte(n))
}

// buildWasm compiles testdata/wasm.
func buildWasm(ctx context.Context, dir string) ([]byte, error) {
	out := filepath.Join(dir, "main.wasm")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "./test/bench/testdata/wasm")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if said, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build a WebAssembly module: %w: %s", err, said)
	}
	return os.ReadFile(out)
}
