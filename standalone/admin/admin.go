// Package admin is the operator's commands on subjects and limits, with the names
// and the output of OpenWhisk's wskadmin (openwhisk-rest-api.md section 20.3).
// They work on the database itself, while a server runs or not; the server acts
// on a change within a second.
package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gowhisk/gowhisk/pkg/store"
)

// Open opens the subjects of the database that the command's flags name. The
// returned function closes it.
type Open func(ctx context.Context) (store.SubjectStore, func() error, error)

// Command returns the command "admin" with its sub-commands.
func Command(open Open) *cobra.Command {
	cmd := group("admin", "Manage subjects and limits")
	cmd.Long = "Manage subjects and limits in the database of a data directory, while its server runs or not."
	user := group("user", "Manage subjects and their credentials")
	user.AddCommand(userCreate(open), userGet(open), userDelete(open), userList(open), userWhois(open), userBlock(open, true), userBlock(open, false))
	limits := group("limits", "Manage the limits of a namespace")
	limits.AddCommand(limitsSet(open), limitsGet(open), limitsDelete(open))
	cmd.AddCommand(user, limits)
	return cmd
}

// group is a command that only has sub-commands; an unknown one is an error.
func group(use, short string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}

// action is what a command does with the subjects.
type action func(ctx context.Context, cmd *cobra.Command, subjects store.SubjectStore, args []string) error

// run wraps an action with the opening and closing of the database.
func run(open Open, do action) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		subjects, closeStore, err := open(cmd.Context())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closeStore()) }()
		return do(cmd.Context(), cmd, subjects, args)
	}
}

// failf is an error whose text is the command's whole output, as wskadmin prints it.
func failf(format string, args ...any) error { return fmt.Errorf(format, args...) }
