package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gowhisk/gowhisk/pkg/encryption"
)

// OpenDocuments opens the entities of the database that the command's flags name.
// The returned function closes it.
type OpenDocuments func(ctx context.Context) (encryption.Documents, func() error, error)

// Parameters returns the command "parameters": the keys of encrypted parameters.
// keyFile is the key file if no flag names one.
func Parameters(keyFile string, open OpenDocuments) *cobra.Command {
	cmd := group("parameters", "Manage the encryption of parameters")
	cmd.AddCommand(newParameterKey(), reencryptParameters(keyFile, open))
	return cmd
}

func newParameterKey() *cobra.Command {
	scheme := string(encryption.AES256)
	cmd := &cobra.Command{
		Use:     "new-key",
		Short:   "Print a new random key, a line for the file of --parameter-keys",
		Example: "  (umask 077; gowhisk admin parameters new-key > parameter-keys)",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			line, err := encryption.NewKeyLine(encryption.Scheme(scheme))
			if err != nil {
				return fmt.Errorf("--scheme %s: %w", scheme, err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), line)
			return nil
		},
	}
	cmd.Flags().StringVar(&scheme, "scheme", scheme, "aes-256 or aes-128")
	return cmd
}

func reencryptParameters(keyFile string, open OpenDocuments) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reencrypt",
		Short: "Encrypt all stored parameters with the current key, or decrypt them if encryption is off",
		Long: `Brings the parameters of all actions and packages under the first key of the file, or decrypts them
if its first line is "off". It may run while the server does, once the server was started with the same
file. Running it again does no harm. When it has succeeded, no stored value needs the older keys.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if keyFile == "" {
				return errors.New("name the file of the keys with --parameter-keys")
			}
			keys, err := encryption.Load(keyFile)
			if err != nil {
				return err
			}
			documents, closeStore, err := open(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closeStore()) }()
			return reencrypt(cmd, keys, documents)
		},
	}
	cmd.Flags().StringVar(&keyFile, "parameter-keys", keyFile, "the server's file of keys")
	return cmd
}

func reencrypt(cmd *cobra.Command, keys *encryption.Keyring, documents encryption.Documents) error {
	p, err := keys.Reencrypt(cmd.Context(), documents, func(p encryption.Progress) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d entities read, %d rewritten\n", p.Read, p.Rewritten)
	})
	for _, f := range p.Failed {
		if f.Name == "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", f.ID, f.Err)
		} else {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: parameter %q cannot be decrypted: %v\n", f.ID, f.Name, f.Err)
		}
	}
	if err != nil {
		return err
	}
	verb := "encrypted"
	if !keys.IsOn() {
		verb = "decrypted"
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d entities read, %d %s\n", p.Read, p.Rewritten, verb)
	if n := len(p.Failed); n > 0 {
		return fmt.Errorf("%d values were left as they are; keep the older keys until they are gone", n)
	}
	return nil
}
