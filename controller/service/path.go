package service

import (
	"net/http"
	"net/url"
	"strings"
)

// dotless removes the segments "." and ".." from the paths of requests before next
// routes them, as OpenWhisk's server does. wskdeploy relies on it: it reads the feeds
// of another namespace at "…/namespaces/_/actions/../../ns/actions/feed". All else
// stays as it was sent, empty segments too: they are a web action's to read.
func dotless(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hasDotSegment(r.URL.Path) { // also one that is encoded, and stays
			u := *r.URL
			u.RawPath = withoutDots(r.URL.EscapedPath())
			if path, err := url.PathUnescape(u.RawPath); err == nil {
				u.Path, r.URL = path, &u
			}
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

// withoutDots resolves the dot segments of a path that begins with a slash
// (RFC 3986 section 5.2.4).
func withoutDots(path string) string {
	out := make([]byte, 0, len(path))
	for path != "" {
		segment := path[1:]
		if end := strings.IndexByte(segment, '/'); end >= 0 {
			segment = segment[:end]
		}
		path = path[1+len(segment):]
		switch segment {
		case ".":
		case "..":
			out = out[:max(strings.LastIndexByte(string(out), '/'), 0)]
		default:
			out = append(append(out, '/'), segment...)
			continue
		}
		if path == "" { // what is left is a folder
			out = append(out, '/')
		}
	}
	return string(out)
}
