package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

const (
	// listBar is what a page of a long list may take at the median, in milliseconds.
	listBar = 20
	// listCalls is how often each list is asked for.
	listCalls = 30
	// fillers write records at the same time.
	fillers = 64
)

// listStart is the start of the oldest record, in milliseconds since the epoch;
// each later one starts a second later. No retention reaches that far back.
var listStart = time.Now().UnixMilli()

// measureLists asks a server for parts of long lists: as many activation records and
// as many actions of one namespace as the plan says, among as many of others.
func measureLists(ctx context.Context, p plan, scratch string, results *report) (err error) {
	if p.listed == 0 {
		return nil
	}
	dir := filepath.Join(scratch, "lists")
	if err := fill(ctx, dir, p.listed); err != nil {
		return fmt.Errorf("filling the database: %w", err)
	}
	s, err := startServer(ctx, p.gowhisk, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	for _, path := range lists(p.listed) {
		if err := measureList(ctx, s, path, results); err != nil {
			return err
		}
	}
	return nil
}

// lists are the queries that clients make of n records and n actions.
func lists(n int) []string {
	middle := listStart + int64(n)*500
	var paths []string
	for _, query := range []string{"", "&name=hello", "&docs=true", "&since=" + itoa(middle), "&upto=" + itoa(middle), "&name=hello&since=" + itoa(middle)} {
		for _, skip := range []int{0, n / 4, n / 2, n - 200} {
			paths = append(paths, fmt.Sprintf("activations?limit=200&skip=%d%s", skip, query))
		}
	}
	for _, query := range []string{"", "&name=hello", "&since=" + itoa(middle), "&name=hello&upto=" + itoa(middle)} {
		paths = append(paths, "activations?count=true"+query)
	}
	for _, skip := range []int{0, n / 2, n - 200} {
		paths = append(paths, fmt.Sprintf("actions?limit=200&skip=%d", skip))
	}
	return append(paths, "actions?count=true")
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func measureList(ctx context.Context, s *server, path string, results *report) error {
	get := func(ctx context.Context, _ int) error {
		r, err := s.api.Try(ctx, http.MethodGet, "_/"+path, nil)
		if err == nil && r.Status != http.StatusOK {
			err = fmt.Errorf("GET %s: status %d: %.500s", path, r.Status, r.Body)
		}
		return err
	}
	if err := get(ctx, 0); err != nil { // what the first one reads from disk is not measured
		return err
	}
	took, err := closedLoop(ctx, 1, listCalls, get)
	if err != nil {
		return err
	}
	results.atMost("list "+listName(path)+", p50", milliseconds(took.quantile(50)), "ms", listBar)
	return nil
}

// listName is a path without times, which are others in each run.
func listName(path string) string {
	for _, bound := range []string{"since", "upto"} {
		if before, _, found := strings.Cut(path, "&"+bound+"="); found {
			return before + "&" + bound + "=MIDDLE"
		}
	}
	return path
}

// fill makes a database with the namespaces of a server's own and n records and
// actions of each of two.
func fill(ctx context.Context, dir string, n int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	db, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(dir, "gowhisk.db")})
	if err != nil {
		return err
	}
	var group errgroup.Group
	for worker := range fillers {
		group.Go(func() error {
			for i := worker; i < n; i += fillers {
				for _, namespace := range []entity.Path{"guest", "other"} {
					if err := fillOne(ctx, db, namespace, i); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return errors.Join(group.Wait(), db.Close())
}

func fillOne(ctx context.Context, db *sqlite.DB, namespace entity.Path, i int) error {
	if _, err := db.Activations().Record(ctx, listedRecord(namespace, i)); err != nil {
		return err
	}
	return db.Entities().Put(ctx, listedAction(namespace, i))
}

// listedRecord is a record of about 1 KB; four in five are of the action hello.
func listedRecord(namespace entity.Path, i int) *entity.Activation {
	name := entity.Name("hello")
	if i%5 == 0 {
		name = "rare"
	}
	start, duration := listStart+int64(i)*1000, int64(3)
	return &entity.Activation{
		Namespace: namespace, Name: name, Version: entity.FirstVersion, Subject: string(namespace), ActivationID: entity.NewActivationID(),
		Start: start, End: start + duration, Duration: &duration,
		Response: entity.Response{Result: json.RawMessage(`{"payload":"` + strings.Repeat("x", 400) + `"}`)},
		Logs:     []string{"2026-01-01T00:00:00.000000000Z     stdout: hello"},
		Annotations: entity.Parameters{
			{Key: "path", Value: entity.AppendString(nil, string(namespace)+"/"+string(name))}, {Key: "kind", Value: json.RawMessage(`"nodejs:20"`)},
			{Key: "limits", Value: json.RawMessage(`{"timeout":60000,"memory":256,"logs":10,"concurrency":1}`)},
			{Key: "timeout", Value: json.RawMessage("false")}, {Key: "waitTime", Value: json.RawMessage("1")},
		},
	}
}

func listedAction(namespace entity.Path, i int) *entity.Action {
	code := "function main() {}"
	return &entity.Action{
		Header: entity.Header{
			Namespace: namespace, Name: entity.Name(fmt.Sprintf("action%d", i)), Version: entity.FirstVersion, Updated: listStart + int64(i),
			Annotations: entity.Parameters{{Key: "provide-api-key", Value: json.RawMessage("false")}, {Key: "exec", Value: json.RawMessage(`"nodejs:20"`)}},
		},
		Exec: entity.Exec{Kind: "nodejs:20", Code: &code, Digest: "x"}, Parameters: entity.Parameters{}, Limits: entity.DefaultLimitRanges().Std(),
	}
}
