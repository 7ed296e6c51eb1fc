// Command invoker is the worker of a Gowhisk cluster: it takes activations from its
// queue and runs them in containers.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/gowhisk/gowhisk/invoker/container/process"
	"github.com/gowhisk/gowhisk/invoker/container/wasm"
	"github.com/gowhisk/gowhisk/pkg/config"
	"github.com/gowhisk/gowhisk/pkg/cpus"
	"github.com/gowhisk/gowhisk/pkg/logging"
	"github.com/gowhisk/gowhisk/runtimes/actionproxy"
)

// Set by the linker.
var (
	version = "dev"
	built   = "unknown"
)

func main() {
	// Action containers are this same program: they must not pay for anything else.
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case process.Command:
			os.Exit(process.ContainerMain(os.Args[2:]))
		case wasm.Command:
			os.Exit(wasm.CompileMain(os.Args[2:]))
		case "action-proxy":
			os.Exit(actionproxy.Main(os.Args[2:]))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "invoker:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	cfg := DefaultConfig()
	return config.Command(&cobra.Command{
		Use:           "invoker",
		Short:         "The worker of a Gowhisk cluster",
		Version:       version + " (" + built + ")",
		SilenceUsage:  true,
		SilenceErrors: true,
	}, &cfg, func(ctx context.Context) error {
		log, err := logging.New(cfg.LogLevel, cfg.LogFormat)
		if err != nil {
			return err
		}
		defer log.Sync() // to standard error: nothing to be done if it fails
		cpus.Limit(cfg.CPUs)
		m, err := join(ctx, &cfg, log)
		if err != nil {
			return err
		}
		return m.run(ctx)
	})
}
