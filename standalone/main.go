// Command gowhisk is the whole platform in one process, and the tools around it.
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
	"github.com/gowhisk/gowhisk/runtimes/actionproxy"
	"github.com/gowhisk/gowhisk/standalone/server"
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
		case "action-container":
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
	cmd := rootCommand()
	cmd.SetArgs(wskadminArgs(os.Args[1:]))
	if err := cmd.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "gowhisk:", err)
		os.Exit(exitCode(err))
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "gowhisk",
		Short: "An OpenWhisk-compatible serverless platform in one program",
		Long: `Gowhisk runs functions on HTTP calls, with the clients of OpenWhisk.

"gowhisk demo" starts a server and shows it at work; "gowhisk serve" only starts it.`,
		Version:       version + " (" + built + ")",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	build := server.Build{Version: version, Date: built}
	root.AddCommand(serveCommand(build), demoCommand(build), adminCommand())
	return root
}

// wskadminArgs lets the long options of wskadmin that begin with a single dash
// through.
func wskadminArgs(args []string) []string {
	if len(args) == 0 || args[0] != "admin" {
		return args
	}
	out := make([]string, len(args))
	for i, a := range args {
		if a == "-ns" {
			a = "--ns"
		}
		out[i] = a
	}
	return out
}
