package admin

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gowhisk/gowhisk/pkg/store/couchdb"
)

// Databases returns the command "db": the databases of a cluster. load returns where
// they are.
func Databases(load func() (couchdb.Config, error)) *cobra.Command {
	cmd := group("db", "Make and check the databases of a cluster in CouchDB")
	cmd.AddCommand(
		&cobra.Command{
			Use:   "init",
			Short: "Make the databases and design documents that are missing",
			Long: `Makes the databases and design documents that are missing in CouchDB. What is there stays as it is, so
that it may be done again, and on databases that OpenWhisk has filled. It creates no subjects: do that with
"gowhisk admin user create".`,
			Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				cfg, err := load()
				if err != nil {
					return err
				}
				made, err := couchdb.Init(cmd.Context(), cfg)
				for _, what := range made {
					fmt.Fprintln(cmd.OutOrStdout(), "made", what)
				}
				if err == nil && len(made) == 0 {
					fmt.Fprintln(cmd.OutOrStdout(), "nothing was missing")
				}
				return err
			},
		},
		&cobra.Command{
			Use:   "check",
			Short: "Tell what is missing; the exit status is 1 if anything is",
			Args:  cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				cfg, err := load()
				if err != nil {
					return err
				}
				missing, err := couchdb.Check(cmd.Context(), cfg)
				if err != nil {
					return err
				}
				for _, what := range missing {
					fmt.Fprintln(cmd.OutOrStdout(), "missing:", what)
				}
				if len(missing) > 0 {
					return errors.New(`databases are incomplete; "gowhisk admin db init" makes what is missing`)
				}
				fmt.Fprintln(cmd.OutOrStdout(), "all databases and design documents are there")
				return nil
			},
		})
	return cmd
}
