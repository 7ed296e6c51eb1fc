// Command controller is the REST service of a Gowhisk cluster.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gowhisk/gowhisk/pkg/config"
	"github.com/gowhisk/gowhisk/pkg/logging"
)

// Set by the linker.
var (
	version = "dev"
	built   = "unknown"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "controller:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	cfg := DefaultConfig()
	return config.Command(&cobra.Command{
		Use:           "controller",
		Short:         "The REST service of a Gowhisk cluster",
		Version:       version + " (" + built + ")",
		SilenceUsage:  true,
		SilenceErrors: true,
	}, &cfg, func(ctx context.Context) error {
		log, err := logging.New(cfg.LogLevel, cfg.LogFormat)
		if err != nil {
			return err
		}
		defer log.Sync() // to standard error: nothing to be done if it fails
		m, err := join(ctx, &cfg, log)
		if err != nil {
			return err
		}
		return m.run(ctx)
	})
}
