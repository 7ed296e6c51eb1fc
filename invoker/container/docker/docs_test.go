package docker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	options "github.com/gowhisk/gowhisk/pkg/config"
	"github.com/gowhisk/gowhisk/test/docs"
)

func TestDocsListEveryOption(t *testing.T) {
	settings := DefaultSettings()
	options.Flags(pflag.NewFlagSet("", pflag.ContinueOnError), &settings) // all of types that it knows
	var b strings.Builder
	require.NoError(t, options.Document(&b, &settings))
	docs.Check(t, "../../..", "containers.md", "", b.String())
}

func TestDocsListEveryMetric(t *testing.T) {
	registry := prometheus.NewRegistry()
	newMetrics(registry, func() float64 { return 0 })
	families, err := registry.Gather()
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString("| metric | type | meaning |\n|---|---|---|\n")
	for _, f := range families {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), f.GetHelp())
	}
	docs.Check(t, "../../..", "metrics.md", "docker", b.String())
}
