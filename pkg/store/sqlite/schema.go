package sqlite

import (
	"context"
	"fmt"
)

// applicationID marks our files in SQLite's header ("GWSK").
const applicationID = 0x4757534b

// migrations brings a file from version i to i+1, as counted by user_version.
// A released step never changes; a new need is a new step.
var migrations = [][]string{{
	`CREATE TABLE sequences (
		name  TEXT PRIMARY KEY,
		value INTEGER NOT NULL
	) WITHOUT ROWID`,
	`INSERT INTO sequences VALUES ('revision', 0), ('bus', 0)`,

	// seq is the revision: it grows with every write of the file and is never
	// used twice, so it also orders entities that were updated in the same
	// millisecond. The small columns come first; SQLite reads no further than
	// the last column that a query names.
	`CREATE TABLE entities (
		seq        INTEGER PRIMARY KEY,
		id         TEXT NOT NULL UNIQUE,
		type       TEXT NOT NULL,
		namespace  TEXT NOT NULL,
		path       TEXT NOT NULL,
		updated    INTEGER NOT NULL,
		packaged   INTEGER NOT NULL,
		public     INTEGER NOT NULL,
		summary    BLOB NOT NULL,
		document   BLOB NOT NULL,
		attachment INTEGER,
		code       TEXT
	)`,
	`CREATE INDEX entities_by_namespace ON entities (type, namespace, updated)`,
	`CREATE INDEX entities_by_path ON entities (type, path, updated) WHERE packaged = 1`,
	`CREATE INDEX entities_public ON entities (type, namespace, updated) WHERE public = 1`,
	`CREATE TABLE attachments (
		id        INTEGER PRIMARY KEY,
		is_base64 INTEGER NOT NULL,
		content   BLOB NOT NULL
	)`,

	// The record proper is its columns up to annotations: what lists show. The
	// indices end in seq implicitly, so records of one millisecond are ordered.
	`CREATE TABLE activations (
		seq         INTEGER PRIMARY KEY,
		id          TEXT NOT NULL,
		namespace   TEXT NOT NULL,
		start       INTEGER NOT NULL,
		filter_path TEXT NOT NULL,
		name        TEXT NOT NULL,
		version     TEXT NOT NULL,
		cause       TEXT NOT NULL,
		end         INTEGER NOT NULL,
		duration    INTEGER,
		status_code INTEGER NOT NULL,
		publish     INTEGER NOT NULL,
		annotations BLOB NOT NULL,
		subject     TEXT NOT NULL,
		size        INTEGER,
		result      BLOB,
		logs        BLOB
	)`,
	`CREATE UNIQUE INDEX activations_by_id ON activations (id, namespace)`,
	`CREATE INDEX activations_by_start ON activations (namespace, start)`,
	`CREATE INDEX activations_by_name ON activations (namespace, filter_path, start)`,

	`CREATE TABLE subjects (
		name     TEXT PRIMARY KEY,
		revision INTEGER NOT NULL,
		blocked  INTEGER NOT NULL
	) WITHOUT ROWID`,
	`CREATE TABLE identities (
		subject   TEXT NOT NULL,
		position  INTEGER NOT NULL,
		namespace TEXT NOT NULL,
		uuid      TEXT NOT NULL,
		key       TEXT NOT NULL,
		PRIMARY KEY (subject, position)
	) WITHOUT ROWID`,
	`CREATE INDEX identities_by_uuid ON identities (uuid)`,
	`CREATE INDEX identities_by_namespace ON identities (namespace)`,
	`CREATE TABLE limits (
		namespace TEXT PRIMARY KEY,
		document  TEXT NOT NULL
	) WITHOUT ROWID`,

	// The queues of pkg/bus/local. key is made from the activation id, which
	// makes ids unique without an index of their own; position is the place in
	// the queue, indexed only while it matters. claimed counts the claims that
	// were not released; 0 is an accepted message.
	`CREATE TABLE messages (
		key      INTEGER PRIMARY KEY,
		queue    INTEGER NOT NULL,
		position INTEGER NOT NULL,
		claimed  INTEGER NOT NULL,
		id       TEXT NOT NULL,
		body     BLOB NOT NULL
	)`,
	`CREATE INDEX messages_accepted ON messages (queue, position) WHERE claimed = 0`,
}, {
	// The journal of pkg/bus/local: what a controller has begun and not ended.
	`CREATE TABLE journal (
		seq        INTEGER PRIMARY KEY,
		controller TEXT NOT NULL,
		namespace  TEXT NOT NULL,
		id         TEXT NOT NULL,
		body       BLOB NOT NULL,
		UNIQUE (id, namespace)
	)`,
}, {
	// The deliveries to webhooks; owner is the trigger's id. seq orders them. The
	// event comes last, for lists do without it.
	`CREATE TABLE deliveries (
		seq        INTEGER PRIMARY KEY,
		owner      TEXT NOT NULL,
		id         TEXT NOT NULL,
		refused    INTEGER NOT NULL,
		outcome    TEXT NOT NULL,
		received   INTEGER NOT NULL,
		verify     TEXT NOT NULL,
		sender_id  TEXT NOT NULL,
		event_type TEXT NOT NULL,
		size       INTEGER NOT NULL,
		reason     TEXT NOT NULL,
		resend_of  TEXT NOT NULL,
		event      BLOB
	)`,
	`CREATE UNIQUE INDEX deliveries_by_id ON deliveries (owner, id)`,
	`CREATE INDEX deliveries_by_owner ON deliveries (owner)`,
	`CREATE INDEX deliveries_by_kind ON deliveries (owner, refused)`,
	`CREATE INDEX deliveries_by_time ON deliveries (received)`,
}}

// migrate brings the file to the newest version, all steps in one transaction,
// so that two processes that open a new file at once do it once.
func migrate(c *conn) (err error) {
	if err := c.run("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = c.run("ROLLBACK")
		}
	}()
	version, err := c.pragma("user_version")
	if err != nil {
		return err
	}
	if err := checkOwner(c, version); err != nil {
		return err
	}
	for i := version; i < int64(len(migrations)); i++ {
		for _, step := range migrations[i] {
			if err := c.run(step); err != nil {
				return fmt.Errorf("schema version %d: %w", i+1, err)
			}
		}
	}
	if version < int64(len(migrations)) {
		if err := c.run(fmt.Sprintf("PRAGMA user_version = %d", len(migrations))); err != nil {
			return err
		}
		if err := c.run(fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
			return err
		}
	}
	return c.run("COMMIT")
}

// checkOwner refuses files of other programs and of later versions of this one.
func checkOwner(c *conn, version int64) error {
	id, err := c.pragma("application_id")
	if err != nil {
		return err
	}
	var tables int64
	count := func(r *Row) error { tables = r.Int64(0); return nil }
	if err := c.query(context.Background(), "SELECT count(*) FROM sqlite_schema", count); err != nil {
		return err
	}
	switch {
	case tables > 0 && id != applicationID:
		return errForeign
	case version > int64(len(migrations)):
		return fmt.Errorf("%w: it has schema version %d, this gowhisk knows %d", errNewer, version, len(migrations))
	}
	return nil
}

func (c *conn) pragma(name string) (n int64, err error) {
	err = c.query(context.Background(), "PRAGMA "+name, func(r *Row) error { n = r.Int64(0); return nil })
	return n, err
}
