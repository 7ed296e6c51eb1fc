package couchdb

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

func TestSurvives(t *testing.T) {
	for text, want := range map[string]bool{
		`{}`: true, `[]`: true, `null`: true, `true`: true, `false`: true, `""`: true, `0`: true, `-7`: true, `123456789012345`: true, `0.5`: true, `1.25`: true,
		`{"a":[1,{"b":"é😀\n\"\\"}],"c":null}`: true,
		`1.0`: false, `0.10`: false, `-0`: false, `1e3`: false, `1E+2`: false, `1234567890123456`: false, `0.0001`: false, `9007199254740993`: false,
		`{"a":1,"a":2}`: false, `{"1":1}`: false, `{"__proto__":1}`: false, `{ "a":1}`: false, `{"a" :1}`: false, `[1, 2]`: false,
		`"\u00e9"`: false, `"\/"`: false, `"\ud800"`: false, "\"\u2028\"": false, ``: false, `{"a":1}x`: false,
	} {
		require.Equal(t, want, survives([]byte(text)), text)
	}
}

func TestFaithfulDocuments(t *testing.T) {
	text := `{"namespace":"ns","n":0.10,"big":123456789012345678901234567890,"far":1e400,"annotations":[{"key":"a","value":{"z":1,"b":2}},{"key":"b","value":1.0}]}`
	stored, err := faithful([]byte(text))
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(stored, &fields), "every database can read it")
	require.Equal(t, 0.1, fields["n"], "and so can OpenWhisk")
	again, err := original(stored)
	require.NoError(t, err)
	require.Equal(t, text, string(again))

	var list struct{ Annotations entity.Parameters }
	require.NoError(t, json.Unmarshal(stored, &list))
	restored := restore(list.Annotations)
	require.Equal(t, `{"z":1,"b":2}`, string(restored[0].Value))
	require.Equal(t, `1.0`, string(restored[1].Value))

	forged := `{"annotations":[{"key":"a","value":{"$exact":"}],oops"}}]}`
	stored, err = faithful([]byte(forged))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(stored, &list))
	require.Equal(t, `{"$exact":"}],oops"}`, string(restore(list.Annotations)[0].Value), "a user's value stays a user's")
	foreign := entity.Parameters{{Key: "a", Value: json.RawMessage(`{"$exact":"}],oops"}`)}}
	require.Equal(t, `{"$exact":"}],oops"}`, string(restore(foreign)[0].Value))

	plain := []byte(`{"a":"the word exact","exact":null}`)
	again, err = original(plain)
	require.NoError(t, err)
	require.Equal(t, plain, again)
}

func FuzzSurvives(f *testing.F) {
	for _, text := range []string{`{"a":[1,-0,1e5,"\u0000"]}`, `[0.1,{"b":null}]`, `"x`, `{"a":1`, `[[[[]]]]`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !survives(text) || !json.Valid(text) {
			return
		}
		// What survives comes through Go's own values as well, but for the order of keys.
		var v any
		require.NoError(t, json.Unmarshal(text, &v))
		out, err := entity.EncodeJSON(v)
		require.NoError(t, err)
		require.Len(t, out, len(text), "%s is %s", text, out)
	})
}
