package service

import (
	"net/http"
	"strings"
)

// dotless removes the segments "." and ".." from the paths of requests before next
// routes them, as the web server before OpenWhisk does. wskdeploy relies on it: it
// reads the feeds of another namespace at "…/namespaces/_/actions/../../ns/actions/feed".
func dotless(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hasDotSegment(r.URL.Path) {
			r.URL = r.URL.JoinPath()
		}
		next.ServeHTTP(w, r)
	})
}

// hasDotSegment reports whether a segment of the path is "." or "..". It is quick
// where there is none.
func hasDotSegment(path string) bool {
	for {
		at := strings.Index(path, "/.")
		if at < 0 {
			return false
		}
		path = path[at+1:]
		segment, _, _ := strings.Cut(path, "/")
		if segment == "." || segment == ".." {
			return true
		}
	}
}
