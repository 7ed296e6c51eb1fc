package server

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/gowhisk/gowhisk/invoker/container/process"
	"github.com/gowhisk/gowhisk/pkg/config"
	"github.com/gowhisk/gowhisk/standalone/demo"
	"github.com/gowhisk/gowhisk/test/docs"
)

// TestMain also serves as the program that action containers run.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == process.Command {
		os.Exit(process.ContainerMain(os.Args[2:]))
	}
	flag.Parse()
	os.Exit(m.Run())
}

func TestDocsListEveryOption(t *testing.T) {
	c := DefaultConfig()
	c.DataDir = "~/.local/share/gowhisk"
	var b strings.Builder
	require.NoError(t, config.Document(&b, &c))
	docs.Check(t, "../..", "configuration.md", "", b.String())
}

// TestDocsListEveryMetric runs one action, so that every metric has a value, and
// compares the page with what is gathered.
func TestDocsListEveryMetric(t *testing.T) {
	cfg := processes()
	cfg.Addr, cfg.Ephemeral, cfg.StemCells = "127.0.0.1:0", true, []string{"none"}
	s, err := New(t.Context(), cfg, Build{}, zaptest.NewLogger(t))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var families []*dto.MetricFamily
	require.NoError(t, s.Run(ctx, func(ctx context.Context) error {
		defer cancel()
		sample := demo.Sample{Kind: "shell:default", Source: "#!/bin/sh\necho '{}'"}
		if err := demo.Run(ctx, demo.Target{URL: s.URL(), Key: GuestKey, Sample: sample}, io.Discard); err != nil {
			return err
		}
		families, err = s.registry.Gather()
		return err
	}))

	var b strings.Builder
	b.WriteString("| metric | type | meaning |\n|---|---|---|\n")
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "gowhisk_") {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), f.GetHelp())
		}
	}
	docs.Check(t, "../..", "metrics.md", "", b.String())
}
