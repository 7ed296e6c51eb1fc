package couchdb

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-kivik/kivik/v4"

	"github.com/gowhisk/gowhisk/pkg/store"
)

// designs are the design documents, by database: its name after the prefix is the
// folder's, the document's name the file's.
//
//go:embed designs
var designs embed.FS

// Names of the design documents (openwhisk-invoker.md 6.7).
const (
	entitiesDesign   = "whisks.v2.1.0"
	recordsDesign    = "whisks.v2.1.0"
	filtersDesign    = "whisks-filters.v2.1.1"
	datesDesign      = "activations"
	subjectsDesign   = "subjects.v2.0.0"
	throttlingDesign = "namespaceThrottlings"
	deliveriesDesign = "deliveries"
)

// databases lists the databases by their names after the prefix.
func (db *DB) databases() map[string]*kivik.DB {
	return map[string]*kivik.DB{"whisks": db.whisks, "activations": db.activations, "subjects": db.subjects, "deliveries": db.deliveries}
}

// each calls f with each design document.
func (db *DB) each(f func(d *kivik.DB, name string, text []byte) error) error {
	for folder, d := range db.databases() {
		files, err := designs.ReadDir("designs/" + folder)
		if err != nil {
			return err
		}
		for _, file := range files {
			text, err := designs.ReadFile("designs/" + folder + "/" + file.Name())
			if err != nil {
				return err
			}
			if err := f(d, "_design/"+file.Name()[:len(file.Name())-len(".json")], text); err != nil {
				return err
			}
		}
	}
	return nil
}

// missing names the databases and design documents that are not there.
func (db *DB) missing(ctx context.Context) ([]string, error) {
	var missing []string
	absent := map[string]bool{}
	for _, d := range db.databases() {
		exists, err := db.client.DBExists(ctx, d.Name())
		if err != nil {
			return nil, db.explain(err)
		}
		if !exists {
			absent[d.Name()] = true
			missing = append(missing, "the database "+d.Name())
		}
	}
	err := db.each(func(d *kivik.DB, name string, text []byte) error {
		if absent[d.Name()] {
			return nil
		}
		current, err := get(ctx, d, name)
		if err == nil {
			var enough bool
			if enough, _, err = hasViews(current, text); err == nil && !enough {
				err = store.ErrNotFound
			}
		}
		if errors.Is(err, store.ErrNotFound) {
			missing = append(missing, "the design document "+name+" in the database "+d.Name())
			return nil
		}
		if err != nil {
			return db.explain(err)
		}
		return nil
	})
	return missing, err
}

// Check returns what Init would make.
func Check(ctx context.Context, cfg Config) ([]string, error) {
	db, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	missing, err := db.missing(ctx)
	return missing, errors.Join(err, db.Close())
}

// Init makes the databases and design documents that are not there, and returns what it
// made. A design document that has the views, OpenWhisk's own for instance, is left as
// it is. It may be done again, and by several at once.
func Init(ctx context.Context, cfg Config) (made []string, err error) {
	db, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, d := range db.databases() {
		err := db.client.CreateDB(ctx, d.Name())
		switch {
		case err == nil:
			made = append(made, "the database "+d.Name())
			// Subjects have keys in them: only administrators get at what is new.
			admins := kivik.Members{Roles: []string{"_admin"}}
			if err := d.SetSecurity(ctx, &kivik.Security{Admins: admins, Members: admins}); err != nil {
				return made, db.explain(err)
			}
		case kivik.HTTPStatus(err) != http.StatusPreconditionFailed:
			return made, db.explain(err)
		}
	}
	err = db.each(func(d *kivik.DB, name string, text []byte) error {
		changed, err := putDesign(ctx, d, name, text)
		if changed {
			made = append(made, "the design document "+name+" in the database "+d.Name())
		}
		if err != nil {
			return db.explain(err)
		}
		return nil
	})
	return made, err
}

// putDesign writes a design document unless it is there already.
func putDesign(ctx context.Context, d *kivik.DB, name string, text []byte) (changed bool, err error) {
	for {
		current, err := get(ctx, d, name)
		var options []kivik.Option
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return false, err
		default:
			enough, rev, err := hasViews(current, text)
			if err != nil || enough {
				return false, err
			}
			if text, err = withViews(current, text); err != nil {
				return false, err
			}
			options = append(options, kivik.Rev(rev))
		}
		_, err = d.Put(ctx, name, json.RawMessage(text), options...)
		if kivik.HTTPStatus(err) == http.StatusConflict {
			continue // somebody else was quicker; look again
		}
		return err == nil, err
	}
}

// hasViews reports whether a stored design document has all views and filters of ours.
func hasViews(current, ours []byte) (enough bool, rev string, err error) {
	type design struct {
		Rev     string                     `json:"_rev"`
		Views   map[string]json.RawMessage `json:"views"`
		Filters map[string]json.RawMessage `json:"filters"`
	}
	var a, b design
	if err := errors.Join(json.Unmarshal(current, &a), json.Unmarshal(ours, &b)); err != nil {
		return false, "", fmt.Errorf("design document: %w", err)
	}
	for name := range b.Views {
		if _, ok := a.Views[name]; !ok {
			return false, a.Rev, nil
		}
	}
	for name := range b.Filters {
		if _, ok := a.Filters[name]; !ok {
			return false, a.Rev, nil
		}
	}
	return true, a.Rev, nil
}

// withViews adds the views and filters of ours to a stored design document that lacks
// some, and leaves all else in it alone.
func withViews(current, ours []byte) ([]byte, error) {
	var a, b map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(current, &a), json.Unmarshal(ours, &b)); err != nil {
		return nil, fmt.Errorf("design document: %w", err)
	}
	for _, kind := range []string{"views", "filters"} {
		merged := map[string]json.RawMessage{}
		for _, from := range []json.RawMessage{a[kind], b[kind]} {
			if len(from) == 0 {
				continue
			}
			if err := json.Unmarshal(from, &merged); err != nil {
				return nil, fmt.Errorf("design document: %w", err)
			}
		}
		if len(merged) > 0 {
			text, err := json.Marshal(merged)
			if err != nil {
				return nil, err
			}
			a[kind] = text
		}
	}
	return json.Marshal(a)
}
