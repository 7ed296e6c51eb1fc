package sqlite

import (
	"context"
	"database/sql/driver"
)

// Waiting returns how many operations wait for the transaction under way.
func (db *DB) Waiting() int {
	db.writer.mu.Lock()
	defer db.writer.mu.Unlock()
	return len(db.writer.queue)
}

// Queries are the texts whose plans the tests look at.
var Queries = map[string]string{
	"entities of a namespace":   listNamespace,
	"actions of a package":      listPackage,
	"public packages":           listPublic,
	"count of a namespace":      seriesQueries[entitiesOfNamespace].count,
	"count of a package":        seriesQueries[entitiesOfPackage].count,
	"count of public packages":  seriesQueries[entitiesPublic].count,
	"scan of a namespace":       seriesQueries[entitiesOfNamespace].scan,
	"scan of a package":         seriesQueries[entitiesOfPackage].scan,
	"scan of public packages":   seriesQueries[entitiesPublic].scan,
	"activations":               listSummaries,
	"activations by name":       listSummariesByName,
	"activation records":        listRecords,
	"activation count":          seriesQueries[activationsOfNamespace].count,
	"activation count by name":  seriesQueries[activationsByName].count,
	"activation scan":           seriesQueries[activationsOfNamespace].scan,
	"activation scan by name":   seriesQueries[activationsByName].scan,
	"deliveries":                listDeliveries,
	"delivery by id":            deliveryByID,
	"identities by uuid":        selectIdentities + ` WHERE i.uuid = ?`,
	"identities of a namespace": selectIdentities + ` WHERE i.namespace = ?`,
}

// Scan is scan.
func (db *DB) Scan(ctx context.Context, query string, each func(*Row) error, args ...any) error {
	return db.scan(ctx, query, each, args...)
}

// CountDuringCommit has the records of a namespace counted for the first time right
// after the next COMMIT, unless the tally lets nobody begin then.
func (db *DB) CountDuringCommit(ctx context.Context, namespace string) error {
	c, err := db.writer.take()
	if err != nil {
		return err
	}
	defer db.writer.give(c)
	commit, err := c.prepare("COMMIT")
	if err != nil {
		return err
	}
	c.statements["COMMIT"] = &commitStatement{statement: commit, after: func() error {
		c.statements["COMMIT"] = commit
		if !db.tally.mu.TryLock() {
			return nil
		}
		s := series{kind: activationsOfNamespace, scope: namespace}
		b := &blocks{isScanning: true}
		db.tally.lists[s] = b
		db.tally.mu.Unlock()
		_, err := db.scanList(ctx, s, b)
		return err
	}}
	return nil
}

type commitStatement struct {
	statement
	after func() error
}

func (s *commitStatement) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	r, err := s.statement.ExecContext(ctx, args)
	if err != nil {
		return nil, err
	}
	return r, s.after()
}
