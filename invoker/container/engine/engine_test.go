package engine

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/container/docker"
	"github.com/gowhisk/gowhisk/invoker/container/process"
	manifest "github.com/gowhisk/gowhisk/pkg/runtimes"
)

// TestMain also serves as the program that action containers run.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == process.Command {
		os.Exit(process.ContainerMain(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// withoutEngine is a configuration that names an engine which is not there.
func withoutEngine(t *testing.T, containers string) (Config, *observer.ObservedLogs) {
	core, logged := observer.New(zap.InfoLevel)
	c := Config{Settings: DefaultSettings(), Dir: t.TempDir(), Owner: "test", Manifest: manifest.Default(), Log: zap.New(core)}
	c.Containers, c.Docker.Host = containers, "unix://"+t.TempDir()+"/none"
	return c, logged
}

func TestAutoWithoutEngine(t *testing.T) {
	c, logged := withoutEngine(t, Auto)
	e, err := Open(t.Context(), c)
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	require.NotEmpty(t, e.Interpreters)
	require.True(t, e.Runs("nodejs:default"))
	require.False(t, e.Runs("cobol:85"))
	require.False(t, e.Gateway.IsValid())
	require.Equal(t, 1, logged.FilterMessage("no Docker engine answers: actions run in processes").Len())

	require.NoError(t, e.Sweep(t.Context()))
	running, err := e.Start(t.Context(), container.Spec{Name: "one", Kind: "shell:1", Memory: 128, Concurrency: 1})
	require.NoError(t, err)
	require.NoError(t, running.Destroy(t.Context()))
	running, err = e.Start(t.Context(), container.Spec{Name: "two", Kind: "wasm:wasi", Memory: 128, Concurrency: 1})
	require.NoError(t, err, "WebAssembly needs neither")
	require.NoError(t, running.Destroy(t.Context()))
}

func TestDockerWithoutEngine(t *testing.T) {
	c, _ := withoutEngine(t, Docker)
	_, err := Open(t.Context(), c)
	require.ErrorIs(t, err, docker.ErrNoEngine)
	require.ErrorContains(t, err, "--containers docker: ")
}

func TestSettings(t *testing.T) {
	require.NoError(t, DefaultSettings().Validate())
	s := DefaultSettings()
	s.Containers = "vm"
	require.EqualError(t, s.Validate(), `--containers "vm": give auto, docker or process`)
	s = DefaultSettings()
	s.Docker.Publish = "sometimes"
	require.ErrorContains(t, s.Validate(), "publish")
}
