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
