// Package storetest checks that a database keeps the promises of package store.
// Every implementation runs it, so that callers need not know which one they
// have.
package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Stores are the stores of one database.
type Stores struct {
	Entities    store.EntityStore
	Activations store.ActivationStore
	Subjects    store.SubjectStore
	Deliveries  store.DeliveryStore
}

// Run runs the whole suite. open returns the stores of an empty database that
// lives as long as the test it is given.
func Run(t *testing.T, open func(t *testing.T) Stores) {
	t.Run("Entities", func(t *testing.T) { runEntities(t, func(t *testing.T) store.EntityStore { return open(t).Entities }) })
	t.Run("Code", func(t *testing.T) { runCode(t, func(t *testing.T) store.EntityStore { return open(t).Entities }) })
	t.Run("Lists", func(t *testing.T) { runLists(t, func(t *testing.T) store.EntityStore { return open(t).Entities }) })
	t.Run("Activations", func(t *testing.T) {
		runActivations(t, func(t *testing.T) store.ActivationStore { return open(t).Activations })
	})
	t.Run("ActivationLists", func(t *testing.T) {
		runActivationLists(t, func(t *testing.T) store.ActivationStore { return open(t).Activations })
	})
	t.Run("Subjects", func(t *testing.T) { runSubjects(t, func(t *testing.T) store.SubjectStore { return open(t).Subjects }) })
	t.Run("Deliveries", func(t *testing.T) { runDeliveries(t, open) })
	t.Run("Concurrency", func(t *testing.T) { runConcurrency(t, open) })
}

// exactNumbers are numbers that a float64 would change in value or spelling.
const exactNumbers = `[1e400,123456789012345678901234567890,0.10,-0,1E+2,9007199254740993]`

// oddStrings are strings that databases and JSON libraries like to change.
const oddStrings = `{"nul":"a\u0000b","lone":"\ud800","euro":"€","emoji":"😀","escaped":"\u00e9\/","html":"<a>&'\"","line":"\u2028","":"empty key","_id":"x","$ref":1}`

func action(path, name string, updated int64) *entity.Action {
	return &entity.Action{
		Header: entity.Header{
			Namespace: entity.Path(path), Name: entity.Name(name), Version: entity.FirstVersion, Updated: updated,
			Annotations: entity.Parameters{{Key: "exec", Value: json.RawMessage(`"nodejs:20"`)}},
		},
		Exec:       entity.Exec{Kind: "nodejs:20", Main: "main"},
		Parameters: entity.Parameters{},
		Limits:     entity.DefaultLimitRanges().Std(),
	}
}

func withCode(a *entity.Action, code string) *entity.Action {
	a.Exec.Code = &code
	a.Exec.Binary = entity.IsBinary(code)
	return a
}

func head(path, name string, updated int64) entity.Header {
	return entity.Header{Namespace: entity.Path(path), Name: entity.Name(name), Version: entity.FirstVersion, Updated: updated, Annotations: entity.Parameters{}}
}

func trigger(path, name string, updated int64) *entity.Trigger {
	return &entity.Trigger{Header: head(path, name, updated), Parameters: entity.Parameters{}}
}

func pkg(path, name string, updated int64) *entity.Package {
	return &entity.Package{Header: head(path, name, updated), Parameters: entity.Parameters{}}
}

func rule(path, name string, updated int64) *entity.Rule {
	p := entity.Path(path)
	return &entity.Rule{Header: head(path, name, updated), Trigger: entity.FQN{Path: p, Name: "t"}, Action: entity.FQN{Path: p, Name: "a"}}
}

// put stores e and fails the test if that does not work.
func put(t *testing.T, s store.EntityStore, list ...entity.Entity) {
	t.Helper()
	for _, e := range list {
		require.NoError(t, s.Put(context.Background(), e), "put %s", e.Head().ID())
	}
}

// get reads the entity with e's id.
func get(t *testing.T, s store.EntityStore, id entity.DocID) entity.Entity {
	t.Helper()
	e, err := s.Entity(context.Background(), id)
	require.NoError(t, err, "get %s", id)
	return e
}

// names returns "namespace/name" of list items.
func names(t *testing.T, items []json.RawMessage) []string {
	t.Helper()
	out := make([]string, 0, len(items))
	for _, item := range items {
		var v struct{ Namespace, Name string }
		require.NoError(t, json.Unmarshal(item, &v), "list item %s", item)
		out = append(out, v.Namespace+"/"+v.Name)
	}
	return out
}

func numbered(prefix string, i int) string { return fmt.Sprintf("%s%03d", prefix, i) }
