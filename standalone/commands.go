package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/gowhisk/gowhisk/pkg/bus/kafka"
	"github.com/gowhisk/gowhisk/pkg/config"
	"github.com/gowhisk/gowhisk/pkg/cpus"
	"github.com/gowhisk/gowhisk/pkg/encryption"
	"github.com/gowhisk/gowhisk/pkg/logging"
	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/couchdb"
	"github.com/gowhisk/gowhisk/standalone/admin"
	"github.com/gowhisk/gowhisk/standalone/demo"
	"github.com/gowhisk/gowhisk/standalone/server"
)

// usageError is a mistake in the command line; wskadmin ends with 2 then.
type usageError struct{ error }

func exitCode(err error) int {
	var usage usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

func serveCommand(build server.Build) *cobra.Command {
	return serverCommand("serve", "Run the platform in this process", build, func(context.Context, *server.Server) error { return nil })
}

func demoCommand(build server.Build) *cobra.Command {
	return serverCommand("demo", "Run the platform, with a sample action to try", build, func(ctx context.Context, s *server.Server) error {
		for _, sample := range demo.Samples {
			if s.Runs(sample.Kind) {
				return demo.Run(ctx, demo.Target{URL: s.URL(), Key: server.GuestKey, Sample: sample}, os.Stdout)
			}
		}
		return nil
	})
}

// serverCommand is a command that runs the server, and calls ready once it answers.
func serverCommand(use, short string, build server.Build, ready func(context.Context, *server.Server) error) *cobra.Command {
	cfg := server.DefaultConfig()
	return config.Command(&cobra.Command{Use: use, Short: short}, &cfg, func(ctx context.Context) error {
		log, err := logging.New(cfg.LogLevel, cfg.LogFormat)
		if err != nil {
			return err
		}
		defer log.Sync() // to standard error: nothing to be done if it fails
		cpus.Limit(cfg.CPUs)
		s, err := server.New(ctx, cfg, build, log)
		if err != nil {
			return err
		}
		return s.Run(ctx, func(ctx context.Context) error {
			fmt.Printf("Gowhisk is ready on %s\n", s.URL())
			return ready(ctx, s)
		})
	})
}

func adminCommand() *cobra.Command {
	d := &adminDatabase{dataDir: server.DefaultConfig().DataDir, cluster: clusterConfig{couchdb.DefaultConfig(), kafka.DefaultConfig()}}
	if env := os.Getenv(config.EnvPrefix + "DATA_DIR"); env != "" {
		d.dataDir = env
	}
	cmd := admin.Command(d.subjects)
	cmd.AddCommand(admin.Parameters(os.Getenv(config.EnvPrefix+"PARAMETER_KEYS"), func(ctx context.Context) (encryption.Documents, func() error, error) {
		db, err := d.open(ctx)
		if err != nil {
			return nil, nil, err
		}
		return documents{db.Entities(), db}, db.Close, nil
	}))
	cmd.AddCommand(admin.Databases(func() (couchdb.Config, error) {
		err := d.load()
		return d.cluster.CouchDB, err
	}))
	d.flags = cmd.PersistentFlags()
	config.Flags(d.flags, &d.cluster)
	d.flags.StringVar(&d.dataDir, "data-dir", d.dataDir, "data directory of a standalone server; not used with --couchdb-url")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	wrapArgs(cmd)
	return cmd
}

// documents are all entities of a database.
type documents struct {
	store.EntityStore
	database
}

// wrapArgs makes wrong arguments of cmd and its sub-commands usage errors.
func wrapArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{fmt.Errorf("%w\nUsage: %s", err, cmd.UseLine())}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		wrapArgs(sub)
	}
}
