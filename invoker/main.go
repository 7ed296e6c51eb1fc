// Command invoker is the worker service of a cluster. Its rooms are those of the
// standalone server; what it needs beside them is a transport from controllers in
// other processes, which this version does not have: it says so.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// Set by the linker.
var (
	version = "dev"
	built   = "unknown"
)

var errNoTransport = errors.New("this version has no transport between processes; run \"gowhisk serve\", which has controller and invoker in one")

func main() {
	cmd := &cobra.Command{
		Use:           "invoker",
		Short:         "The worker of a Gowhisk cluster",
		Version:       version + " (" + built + ")",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error {
			return errNoTransport
		},
	}
	if err := cmd.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "invoker:", err)
		os.Exit(1)
	}
}
