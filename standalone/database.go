package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus/kafka"
	"github.com/gowhisk/gowhisk/pkg/config"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/couchdb"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
	"github.com/gowhisk/gowhisk/standalone/server"
)

// clusterConfig is where a cluster's parts are, for admin commands.
type clusterConfig struct {
	CouchDB couchdb.Config `koanf:",squash"`
	Kafka   kafka.Config   `koanf:",squash"`
}

// adminDatabase is the database that admin commands work on: CouchDB where its address
// is given, else that of a data directory.
type adminDatabase struct {
	dataDir string
	cluster clusterConfig
	flags   *pflag.FlagSet
}

// database is what admin commands need of one.
type database interface {
	Entities() store.EntityStore
	Subjects() store.SubjectStore
	EntityIDs(ctx context.Context, after entity.DocID, limit int) ([]entity.DocID, error)
	Close() error
}

// isGiven reports whether a flag or a variable has the key.
func (d *adminDatabase) isGiven(key, variable string) bool {
	return d.flags.Changed(key) || os.Getenv(config.EnvPrefix+variable) != ""
}

// load fills in what flags and environment say.
func (d *adminDatabase) load() error {
	if err := config.Load(d.flags, "", &d.cluster); err != nil {
		return err
	}
	return errors.Join(d.cluster.CouchDB.Validate(), d.cluster.Kafka.Validate())
}

func (d *adminDatabase) open(ctx context.Context) (database, error) {
	if d.isGiven("couchdb-url", "COUCHDB_URL") {
		if err := d.load(); err != nil {
			return nil, err
		}
		return couchdb.Open(ctx, d.cluster.CouchDB)
	}
	path := server.DatabasePath(d.dataDir)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no database in %s; start a server on it first, or name another with --data-dir, or a cluster's with --couchdb-url", d.dataDir)
	}
	return sqlite.Open(ctx, sqlite.Options{Path: path})
}

// subjects opens the subjects. Where Kafka is given too, the controllers hear of each
// change before the command ends; else they notice within their --identity-ttl.
func (d *adminDatabase) subjects(ctx context.Context) (store.SubjectStore, func() error, error) {
	db, err := d.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	if !d.isGiven("kafka-brokers", "KAFKA_BROKERS") {
		return db.Subjects(), db.Close, nil
	}
	return announcedSubjects{db.Subjects(), d.announce}, db.Close, nil
}

// announce tells the controllers that subjects have changed.
func (d *adminDatabase) announce(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	unique := "admin-" + string(entity.NewActivationID())[:12]
	b, err := kafka.Open(ctx, d.cluster.Kafka, kafka.Options{UniqueName: unique, Log: zap.NewNop()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := b.Attend(ctx); err != nil {
		return err
	}
	return b.AnnounceSubjects(ctx)
}

// announcedSubjects tells of what it changes.
type announcedSubjects struct {
	store.SubjectStore
	announce func(context.Context) error
}

func (s announcedSubjects) told(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	if err := s.announce(ctx); err != nil {
		return fmt.Errorf("the change is stored, but the controllers could not be told: %w", err)
	}
	return nil
}

func (s announcedSubjects) PutSubject(ctx context.Context, u *entity.Subject) error {
	return s.told(ctx, s.SubjectStore.PutSubject(ctx, u))
}

func (s announcedSubjects) DeleteSubject(ctx context.Context, u *entity.Subject) error {
	return s.told(ctx, s.SubjectStore.DeleteSubject(ctx, u))
}

func (s announcedSubjects) PutLimits(ctx context.Context, namespace string, l *entity.UserLimits) error {
	return s.told(ctx, s.SubjectStore.PutLimits(ctx, namespace, l))
}

func (s announcedSubjects) DeleteLimits(ctx context.Context, namespace string) error {
	return s.told(ctx, s.SubjectStore.DeleteLimits(ctx, namespace))
}
