package service_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// described returns "METHOD path" for each operation of the API description that
// the server gives.
func (w *world) described() []string {
	w.t.Helper()
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	w.a.anonymous().get("/api/v1/api-docs").is(200).into(&doc)
	var all []string
	for path, item := range doc.Paths {
		for method := range item {
			all = append(all, strings.ToUpper(method)+" "+path)
		}
	}
	return all
}

// covers reports whether a route of the router, "GET /a/:b/*c", has the operation
// "GET /a/{x}/d".
func covers(route, operation string) bool {
	r, o := strings.Split(route, "/"), strings.Split(operation, "/")
	for i, segment := range r {
		switch {
		case strings.HasPrefix(segment, "*"):
			return true
		case i >= len(o), segment != o[i] && (!strings.HasPrefix(segment, ":") || o[i] == ""):
			return false
		}
	}
	return len(r) == len(o)
}

func TestTheDescriptionHasEveryRouteAndNoOther(t *testing.T) {
	w := newWorld(t)
	var routes []string
	for _, r := range w.service.Routes() {
		routes = append(routes, r.Method+" "+r.Path)
	}
	operations := w.described()
	hasOperation := func(route string) bool {
		for _, o := range operations {
			if covers(route, o) {
				return true
			}
		}
		return false
	}
	for _, route := range routes {
		// A slash at the end may be left out unless the description has it.
		if !hasOperation(route) && !hasOperation(strings.TrimSuffix(route, "/")) {
			t.Errorf("the API description lacks the route %s; add it to controller/apidoc/spec", route)
		}
	}
	for _, o := range operations {
		found := false
		for _, route := range routes {
			found = found || covers(route, o)
		}
		if !found {
			t.Errorf("the API description has %s, for which there is no route", o)
		}
	}
}

func TestTheDescriptionAndItsPage(t *testing.T) {
	w := newWorld(t)
	none := w.a.anonymous()
	for _, prefix := range []string{"", "/api/v1"} {
		r := none.get(prefix + "/api-docs").is(200)
		require.Equal(t, "application/json", r.header.Get("Content-Type"))
		require.Contains(t, r.body, `"swagger":`)
		require.Contains(t, r.body, `"#/definitions/ActionMeta"`)

		moved := none.with("Accept", "text/html").do("GET", prefix+"/docs", "")
		require.Equal(t, "Gowhisk API", title(moved.body), "redirects are followed")
		require.Equal(t, "text/html; charset=UTF-8", moved.header.Get("Content-Type"))
		require.Contains(t, moved.header.Get("Content-Security-Policy"), "default-src 'none'")

		none.get(prefix+"/docs/dummy").fails(404, "The requested resource could not be found.")
		none.post(prefix+"/docs/index.html", "{}").is(405)
	}
	redirect := redirectOf(t, w.base+"/api/v1/docs")
	require.Equal(t, http.StatusPermanentRedirect, redirect.StatusCode)
	require.Equal(t, "docs/index.html?url=/api/v1/api-docs", redirect.Header.Get("Location"))
}

func title(page string) string {
	_, rest, _ := strings.Cut(page, "<title>")
	text, _, _ := strings.Cut(rest, "</title>")
	return text
}

// redirectOf gets a URL and follows no redirect.
func redirectOf(t *testing.T, url string) *http.Response {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	answer, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer
}
