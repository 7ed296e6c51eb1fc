package service_test

import "testing"

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
}
