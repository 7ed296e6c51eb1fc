package config

import (
	"context"

	"github.com/spf13/cobra"
)

// Validated is a configuration that can tell what is wrong with it.
type Validated interface{ Validate() error }

// Command makes cmd run a service with the configuration that cfg points to, which
// holds the defaults: each key is a flag, --config names a file, and --print-config
// prints the result instead of running.
func Command(cmd *cobra.Command, cfg Validated, run func(context.Context) error) *cobra.Command {
	var file string
	var printConfig bool
	Flags(cmd.Flags(), cfg)
	cmd.Flags().StringVar(&file, "config", "", "YAML file with the same keys as the flags")
	cmd.Flags().BoolVar(&printConfig, "print-config", false, "print the configuration and exit")
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := Load(cmd.Flags(), file, cfg); err != nil {
			return err
		}
		if err := cfg.Validate(); err != nil {
			return err
		}
		if printConfig {
			return Print(cmd.OutOrStdout(), cfg)
		}
		return run(cmd.Context())
	}
	return cmd
}
