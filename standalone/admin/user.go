package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

func userCreate(open Open) *cobra.Command {
	var auth, namespace string
	var revoke, generate, silent bool
	cmd := &cobra.Command{
		Use:   "create SUBJECT",
		Short: "Create a subject, or add a namespace to it, and print its credential",
		Args:  cobra.ExactArgs(1),
	}
	create := run(open, func(ctx context.Context, cmd *cobra.Command, subjects store.SubjectStore, args []string) error {
		key, err := newKey(auth)
		if err != nil {
			return err
		}
		if namespace == "" && !cmd.Flags().Changed("namespace") {
			namespace = args[0]
		}
		if err := createUser(ctx, subjects, args[0], namespace, key, revoke); err != nil {
			return err
		}
		if !silent {
			fmt.Fprintln(cmd.OutOrStdout(), key)
		}
		return nil
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if generate {
			fmt.Fprintln(cmd.OutOrStdout(), entity.NewAuthKey())
			return nil
		}
		return create(cmd, args)
	}
	cmd.Flags().StringVarP(&auth, "auth", "u", "", "the credential, as uuid:key (default: a random one)")
	namespaceFlag(cmd, &namespace, "the namespace (default: the subject's name)")
	cmd.Flags().BoolVarP(&revoke, "revoke", "r", false, "replace the credential that the subject has for the namespace")
	cmd.Flags().BoolVarP(&generate, "generate-only", "g", false, "only print a new credential, change nothing")
	cmd.Flags().BoolVarP(&silent, "silent", "s", false, "do not print the credential")
	return cmd
}

// namespaceFlag adds --namespace, which wskadmin also knows as --ns.
func namespaceFlag(cmd *cobra.Command, namespace *string, usage string) {
	cmd.Flags().StringVar(namespace, "namespace", "", usage+"; also --ns")
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "ns" {
			name = "namespace"
		}
		return pflag.NormalizedName(name)
	})
}

func newKey(auth string) (entity.AuthKey, error) {
	if auth == "" {
		return entity.NewAuthKey(), nil
	}
	return entity.ParseAuthKey(auth)
}

// createUser adds the namespace to the subject, which is made if need be.
func createUser(ctx context.Context, subjects store.SubjectStore, name, namespace string, key entity.AuthKey, revoke bool) error {
	switch {
	case len(name) < 5:
		return failf("Subject name must be at least 5 characters")
	case strings.TrimSpace(namespace) == "":
		return failf("Namespace must not be empty")
	}
	if _, err := entity.ParseNamespace(namespace); err != nil {
		return err
	}
	s, err := subjects.Subject(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		s, err = &entity.Subject{Name: name}, nil
	}
	if err != nil {
		return err
	}
	if s.Blocked {
		return failf("The subject you want to edit is blocked")
	}
	at := slices.IndexFunc(s.Namespaces, func(n entity.SubjectNamespace) bool { return n.Name == namespace })
	switch {
	case at < 0:
		s.Namespaces = append(s.Namespaces, entity.SubjectNamespace{Name: namespace, AuthKey: key})
	case revoke:
		s.Namespaces[at].AuthKey = key
	default:
		return failf("Namespace already exists")
	}
	if other, err := subjects.IdentityByUUID(ctx, key.UUID); err == nil && (other.Subject != name || other.Namespace != namespace) {
		return failf("Namespace is not unique")
	}
	return subjects.PutSubject(ctx, s)
}

// CreateSubject creates a subject, unless it exists, with one namespace of its own
// name and the given credential.
func CreateSubject(ctx context.Context, subjects store.SubjectStore, name string, key entity.AuthKey) error {
	if _, err := subjects.Subject(ctx, name); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return createUser(ctx, subjects, name, name, key, false)
}

func userGet(open Open) *cobra.Command {
	var namespace string
	var all bool
	cmd := &cobra.Command{
		Use:   "get SUBJECT",
		Short: "Print the credential of a subject",
		Args:  cobra.ExactArgs(1),
		RunE: run(open, func(ctx context.Context, cmd *cobra.Command, subjects store.SubjectStore, args []string) error {
			ns := namespace
			if ns == "" {
				ns = args[0]
			}
			s, err := subjects.Subject(ctx, args[0])
			if errors.Is(err, store.ErrNotFound) {
				return failf("namespace %q not found for %q", ns, args[0])
			}
			if err != nil {
				return err
			}
			found := false
			for _, n := range s.Namespaces {
				switch {
				case all:
					fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\n", n.Name, n.AuthKey)
					found = true
				case n.Name == ns:
					fmt.Fprintln(cmd.OutOrStdout(), n.AuthKey)
					return nil
				}
			}
			if !found {
				return failf("namespace %q not found for %q", ns, args[0])
			}
			return nil
		}),
	}
	namespaceFlag(cmd, &namespace, "the namespace (default: the subject's name)")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "print all namespaces of the subject with their credentials")
	return cmd
}

func userDelete(open Open) *cobra.Command {
	var namespace string
	cmd := &cobra.Command{
		Use:   "delete SUBJECT",
		Short: "Delete a subject, or one of its namespaces",
		Args:  cobra.ExactArgs(1),
		RunE: run(open, func(ctx context.Context, cmd *cobra.Command, subjects store.SubjectStore, args []string) error {
			s, err := existing(ctx, subjects, args[0])
			if err != nil {
				return err
			}
			if namespace == "" {
				if err := subjects.DeleteSubject(ctx, s); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), "Subject deleted")
				return nil
			}
			rest := slices.DeleteFunc(slices.Clone(s.Namespaces), func(n entity.SubjectNamespace) bool { return n.Name == namespace })
			if len(rest) == len(s.Namespaces) {
				return failf("Namespace %q does not exist for %q", namespace, args[0])
			}
			s.Namespaces = rest
			if err := subjects.PutSubject(ctx, s); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "Namespace deleted")
			return nil
		}),
	}
	namespaceFlag(cmd, &namespace, "delete only this namespace of the subject")
	return cmd
}

func existing(ctx context.Context, subjects store.SubjectStore, name string) (*entity.Subject, error) {
	s, err := subjects.Subject(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, failf("Subject %q does not exist", name)
	}
	return s, err
}

func userList(open Open) *cobra.Command {
	var pick int
	var all, keyOnly bool
	cmd := &cobra.Command{
		Use:   "list NAMESPACE",
		Short: "List the identities of a namespace",
		Args:  cobra.ExactArgs(1),
		RunE: run(open, func(ctx context.Context, cmd *cobra.Command, subjects store.SubjectStore, args []string) error {
			switch {
			case all:
				pick = 0
			case pick < 1:
				return failf("pick at least 1 identity to show")
			}
			list, err := subjects.Identities(ctx, args[0], pick)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				return failf("no identities found for namespace %q", args[0])
			}
			for _, id := range list {
				if keyOnly {
					fmt.Fprintln(cmd.OutOrStdout(), id.Key)
				} else {
					fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\n", id.Key, id.Subject)
				}
			}
			return nil
		}),
	}
	cmd.Flags().IntVarP(&pick, "pick", "p", 1, "show at most this many")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "show all")
	cmd.Flags().BoolVarP(&keyOnly, "key", "k", false, "show credentials only")
	return cmd
}

func userWhois(open Open) *cobra.Command {
	return &cobra.Command{
		Use:   "whois UUID:KEY",
		Short: "Print whose credential this is",
		Args:  cobra.ExactArgs(1),
		RunE: run(open, func(ctx context.Context, cmd *cobra.Command, subjects store.SubjectStore, args []string) error {
			key, err := entity.ParseAuthKey(args[0])
			if err != nil { // nobody's, as wskadmin says
				return failf("Subject id is not recognized")
			}
			id, err := subjects.IdentityByUUID(ctx, key.UUID)
			if errors.Is(err, store.ErrNotFound) || err == nil && id.Key != key {
				return failf("Subject id is not recognized")
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "subject: %s\nnamespace: %s\n", id.Subject, id.Namespace)
			return nil
		}),
	}
}

func userBlock(open Open, blocked bool) *cobra.Command {
	verb := map[bool]string{true: "block", false: "unblock"}[blocked]
	return &cobra.Command{
		Use:   verb + " SUBJECT...",
		Short: strings.ToUpper(verb[:1]) + verb[1:] + " subjects",
		Args:  cobra.MinimumNArgs(1),
		RunE: run(open, func(ctx context.Context, cmd *cobra.Command, subjects store.SubjectStore, args []string) error {
			for _, name := range args {
				s, err := existing(ctx, subjects, name)
				if err != nil {
					return err
				}
				s.Blocked = blocked
				if err := subjects.PutSubject(ctx, s); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%q %sed successfully\n", name, verb)
			}
			return nil
		}),
	}
}
