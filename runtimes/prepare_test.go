package runtimes_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/runtimes"
)

// What is prepared for a language works when actions run; here is when it is done.
func TestPrepare(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, runtimes.Install(dir))
	java := fakeJava(t, filepath.Join(t.TempDir(), "jdk"), "17.0.1")
	calls := filepath.Join(dir, "calls")
	compiler := filepath.Join(filepath.Dir(java), "javac")
	script := "#!/bin/sh\necho called >>" + calls + "\n"
	require.NoError(t, os.WriteFile(compiler, []byte(script+"echo 'no room' >&2\nexit 1\n"), 0o755))
	i := runtimes.Interpreter{Family: "java", Kind: "java:17", Path: java, Version: "17.0.1"}

	err := runtimes.Prepare(t.Context(), i, dir)
	require.ErrorContains(t, err, "prepare java:17 for actions: javac: exit status 1: no room")
	require.NoError(t, os.WriteFile(compiler, []byte(script), 0o755))
	prepared := func(i runtimes.Interpreter, compilations int) {
		t.Helper()
		require.NoError(t, runtimes.Prepare(t.Context(), i, dir))
		text, err := os.ReadFile(calls)
		require.NoError(t, err)
		require.Len(t, text, compilations*len("called\n"))
	}
	prepared(i, 2)
	prepared(i, 2) // it is there
	i.Version = "17.0.2"
	prepared(i, 3)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	i.Version = "17.0.3"
	require.ErrorIs(t, runtimes.Prepare(ctx, i, dir), context.Canceled)
	require.NoError(t, runtimes.Prepare(t.Context(), runtimes.Interpreter{Family: "shell", Kind: "shell:1"}, dir))
}
