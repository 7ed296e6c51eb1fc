package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// activation is the record of guest's action name, started at start.
func activation(namespace, name string, start int64) *entity.Activation {
	duration, size := int64(7), int64(11)
	return &entity.Activation{
		Namespace: entity.Path(namespace), Name: entity.Name(name), Version: entity.FirstVersion, Subject: "guest-subject",
		ActivationID: entity.NewActivationID(), Start: start, End: start + 7, Duration: &duration,
		Response: entity.Response{Result: json.RawMessage(`{"hi":"you"}`), Size: &size},
		Logs:     []string{"2026-01-01T00:00:00.000000000Z     stdout: hello"},
		Annotations: entity.Parameters{
			{Key: "path", Value: json.RawMessage(`"` + namespace + `/` + name + `"`)},
			{Key: "kind", Value: json.RawMessage(`"nodejs:20"`)},
			{Key: "limits", Value: json.RawMessage(`{"timeout":60000,"memory":256,"logs":10,"concurrency":1}`)},
		},
	}
}

func annotated(a *entity.Activation, key, value string) *entity.Activation {
	a.Annotations = a.Annotations.With(entity.Parameter{Key: key, Value: json.RawMessage(`"` + value + `"`)})
	return a
}

func record(t *testing.T, s store.ActivationStore, list ...*entity.Activation) {
	t.Helper()
	for _, a := range list {
		stored, err := s.Record(context.Background(), a)
		require.NoError(t, err)
		require.True(t, stored)
	}
}

// requireSame compares all that clients can see of two records.
func requireSame(t *testing.T, want, got *entity.Activation) {
	t.Helper()
	require.Equal(t, string(want.AppendJSON(nil, true)), string(got.AppendJSON(nil, true)))
	require.Equal(t, want.Response.StatusCode, got.Response.StatusCode)
	require.Equal(t, want.FilterPath(), got.FilterPath())
}

func runActivations(t *testing.T, open func(t *testing.T) store.ActivationStore) {
	ctx := context.Background()

	t.Run("MissingIsNotFound", func(t *testing.T) {
		s := open(t)
		a := activation("guest", "a", 1)
		record(t, s, a)
		for namespace, id := range map[entity.Path]entity.ActivationID{"guest": entity.NewActivationID(), "other": a.ActivationID} {
			_, err := s.Activation(ctx, namespace, id)
			require.ErrorIs(t, err, store.ErrNotFound)
		}
	})

	t.Run("RoundTrip", func(t *testing.T) {
		for name, a := range records() {
			t.Run(name, func(t *testing.T) {
				s := open(t)
				record(t, s, a)
				got, err := s.Activation(ctx, a.Namespace, a.ActivationID)
				require.NoError(t, err)
				requireSame(t, a, got)
				list, err := s.List(ctx, store.ActivationQuery{Namespace: a.Namespace, Docs: true})
				require.NoError(t, err)
				require.Len(t, list, 1)
				requireSame(t, a, list[0])
			})
		}
	})

	t.Run("SecondWriterLoses", func(t *testing.T) {
		s := open(t)
		first, second := activation("guest", "a", 1), activation("guest", "b", 2)
		second.ActivationID = first.ActivationID
		record(t, s, first)
		stored, err := s.Record(ctx, second)
		require.NoError(t, err)
		require.False(t, stored)
		got, err := s.Activation(ctx, "guest", first.ActivationID)
		require.NoError(t, err)
		requireSame(t, first, got)
	})

	t.Run("IdsBelongToTheirNamespace", func(t *testing.T) {
		s := open(t)
		mine, yours := activation("guest", "a", 1), activation("other", "b", 2)
		yours.ActivationID = mine.ActivationID
		record(t, s, mine, yours)
		got, err := s.Activation(ctx, "other", yours.ActivationID)
		require.NoError(t, err)
		requireSame(t, yours, got)
	})

	t.Run("BigRecord", func(t *testing.T) {
		s := open(t)
		a := activation("guest", "big", 1)
		a.Response.Result = append(append([]byte(`{"x":"`), bytes.Repeat([]byte("é"), 1<<19)...), `"}`...)
		for i := range 20_000 {
			a.Logs = append(a.Logs, fmt.Sprintf("2026-01-01T00:00:00.000000000Z     stdout: line %d of a chatty action", i))
		}
		record(t, s, a)
		got, err := s.Activation(ctx, "guest", a.ActivationID)
		require.NoError(t, err)
		require.True(t, bytes.Equal(a.Response.Result, got.Response.Result))
		require.Equal(t, a.Logs, got.Logs)
	})

	t.Run("ExpireDeletesTheOldOnly", func(t *testing.T) {
		s := open(t)
		for i := range int64(10) {
			record(t, s, activation("guest", "a", 100+i), activation("other", "a", 100+i))
		}
		n, err := s.Expire(ctx, time.UnixMilli(105), 1000)
		require.NoError(t, err)
		require.Equal(t, 10, n)
		for _, namespace := range []entity.Path{"guest", "other"} {
			left, err := s.List(ctx, store.ActivationQuery{Namespace: namespace})
			require.NoError(t, err)
			require.Len(t, left, 5)
			require.EqualValues(t, 105, left[4].Start, "the time itself is not before")
		}
	})

	t.Run("ExpireIsBounded", func(t *testing.T) {
		s := open(t)
		for i := range int64(30) {
			record(t, s, activation(fmt.Sprintf("ns%d", i%3), "a", i))
		}
		total := 0
		for _, want := range []int{12, 12, 6, 0} {
			n, err := s.Expire(ctx, time.UnixMilli(1000), 12)
			require.NoError(t, err)
			require.Equal(t, want, n)
			total += n
		}
		require.Equal(t, 30, total)
	})
}

// records has a record of each shape, with values that are easily damaged.
func records() map[string]*entity.Activation {
	list := map[string]*entity.Activation{"Plain": activation("guest", "plain", 1700000000000)}

	fired := activation("guest", "trigger", 5)
	fired.End, fired.Duration, fired.Response.Size, fired.Annotations = 0, nil, nil, entity.Parameters{}
	fired.Logs = []string{`{"statusCode":0,"success":true,"activationId":"x","rule":"guest/r","action":"guest/a"}`}
	list["Trigger"] = fired

	component := activation("guest", "component", 5)
	component.Cause = entity.NewActivationID()
	list["Component"] = annotated(component, "causedBy", "sequence")

	failed := activation("guest", "failed", 5)
	failed.Response = entity.ErrorResponse(entity.StatusWhiskError, "it \"failed\" <b>")
	failed.Logs = nil
	list["Failed"] = failed

	empty := activation("guest", "noresult", 5)
	empty.Response.Result, empty.Logs, empty.Version, empty.Publish = nil, []string{}, entity.Version{Major: 10, Minor: 20, Patch: 30}, true
	list["NoResult"] = empty

	for name, result := range map[string]string{"Numbers": exactNumbers, "Strings": oddStrings, "Null": `null`, "String": `"text"`, "Spaced": "{ \"a\" :\n1 }", "Duplicates": `{"a":1,"a":2}`} {
		a := activation("guest", "result", 5)
		a.Response.Result = json.RawMessage(result)
		list["Result"+name] = a
	}
	odd := activation("guest", "odd name@x.y", 5)
	odd.Subject = "Jürgen \"O'Neil\" \\ 你好"
	odd.Logs = []string{"", "tab\t nul\x00 quote\" backslash\\ é 😀", "<script>&amp;</script>"}
	odd.Annotations = odd.Annotations.With(entity.Parameter{Key: "numbers", Value: json.RawMessage(exactNumbers)})
	list["OddStrings"] = odd
	return list
}
