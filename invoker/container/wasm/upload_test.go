package wasm

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestUploads: however a body is written, it means the same.
func TestUploads(t *testing.T) {
	for body, want := range map[string]string{
		`{"value":{"main":"m","code":"aGVsbG8=","env":{"A":"1"}}}`:                     "hello",
		`{"value":{"env":{"A":"1"},"code": "aGVsbG8=", "main":"m"}}`:                   "hello",
		`{"value":{"main":"m","code":"aGVs\u0062G8=","env":{"A":"1"}}}`:                "hello",
		`{"value":{"main":"m","code":" aGVsbG8= ","env":{"A":"1"}}}`:                   "hello",
		`{"value":{"main":"m","code":"aGVsbG8\/","env":{"A":"1"}}}`:                    "hello?",
		`{"value":{"env":{"A":"1","code":"Ynll"},"main":"m","code":"aGVsbG8="}}`:       "hello",
		`{"value":{"env":{"A":"1","code":"Ynll"},"main":"m","code": "aGVsbG8="}}`:      "hello",
		`{"value":{"env":{"A":"1","B":"\"code\":\"Ynll\""},"main":"m","code":"aGk="}}`: "hi",
		`{"code":"Ynll","value":{"main":"m","code": "aGVsbG8=","env":{"A":"1"}}}`:      "hello",
	} {
		u, err := parseUpload([]byte(body))
		require.NoError(t, err, body)
		require.Equal(t, want, string(u.binary), body)
		require.Equal(t, "m", u.main, body)
		require.Contains(t, u.env, "A=1", body)
	}
	for body, want := range map[string]refusal{
		`{"value":{"code":"aGVsbG8="}`:                                errNotJSON,
		`{"value":{"code":"aGVsbG8=}}`:                                errNotJSON,
		`{"value":{"code":"aGVs` + "\n" + `bG8="}}`:                   errNotJSON,
		`{"value":{"code":""}}`:                                       errNoCode,
		`{"value":{"code":7}}`:                                        errNoCode,
		`{"value":{}}`:                                                errNoCode,
		`{"value":{"env":{"code":"Ynll"}}}`:                           errNoCode,
		`{"code":"Ynll","value":{"code": ""}}`:                        errNoCode,
		`{"value":{"code":"` + strings.Repeat("?", 100) + `"}}`:       errNotBase64,
		`{"value":{"env":{"code":"Ynll"},"code":null,"main":"main"}}`: errNoCode,
	} {
		_, err := parseUpload([]byte(body))
		require.Equal(t, want, err, body)
	}
}
