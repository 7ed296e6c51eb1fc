// Command controller is the REST service of a cluster. Its rooms are those of the
// standalone server; what it needs beside them is a transport to invokers in
// other processes, which this version does not have: it checks its configuration
// and says so.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/gowhisk/gowhisk/controller/service"
)

// Set by the linker.
var (
	version = "dev"
	built   = "unknown"
)

var errNoTransport = errors.New("this version has no transport between processes; run \"gowhisk serve\", which has controller and invoker in one")

func main() {
	cmd := &cobra.Command{
		Use:           "controller",
		Short:         "The REST service of a Gowhisk cluster",
		Version:       version + " (" + built + ")",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error {
			cfg := service.Default()
			if err := cfg.Validate(); err != nil {
				return err
			}
			return errNoTransport
		},
	}
	if err := cmd.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "controller:", err)
		os.Exit(1)
	}
}
