// Package couchdb keeps entities, activation records, subjects and deliveries in
// CouchDB, in the databases, documents and views of OpenWhisk (openwhisk-invoker.md
// section 6), so that a database that OpenWhisk filled can be used as it is. Deliveries,
// which OpenWhisk does not know, have a database of their own.
package couchdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-kivik/kivik/v4"
	"github.com/go-kivik/kivik/v4/couchdb"

	"github.com/gowhisk/gowhisk/pkg/store"
)

// maxConnections bounds the connections to the server; idle ones are kept, for making
// one costs more than a request.
const maxConnections = 128

// requestTimeout bounds a request whose context has no end of its own.
const requestTimeout = time.Minute

// DB is the databases of one cluster. Safe for concurrent use.
type DB struct {
	cfg       Config
	client    *kivik.Client
	transport *http.Transport

	whisks, activations, subjects, deliveries *kivik.DB
	batch                                     *batcher
	clock                                     recordClock
}

// Open connects to the databases, which must be there: Init makes them. Its errors say
// what to change. Close frees it.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	db, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	missing, err := db.missing(ctx)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("CouchDB at %s lacks %s: run \"gowhisk admin db init\" with the same --couchdb-url and --couchdb-prefix", cfg.URL, missing[0])
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// connect makes the client and asks the server nothing.
func connect(cfg Config) (*DB, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	password, err := cfg.password()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConns:        maxConnections,
		MaxIdleConnsPerHost: maxConnections,
		MaxConnsPerHost:     maxConnections,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 5 * time.Second,
	}
	options := []kivik.Option{
		couchdb.OptionHTTPClient(&http.Client{Transport: transport, Timeout: requestTimeout}),
		// It costs more than it saves near the server, and not every server reads it.
		couchdb.OptionNoRequestCompression(),
	}
	if cfg.User != "" {
		options = append(options, couchdb.BasicAuth(cfg.User, password))
	}
	client, err := kivik.New("couch", cfg.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("--couchdb-url %s: %w", cfg.URL, err)
	}
	db := &DB{cfg: cfg, client: client, transport: transport}
	db.whisks, db.activations = client.DB(cfg.Prefix+"whisks"), client.DB(cfg.Prefix+"activations")
	db.subjects, db.deliveries = client.DB(cfg.Prefix+"subjects"), client.DB(cfg.Prefix+"deliveries")
	db.batch = newBatcher(db.activations)
	return db, nil
}

// Close waits for writes under way and lets go of the connections.
func (db *DB) Close() error {
	db.batch.close()
	err := db.client.Close()
	db.transport.CloseIdleConnections()
	return err
}

// explain says what to change after an error of the first request.
func (db *DB) explain(err error) error {
	var op *net.OpError
	var dns *net.DNSError
	switch status := kivik.HTTPStatus(err); {
	case status == http.StatusUnauthorized:
		return fmt.Errorf("CouchDB at %s refuses the user or the password: correct --couchdb-user or the content of --couchdb-password-file: %w", db.cfg.URL, err)
	case status == http.StatusForbidden:
		return fmt.Errorf("CouchDB at %s lets the user not do this: make %q an administrator, or correct --couchdb-user: %w", db.cfg.URL, db.cfg.User, err)
	case errors.As(err, &dns):
		return fmt.Errorf("the host of CouchDB at %s cannot be found: correct --couchdb-url: %w", db.cfg.URL, err)
	case errors.As(err, &op):
		return fmt.Errorf("CouchDB at %s does not answer: start it, or correct --couchdb-url: %w", db.cfg.URL, err)
	}
	return fmt.Errorf("CouchDB at %s: %w", db.cfg.URL, err)
}

// Ping asks whether the server answers.
func (db *DB) Ping(ctx context.Context) error {
	if _, err := db.whisks.Stats(ctx); err != nil {
		return db.explain(err)
	}
	return nil
}

// translate maps what the server says to the errors of package store.
func translate(err error) error {
	switch kivik.HTTPStatus(err) {
	case http.StatusNotFound:
		return store.ErrNotFound
	case http.StatusConflict:
		return store.ErrConflict
	}
	return err
}

// get reads a document.
func get(ctx context.Context, db *kivik.DB, id string) (json.RawMessage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var raw json.RawMessage
	if err := db.Get(ctx, id).ScanDoc(&raw); err != nil {
		return nil, translate(err)
	}
	return raw, nil
}

// header is what the server adds to documents.
type header struct {
	Rev         string                     `json:"_rev"`
	Attachments map[string]json.RawMessage `json:"_attachments"`
}

// remove deletes exactly a revision of a document. CouchDB answers alike for a revision
// that is not the current one and for a document that is gone, so it is asked again.
func remove(ctx context.Context, db *kivik.DB, id, rev string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := db.Delete(ctx, id, rev)
	if err = translate(err); !errors.Is(err, store.ErrConflict) {
		return err
	}
	if _, err := get(ctx, db, id); err != nil {
		return err
	}
	return store.ErrConflict
}

// row is one row of a view.
type row struct {
	ID    string
	Value json.RawMessage
	Doc   json.RawMessage
}

// query reads the rows of a view.
func query(ctx context.Context, db *kivik.DB, ddoc, view string, p map[string]any) ([]row, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rs := db.Query(ctx, ddoc, view, kivik.Params(p))
	defer rs.Close()
	withDocs, _ := p["include_docs"].(bool)
	var rows []row
	for rs.Next() {
		var r row
		var err error
		if r.ID, err = rs.ID(); err != nil && p["reduce"] == false {
			return nil, fmt.Errorf("view %s/%s: %w", ddoc, view, err)
		}
		if err := rs.ScanValue(&r.Value); err != nil {
			return nil, fmt.Errorf("view %s/%s: %w", ddoc, view, err)
		}
		if withDocs {
			// A linked document may be missing.
			if err := rs.ScanDoc(&r.Doc); err != nil || string(r.Doc) == "null" {
				r.Doc = nil
			}
		}
		rows = append(rows, r)
	}
	if err := rs.Err(); err != nil {
		return nil, fmt.Errorf("view %s/%s: %w", ddoc, view, err)
	}
	return rows, nil
}

// count reads the one value of a reduced view.
func count(ctx context.Context, db *kivik.DB, ddoc, view string, p map[string]any) (int, error) {
	p["reduce"] = true
	delete(p, "skip")
	delete(p, "limit")
	delete(p, "include_docs")
	rows, err := query(ctx, db, ddoc, view, p)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	var n int
	if err := json.Unmarshal(rows[0].Value, &n); err != nil {
		return 0, fmt.Errorf("view %s/%s: %w", ddoc, view, err)
	}
	return n, nil
}

// after is a key that follows all others of its place.
const after = "\ufff0"

// page bounds a query that goes through a view from its end.
func page(first, last []any, skip, limit int) map[string]any {
	p := map[string]any{"descending": true, "startkey": last, "endkey": first, "reduce": false}
	if skip > 0 {
		p["skip"] = skip
	}
	if limit > 0 {
		p["limit"] = limit
	}
	return p
}
