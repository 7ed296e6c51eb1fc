package runtimes_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/runtimes"
)

// fake makes an executable that answers every question with lines.
func fake(t *testing.T, path, lines string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\nprintf '"+lines+"'\n"), 0o755))
	real, err := filepath.EvalSymlinks(path)
	require.NoError(t, err)
	return real
}

// fakeJava makes an installation of Java.
func fakeJava(t *testing.T, home, version string) string {
	t.Helper()
	path := fake(t, filepath.Join(home, "bin", "java"), "must not be asked")
	require.NoError(t, os.WriteFile(filepath.Join(home, "release"), []byte("IMPLEMENTOR=\"x\"\nJAVA_VERSION=\""+version+"\"\n"), 0o644))
	return path
}

func TestDetect(t *testing.T) {
	dir := t.TempDir()
	node20 := fake(t, filepath.Join(dir, "versions", "20", "node"), "")
	fake(t, node20, node20+`\n20.20.2\n`)
	for _, version := range []string{"3.10.2", "3.10.14"} {
		fake(t, filepath.Join(dir, "versions", version, "bin", "python3"), "must not be asked")
	}
	fake(t, filepath.Join(dir, "shims", "python3"), "must not be asked")
	fake(t, filepath.Join(dir, "shims", "node"), node20+`\n20.20.2\n`)
	python := fake(t, filepath.Join(dir, "bin", "python3.9"), "")
	fake(t, python, python+`\n3.9.18\n`)
	require.NoError(t, os.Symlink("python3.9", filepath.Join(dir, "bin", "python3")))
	newer := fake(t, filepath.Join(dir, "other", "python3.11"), "")
	fake(t, newer, newer+`\n3.11.2\n`)
	fake(t, filepath.Join(dir, "other", "node"), "nonsense")
	fake(t, filepath.Join(dir, "other", "python3.12"), "/nowhere\\n3.12.0\\n")
	old := fake(t, filepath.Join(dir, "other", "python3.7"), "")
	fake(t, old, old+`\n3.7.16\n`)
	fake(t, filepath.Join(dir, "other", "python3-config"), "/nowhere\\n3.13.0\\n")
	php := fake(t, filepath.Join(dir, "bin", "php8.2"), "")
	fake(t, php, php+`\n8.2.29\n`)
	require.NoError(t, os.Symlink("php8.2", filepath.Join(dir, "bin", "php")))
	fake(t, filepath.Join(dir, "bin", "php-config"), "/nowhere\\n8.3.0\\n")
	fake(t, filepath.Join(dir, "versions", "3.1.2", "bin", "ruby"), "must not be asked")
	fake(t, filepath.Join(dir, "shims", "ruby"), "must not be asked")
	toolchain := fake(t, filepath.Join(dir, "sdk", "bin", "go"), "must not be asked")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sdk", "VERSION"), []byte("go1.26.8\ntime 2026-08-28T16:20:06Z\n"), 0o600))
	require.NoError(t, os.Symlink(toolchain, filepath.Join(dir, "bin", "go")))
	fake(t, filepath.Join(dir, "other", "go1.27"), "must not be asked") // of no installation
	java := fakeJava(t, filepath.Join(dir, "jdk-17"), "17.0.15")
	fake(t, filepath.Join(dir, "jdk-17", "bin", "javac"), "must not be asked")
	fakeJava(t, filepath.Join(dir, "jre-21"), "21")
	t.Setenv("PATH", dir+"/jre-21/bin:"+dir+"/jdk-17/bin:"+dir+"/shims:"+dir+"/bin:relative:"+dir+"/none:"+dir+"/other")

	found, err := runtimes.Detect(t.Context())
	require.NoError(t, err)
	require.Equal(t, []runtimes.Interpreter{
		{Family: "nodejs", Kind: "nodejs:20", Path: node20, Version: "20.20.2"},
		{Family: "python", Kind: "python:3.11", Path: newer, Version: "3.11.2"},
		{Family: "python", Kind: "python:3.10", Path: filepath.Join(filepath.Dir(node20), "..", "3.10.14", "bin", "python3"), Version: "3.10.14"},
		{Family: "python", Kind: "python:3.9", Path: python, Version: "3.9.18"},
		{Family: "php", Kind: "php:8.2", Path: php, Version: "8.2.29"},
		{Family: "ruby", Kind: "ruby:3.1", Path: filepath.Join(filepath.Dir(node20), "..", "3.1.2", "bin", "ruby"), Version: "3.1.2"},
		{Family: "java", Kind: "java:17", Path: java, Version: "17.0.15"},
		{Family: "go", Kind: "go:1.26", Path: toolchain, Version: "1.26.8"},
		{Family: "shell", Kind: "shell:1", Path: "/bin/sh", Version: "1"},
	}, found)
}

func TestInstall(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "launchers")
	require.NoError(t, runtimes.Install(dir))
	for _, family := range []string{"nodejs", "python", "php", "ruby", "java"} {
		path := filepath.Join(dir, runtimes.Launcher(family))
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o644), info.Mode())
	}
	require.Empty(t, runtimes.Launcher("shell"))

	path := filepath.Join(dir, runtimes.Launcher("nodejs"))
	before, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, runtimes.Install(dir))
	after, err := os.Stat(path)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "an equal file is left alone")

	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	require.NoError(t, runtimes.Install(dir))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotEqual(t, "old", string(text))
	left, err := filepath.Glob(filepath.Join(dir, "*", ".new-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}
