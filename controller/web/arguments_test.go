package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// post is a call with an entity; its headers are in the form of net/http.
func post(contentType, content string) *call {
	c := &call{method: "POST", header: http.Header{"Content-Length": {fmt.Sprint(len(content))}}, content: []byte(content)}
	if contentType != "" {
		c.header.Set("Content-Type", contentType)
	}
	return c
}

// given returns the arguments but for __ow_method, __ow_headers and __ow_path, as
// indented by nothing: the order is theirs.
func given(t *testing.T, c *call, raw bool, final ...string) string {
	t.Helper()
	content, err := arguments(c, raw, final)
	require.NoError(t, err)
	require.True(t, json.Valid(content), string(content))
	var all map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(content, &all))
	for _, name := range []string{"__ow_method", "__ow_headers", "__ow_path"} {
		require.Contains(t, all, name)
		delete(all, name)
	}
	text, err := entity.EncodeJSON(all)
	require.NoError(t, err)
	return string(text)
}

// The table of openwhisk-rest-api.md 18.3.
func TestBodyDecoding(t *testing.T) {
	for _, c := range []struct{ contentType, content, ordinary, raw string }{
		{"", "", `{}`, `{"__ow_body":"","__ow_query":""}`},
		{"application/json", "", `{}`, `{"__ow_body":"","__ow_query":""}`},
		{"application/json", " \n", `{}`, `{"__ow_body":"IAo=","__ow_query":""}`},
		{"application/json", `{"a":1.50,"b":{"c":"ü"}}`, `{"a":1.50,"b":{"c":"ü"}}`, `{"__ow_body":"eyJhIjoxLjUwLCJiIjp7ImMiOiLDvCJ9fQ==","__ow_query":""}`},
		{"application/json", ` { } `, `{}`, `{"__ow_body":"IHsgfSA=","__ow_query":""}`},
		{"application/json; charset=utf-8", `[1]`, `{"__ow_body":[1]}`, `{"__ow_body":"WzFd","__ow_query":""}`},
		{"application/json", `"x"`, `{"__ow_body":"x"}`, `{"__ow_body":"Ingi","__ow_query":""}`},
		{"application/json", `1e400`, `{"__ow_body":1e400}`, `{"__ow_body":"MWU0MDA=","__ow_query":""}`},
		{"application/json", `null`, `{"__ow_body":null}`, `{"__ow_body":"bnVsbA==","__ow_query":""}`},
		{"application/ld+json", `{"a":1}`, `{"a":1}`, `{"__ow_body":"{\"a\":1}","__ow_query":""}`},
		{"application/x-www-form-urlencoded", `a=1&b=x+%26&a=2&c`, `{"a":"2","b":"x &","c":""}`, `{"__ow_body":"a=1&b=x+%26&a=2&c","__ow_query":""}`},
		{"text/plain", "t\"ü\n", `{"__ow_body":"t\"ü\n"}`, `{"__ow_body":"t\"ü\n","__ow_query":""}`},
		{"text/plain", "\xff", `{"__ow_body":"\ufffd"}`, `{"__ow_body":"\ufffd","__ow_query":""}`},
		{"application/xml", "<a/>", `{"__ow_body":"<a/>"}`, `{"__ow_body":"<a/>","__ow_query":""}`},
		{"image/png", "\x89PNG", `{"__ow_body":"iVBORw=="}`, `{"__ow_body":"iVBORw==","__ow_query":""}`},
		{"", "x", `{"__ow_body":"eA=="}`, `{"__ow_body":"eA==","__ow_query":""}`},
		{"nonsense", "x", `{"__ow_body":"eA=="}`, `{"__ow_body":"eA==","__ow_query":""}`},
		{"application/x-own; charset=utf-8", "x", `{"__ow_body":"x"}`, `{"__ow_body":"x","__ow_query":""}`},
	} {
		require.Equal(t, c.ordinary, given(t, post(c.contentType, c.content), false), "%+v", c)
		require.Equal(t, c.raw, given(t, post(c.contentType, c.content), true), "%+v", c)
	}
	for _, content := range []string{`{"a":`, `x`, `{} {}`, strings.Repeat("[", 300_000)} {
		_, err := arguments(post("application/json", content), false, nil)
		require.ErrorAs(t, err, new(*entity.MalformedError), content[:1])
		_, err = arguments(post("application/json", content), true, nil)
		require.NoError(t, err)
	}
}

func TestQueryAndBodyMerge(t *testing.T) {
	c := post("application/json", `{"b":"body","\u0063":"body"}`)
	c.query = "a=query&b=query&c=query&a=last&d=%zz&e&=f&&"
	require.Equal(t, `{"":"f","a":"last","b":"body","c":"body","d":"%zz","e":""}`, given(t, c, false))
	c = post("application/x-www-form-urlencoded", `b=body`)
	c.query = "a=query&b=query"
	require.Equal(t, `{"a":"query","b":"body"}`, given(t, c, false))
	c.query = "a=1&a=2&x=%20"
	require.Equal(t, `{"__ow_body":"b=body","__ow_query":"a=1&a=2&x=%20"}`, given(t, c, true))

	many := make([]string, 3*few)
	for i := range many {
		many[i] = fmt.Sprintf("k%d=old", i)
	}
	c = post("application/json", `{"k1":"body"}`)
	c.query = strings.Join(many, "&") + "&k0=new&k40=new"
	content := given(t, c, false)
	for _, part := range []string{`"k0":"new"`, `"k1":"body"`, `"k2":"old"`, `"k40":"new"`} {
		require.Contains(t, content, part)
		require.Equal(t, 1, strings.Count(content, part[:5]), part)
	}
}

func TestProtectedParameters(t *testing.T) {
	for _, name := range append([]string{"final"}, reserved...) {
		query := &call{method: "GET", header: http.Header{}, query: name + "=x"}
		form := post("application/x-www-form-urlencoded", name+"=x")
		object := post("application/json", `{"a":1,"`+name+`":2,"b":3}`)
		for _, c := range []*call{query, form, object} {
			_, err := arguments(c, false, []string{"final"})
			require.ErrorIs(t, err, invoke.ErrFinal, name)
			_, err = arguments(c, true, []string{"final"})
			require.NoError(t, err, name)
		}
	}
	_, err := arguments(post("application/json", `{"\u005f_ow_body":2}`), false, nil)
	require.ErrorIs(t, err, invoke.ErrFinal)
	c := post("text/plain", `x`)
	c.query = "__ow_other=1&__OW_BODY=2"
	require.Equal(t, `{"__OW_BODY":"2","__ow_body":"x","__ow_other":"1"}`, given(t, c, false))
}

func TestProperties(t *testing.T) {
	c := &call{
		method: "GET", host: "example.org", path: "/a%2Fb", user: "ns",
		header: http.Header{"X-Twice": {"a", "b"}, "Authorization": {"Basic x"}, "Content-Type": {"text/plain"}, "Odd": {"\xff\""}},
	}
	content, err := arguments(c, false, nil)
	require.NoError(t, err)
	require.JSONEq(t, `{"__ow_method":"get","__ow_path":"/a%2Fb","__ow_user":"ns",
		"__ow_headers":{"host":"example.org","x-twice":"b","authorization":"Basic x","odd":"�\""}}`, string(content))

	content, err = arguments(post("Text/Plain", "x"), false, nil)
	require.NoError(t, err)
	require.JSONEq(t, `{"__ow_method":"post","__ow_path":"","__ow_headers":{"content-type":"Text/Plain"},"__ow_body":"x"}`, string(content))
}

func FuzzArguments(f *testing.F) {
	f.Add("application/json", []byte(`{"a":[1,{"b":"\u0000"}],"a":2}`), "a=b&c", "/x", false)
	f.Add("application/json", []byte(`{`), "", "", false)
	f.Add("application/x-www-form-urlencoded", []byte(`a=%zz&__ow_x&&`), "a=1", "/", false)
	f.Add("text/plain; charset=x", []byte("\xff\xfe"), "%", "", true)
	f.Add("image/png", []byte{0}, "__ow_method=x", "//", true)
	f.Fuzz(func(t *testing.T, contentType string, content []byte, query, path string, raw bool) {
		c := post(contentType, string(content))
		c.query, c.path = query, path
		got, err := arguments(c, raw, []string{"final"})
		if err != nil {
			var malformed *entity.MalformedError
			require.True(t, !raw && (err == invoke.ErrFinal || errorsAs(err, &malformed)), err)
			return
		}
		var all map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(got, &all))
		require.Equal(t, `"post"`, string(all["__ow_method"]), "what the client sends changes no property")
		if !raw {
			require.NotContains(t, all, "final")
		}
	})
}

func errorsAs(err error, target **entity.MalformedError) bool {
	e, ok := err.(*entity.MalformedError)
	*target = e
	return ok
}
