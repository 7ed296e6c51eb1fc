package service_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// wskdeploy addresses the feed of a trigger by way of its own namespace.
func TestDotSegmentsOfPaths(t *testing.T) {
	w := newWorld(t)
	w.a.put("_/actions/a", `{"exec":{"kind":"nodejs:default","code":"x"}}`).is(200)
	for _, path := range []string{"_/actions/../../ns/actions/a", "_/./actions/a", "_/actions/a/../a?code=false", "_/triggers/../actions/."} {
		w.a.get(path).is(200)
	}
	w.a.get("_/actions/a/..%2fa").is(400)
	w.a.get("_/actions/../../other/actions/a").is(403)
	w.a.anonymous().get("/ping/../api/v1/namespaces").is(401)
	w.a.get("/../../..").is(200)
	w.a.get("_/actions//./a").is(400) // an empty segment stays one, and is no name

	t.Run("of_web_actions", func(t *testing.T) {
		w.exported("e")
		for sent, want := range map[string]string{
			"e.json//a/./b": "//a/b", "e.json/a/../b": "/b", "e.json/a/..": "/", "e.json/.": "/", "e.json//..": "/", "e.json/a/.//": "/a//",
			"e.json//a%2F..%2Fb/": "//a%2F..%2Fb/", "e.json//%2E%2E//x": "//%2E%2E//x", "e.json/...//.x": "/...//.x", "x/../e.json": "",
		} {
			require.Equal(t, want, w.a.anonymous().get(webPath + sent).is(200).object()["__ow_path"], sent)
		}
		w.a.anonymous().get(webPath+"e.json/..").fails(404, noRoute)
		w.a.anonymous().get(webPath+"e.json/../../../other/default/e.json").fails(404, missing)
	})
}
