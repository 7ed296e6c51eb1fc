package api

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestQueryGet(t *testing.T) {
	for _, c := range []struct {
		query query
		want  string
	}{
		{"", ""}, {"a", ""}, {"a=", ""}, {"a=1", "1"}, {"b=2&a=1", "1"}, {"a=1&a=2", "1"}, {"aa=2&a=1", "1"},
		{"a=x%20y+z", "x y z"}, {"%61=1", "1"}, {"a=b=c", "b=c"}, {"&&a=1&", "1"}, {"a=%zz", "%zz"},
	} {
		require.Equal(t, c.want, c.query.Get("a"), string(c.query))
	}
}

func FuzzQueryGet(f *testing.F) {
	for _, seed := range []string{"a=1", "blocking=true&a=%20", "a&b=+", "%61=1&a=2", "&=&a=%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := query(raw).Get("a")
		if want, err := url.ParseQuery(raw); err == nil {
			require.Equal(t, want.Get("a"), got)
		}
	})
}

func TestQueryBool(t *testing.T) {
	for v, want := range map[string]bool{"": true, "TRUE": true, "yes": true, "On": true, "1": true, "false": false, "NO": false, "off": false, "0": false} {
		got, err := queryBool(query("x="+v), "x", true)
		require.NoError(t, err)
		require.Equal(t, want, got, v)
	}
	_, err := queryBool("x=2", "x", false)
	require.EqualError(t, err, "The query parameter 'x' was malformed:\n'2' is not a valid Boolean value")
}

func TestTransidsAreLettersAndDigits(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := newTransid()
		require.Regexp(t, `^[A-Za-z0-9]{32}$`, id)
		require.False(t, seen[id])
		seen[id] = true
	}
}

func TestContentTypes(t *testing.T) {
	for _, ok := range []string{"application/json", "Application/JSON", "application/json; charset=utf-8", "application/json;charset=UTF-8"} {
		require.NoError(t, checkContentType(ok))
	}
	for header, shown := range map[string]string{"": "application/octet-stream", "text/plain": "text/plain", "application/jsonx": "application/jsonx", ";": ";"} {
		require.EqualError(t, checkContentType(header), "The request's Content-Type ["+shown+"] is not supported. Expected:\napplication/json")
	}
}
