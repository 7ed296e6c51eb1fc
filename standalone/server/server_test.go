package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/gowhisk/gowhisk/invoker/container/engine"
	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

// processes is a configuration with which a Docker engine on this machine changes
// nothing.
func processes() Config {
	cfg := DefaultConfig()
	cfg.Engine.Containers = engine.Process
	return cfg
}

// TestPublishedKeysAreForNewDatabases: a subject that was deleted stays deleted.
func TestPublishedKeysAreForNewDatabases(t *testing.T) {
	cfg := processes()
	cfg.Addr, cfg.DataDir, cfg.StemCells = "127.0.0.1:0", t.TempDir(), []string{"none"}
	start := func() {
		s, err := New(t.Context(), cfg, Build{}, zaptest.NewLogger(t))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		require.NoError(t, s.Run(ctx, func(context.Context) error { cancel(); return nil }))
	}
	start()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: DatabasePath(cfg.DataDir)})
	require.NoError(t, err)
	defer db.Close()
	guest, err := db.Subjects().Subject(t.Context(), "guest")
	require.NoError(t, err)
	require.Equal(t, GuestKey, guest.Namespaces[0].AuthKey)
	require.NoError(t, db.Subjects().DeleteSubject(t.Context(), guest))
	start()
	_, err = db.Subjects().Subject(t.Context(), "guest")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestConfigNamesWhatToChange(t *testing.T) {
	require.NoError(t, new(DefaultConfig()).Validate())
	for _, c := range []struct {
		change func(*Config)
		flag   string
	}{
		{func(c *Config) { c.Addr = "3233" }, "--addr"},
		{func(c *Config) { c.MetricsAddr = "x" }, "--metrics-addr"},
		{func(c *Config) { c.AdminFile = "file" }, "--metrics-addr"},
		{func(c *Config) { c.DataDir = "" }, "--data-dir"},
		{func(c *Config) { c.Synchronous = "off" }, "--synchronous"},
		{func(c *Config) { c.Retention = -1 }, "--activation-retention"},
		{func(c *Config) { c.MaxMemory = 100 }, "--max-memory"},
		{func(c *Config) { c.Memory = 300 }, "--memory"},
		{func(c *Config) { c.MaxTimeout = 1 }, "--max-timeout"},
		{func(c *Config) { c.MaxConcurrency = 0 }, "--max-concurrency"},
		{func(c *Config) { c.ParallelStart = 0 }, "--parallel-starts"},
		{func(c *Config) { c.IdleTimeout = 0 }, "--idle-timeout"},
		{func(c *Config) { c.FiresPerMinute = -1 }, "--fires-per-minute"},
		{func(c *Config) { c.CPUs = -1 }, "--cpus"},
		{func(c *Config) { c.Engine.Containers = "vm" }, "--containers"},
		{func(c *Config) { c.StemCells = []string{"nodejs:20"} }, "--stem-cells"},
		{func(c *Config) { c.StemCells = []string{"nodejs:20=0"} }, "--stem-cells"},
	} {
		cfg := DefaultConfig()
		c.change(&cfg)
		require.ErrorContains(t, cfg.Validate(), c.flag)
	}
}

func TestMetricsAddressInUseIsToldAtStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	cfg := processes()
	cfg.Addr, cfg.Ephemeral, cfg.MetricsAddr = "127.0.0.1:0", true, taken.Addr().String()
	_, err = New(t.Context(), cfg, Build{}, zaptest.NewLogger(t))
	require.ErrorContains(t, err, "--metrics-addr")
}

// TestOperatorsAskOnTheMetricsAddress: and nowhere else.
func TestOperatorsAskOnTheMetricsAddress(t *testing.T) {
	cfg := processes()
	cfg.Addr, cfg.MetricsAddr, cfg.Ephemeral, cfg.StemCells = "127.0.0.1:0", "127.0.0.1:0", true, []string{"none"}
	cfg.AdminFile = filepath.Join(t.TempDir(), "credentials")
	require.NoError(t, os.WriteFile(cfg.AdminFile, []byte("operator:secret\n"), 0o600))
	s, err := New(t.Context(), cfg, Build{}, zaptest.NewLogger(t))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	require.NoError(t, s.Run(ctx, func(ctx context.Context) error {
		defer cancel()
		ask := func(method, url string) (int, string) {
			r, err := http.NewRequestWithContext(ctx, method, url, nil)
			require.NoError(t, err)
			r.SetBasicAuth("operator", "secret")
			answer, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			return answer.StatusCode, string(body)
		}
		private := "http://" + s.metrics.Addr().String()
		for path, want := range map[string]string{
			"/invokers": `{"invoker0/0":"up"}`, "/invokers/healthy/count": "1", "/invokers/ready": `{"healthy":"1/1"}`,
			"/activation": "[]", "/activation/count": "0",
		} {
			status, body := ask("GET", private+path)
			require.Equal(t, 200, status, path)
			require.Equal(t, want, body, path)
			status, _ = ask("GET", s.URL()+path)
			require.Equal(t, 404, status, path)
		}
		status, _ := ask("POST", s.URL()+"/disable")
		require.Equal(t, 404, status)
		status, body := ask("POST", private+"/disable")
		require.Equal(t, 200, status, body)
		status, _ = ask("GET", private+"/metrics")
		require.Equal(t, 200, status)
		return nil
	}))
}

// TestNothingIsGoneOnWithWhoseRecordsMayBeDeleted: they tell what must not run again.
func TestNothingIsGoneOnWithWhoseRecordsMayBeDeleted(t *testing.T) {
	for retention, want := range map[time.Duration]time.Duration{0: time.Hour, time.Minute: time.Minute, 7 * 24 * time.Hour: time.Hour} {
		cfg := DefaultConfig()
		cfg.MaxQueueAge, cfg.Retention = time.Hour, retention
		require.Equal(t, want, (&Server{cfg: cfg}).controllerConfig(Build{}).Times.Resume)
	}
}

func TestFlagsReachTheController(t *testing.T) {
	cfg := DefaultConfig()
	require.False(t, (&Server{cfg: cfg}).controllerConfig(Build{}).SharedPackagesExecuteOnly)
	cfg.SharedPackagesExecuteOnly = true
	require.True(t, (&Server{cfg: cfg}).controllerConfig(Build{}).SharedPackagesExecuteOnly)
}
