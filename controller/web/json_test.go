package web

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPretty(t *testing.T) {
	for in, want := range map[string]string{
		`1.50`: `1.50`, `"a b"`: `"a b"`, `null`: `null`, `{}`: `{}`, ` [ ] `: `[]`,
		`{"a":1,"b":[1,{"c":"x,{}[]:\"\\"}],"d":{ }}`: "{\n  \"a\": 1,\n  \"b\": [\n    1,\n    {\n      \"c\": \"x,{}[]:\\\"\\\\\"\n    }\n  ],\n  \"d\": {}\n}",
	} {
		require.Equal(t, want, string(appendPretty(nil, in)), in)
		require.Equal(t, "x"+want, string(appendPretty([]byte("x"), in)), in)
	}
}

func TestPrettyIsBounded(t *testing.T) {
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	require.Equal(t, deep, string(appendPretty(nil, deep)))
	wide := strings.Repeat("[", 3000) + strings.Repeat("1,", 100_000) + "1" + strings.Repeat("]", 3000)
	require.Equal(t, wide, string(appendPretty(nil, wide)))
}

func FuzzPretty(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"b":null}]}`, `[]`, `"\"`, `{"a"`, `]]`, ` [ 1 , 2 ] `, `"\\\"{}"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := appendPretty(nil, string(text))
		require.LessOrEqual(t, len(got), maxGrowth(len(text))+len(text))
		var want bytes.Buffer
		if json.Indent(&want, bytes.TrimSpace(text), "", "  ") == nil {
			if !bytes.Equal(got, text) { // not given up
				require.Equal(t, want.String(), string(got))
			}
		}
	})
}
