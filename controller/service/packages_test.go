package service_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/controller/service"
)

// Cases 107 to 121 of openwhisk-rest-api.md section 28.6.
func TestPackages(t *testing.T) {
	w := newWorld(t)

	t.Run("case_107_put", func(t *testing.T) {
		o := w.a.put("_/packages/p", `{}`).is(200).object()
		require.Equal(t, map[string]any{}, o["binding"])
		require.NotContains(t, o, "actions")
		require.Equal(t, "0.0.1", o["version"])
		w.a.put("_/packages/p", `{}`).fails(409, "resource already exists")
	})
	t.Run("case_108_contents", func(t *testing.T) {
		w.a.action("p/act")
		w.a.action("p/source", `"annotations":[{"key":"feed","value":false}]`)
		o := w.a.get("_/packages/p").is(200).object()
		require.Len(t, o["actions"], 1)
		require.Equal(t, "act", o["actions"].([]any)[0].(map[string]any)["name"])
		require.Len(t, o["feeds"], 1)
		require.Len(t, o["feeds"].([]any)[0], 3)
	})
	t.Run("case_109_reserved", func(t *testing.T) {
		w.a.put("_/packages/default", `{}`).fails(400, "Package name 'default' is reserved.")
	})
	t.Run("case_110_to_113_what_cannot_be_bound", func(t *testing.T) {
		w.b.put("_/packages/private", `{}`).is(200)
		w.a.action("act")
		bind := func(namespace, name string) reply {
			return w.a.put("_/packages/fresh", `{"binding":{"namespace":"`+namespace+`","name":"`+name+`"}}`)
		}
		bind("_", "gone").fails(400, "Binding references a package that does not exist.")
		bind("other", "private").fails(403, "The supplied authentication is not authorized to access 'other/private'.")
		bind("other", "gone").fails(403, "The supplied authentication is not authorized to access 'other/gone'.")
		bind("ns", "act").fails(409, "Cannot bind to a resource that is not a package.")
		w.a.put("_/packages/bound", `{"binding":{"namespace":"_","name":"p"},"annotations":[{"key":"binding","value":"forged"},{"key":"x","value":1}]}`).is(200)
		bind("ns", "bound").fails(400, "Cannot bind to another package binding.")
		// What exists already is told before what is wrong with the new binding.
		w.a.put("_/packages/bound", `{"binding":{"namespace":"_","name":"bound"}}`).fails(409, "resource already exists")
		w.a.put("_/packages/p?overwrite=true", `{"binding":{"namespace":"_","name":"bound"}}`).
			fails(409, "Resource is a package and cannot be converted into a binding.")
	})
	t.Run("case_114_a_package_stays_a_package", func(t *testing.T) {
		w.a.put("_/packages/p?overwrite=true", `{"binding":{"namespace":"_","name":"p"}}`).
			fails(409, "Resource is a package and cannot be converted into a binding.")
		w.a.put("_/packages/p?overwrite=true", `{"binding":{}}`).is(200)
	})
	t.Run("case_115_binding", func(t *testing.T) {
		w.a.put("_/packages/p?overwrite=true", `{"parameters":[{"key":"a","value":1},{"key":"b","value":1}]}`).is(200)
		w.a.put("_/packages/bound?overwrite=true", `{"parameters":[{"key":"b","value":2}]}`).is(200)
		r := w.a.get("_/packages/bound").is(200)
		require.Contains(t, r.body, `"parameters":[{"key":"a","value":1},{"key":"b","value":2}]`)
		require.Contains(t, r.body, `"annotations":[{"key":"x","value":1},{"key":"binding","value":{"namespace":"ns","name":"p"}}]`)
		require.Contains(t, r.body, `"binding":{"namespace":"ns","name":"p"}`)
		require.Len(t, r.object()["actions"], 1)
	})
	t.Run("case_117_118_missing", func(t *testing.T) {
		w.a.put("_/actions/nopkg/x", function).fails(404, "The requested resource does not exist.")
		w.a.get("_/packages/nopkg").fails(404, "The requested resource 'ns/nopkg' does not exist.")
		w.a.delete("_/packages/nopkg").fails(404, "The requested resource does not exist.")
		w.b.get("ns/packages/nopkg").fails(403, "The supplied authentication is not authorized to access 'ns/nopkg'.")
	})
	t.Run("case_119_delete", func(t *testing.T) {
		w.a.delete("_/packages/p").fails(409, "Package not empty (contains 2 entities). Set force param or delete package contents.")
		w.a.delete("_/actions/p/source").is(200)
		w.a.delete("_/packages/p").fails(409, "Package not empty (contains 1 entity). Set force param or delete package contents.")
		require.Equal(t, "p", w.a.delete("_/packages/p?force=true").is(200).object()["name"])
		w.a.get("_/actions/p/act").fails(404, "The requested resource does not exist.")
		w.a.get("_/packages/bound").fails(404, "The requested resource does not exist.")
		w.a.delete("_/packages/bound").is(200)
	})
	t.Run("a_binding_to_itself_is_told", func(t *testing.T) {
		w.a.put("_/packages/loop", `{}`).is(200)
		w.a.put("_/packages/to-loop", `{"binding":{"namespace":"_","name":"loop"}}`).is(200)
		w.a.put("_/packages/to-loop?overwrite=true", `{"binding":{"namespace":"_","name":"to-loop"}}`).
			fails(400, "Cannot bind to another package binding.")
	})
}

// shared-packages-execute-only of openwhisk-rest-api.md section 3.
func TestSharedPackagesThatMayBeExecutedOnly(t *testing.T) {
	prepare := func(w *world) {
		w.a.put("_/packages/shared", `{"publish":true}`).is(200)
		w.a.action("shared/act")
		w.b.put("_/packages/bound", `{"binding":{"namespace":"ns","name":"shared"}}`).is(200)
		w.b.put("_/packages/own", `{}`).is(200)
		w.b.action("own/act")
		w.b.put("_/packages/own-bound", `{"binding":{"namespace":"_","name":"own"}}`).is(200)
	}
	t.Run("by_default_everybody_reads_them", func(t *testing.T) {
		w := newWorld(t)
		prepare(w)
		for _, path := range []string{"ns/packages/shared", "_/packages/bound", "ns/actions/shared/act", "_/actions/bound/act", "_/actions/bound/act?code=false"} {
			w.b.get(path).is(200)
		}
	})
	t.Run("others_may_not_read_them", func(t *testing.T) {
		w := newWorld(t, func(c *service.Config) { c.SharedPackagesExecuteOnly = true })
		prepare(w)
		w.b.get("ns/packages/shared").fails(403, "GET not permitted for 'ns/shared' since it's a shared package")
		w.b.get("_/packages/bound").fails(403, "GET not permitted since other/bound is a binding of a shared package")
		for _, action := range []string{"act", "act?code=false", "none"} {
			w.b.get("ns/actions/shared/"+action).fails(403, "GET not permitted for 'ns/shared' since it's an action in a shared package")
		}
		w.b.get("_/actions/bound/act").fails(403, "GET not permitted for 'other/bound/act'. Resource does not exist or is an action in a shared package binding.")
		w.b.get("_/actions/bound/none").fails(403, "GET not permitted for 'other/bound/none'. Resource does not exist or is an action in a shared package binding.")
		// Private ones are denied as ever.
		w.a.put("_/packages/private", `{}`).is(200)
		w.b.get("ns/packages/private").fails(403, "The supplied authentication is not authorized to access 'ns/private'.")
	})
	t.Run("others_may_invoke_bind_and_list_them", func(t *testing.T) {
		w := newWorld(t, func(c *service.Config) { c.SharedPackagesExecuteOnly = true })
		prepare(w)
		w.b.post("ns/actions/shared/act", "").is(202)
		w.b.post("_/actions/bound/act", "").is(202)
		require.Len(t, w.b.get("ns/packages").is(200).list(), 1)
	})
	t.Run("owners_read_their_own", func(t *testing.T) {
		w := newWorld(t, func(c *service.Config) { c.SharedPackagesExecuteOnly = true })
		prepare(w)
		for _, path := range []string{"_/packages/shared", "_/actions/shared/act"} {
			w.a.get(path).is(200)
		}
		for _, path := range []string{"_/packages/own-bound", "_/actions/own-bound/act", "_/actions/own-bound/act?code=false"} {
			w.b.get(path).is(200)
		}
		w.b.get("_/actions/own-bound/none").fails(404, "The requested resource does not exist.")
	})
}
