package sqlite

import "context"

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
	"count of a namespace":      `SELECT count(*) ` + ofNamespace,
	"count of a package":        `SELECT count(*) ` + ofPackage,
	"count of public packages":  `SELECT count(*) ` + ofPublic,
	"activations":               listSummaries,
	"activations by name":       listSummariesByName,
	"activation records":        listRecords,
	"activation count":          activationCount,
	"activation count by name":  activationCountByName,
	"deliveries":                listDeliveries,
	"delivery by id":            deliveryByID,
	"identities by uuid":        selectIdentities + ` WHERE i.uuid = ?`,
	"identities of a namespace": selectIdentities + ` WHERE i.namespace = ?`,
}

// Scan is scan.
func (db *DB) Scan(ctx context.Context, query string, each func(*Row) error, args ...any) error {
	return db.scan(ctx, query, each, args...)
}
