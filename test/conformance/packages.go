package conformance

import (
	"net/http"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

var packages = []Case{
	{107, "put_a_package", func(c *Fixture) {
		r := c.A.Put(c, "_/packages/p", `{}`).Is(c, 200)
		require.Equal(c, []string{"annotations", "binding", "name", "namespace", "parameters", "publish", "updated", "version"}, keys(r.JSON()))
		c.sameJSON(`{}`, r.Field("binding").Raw)
		require.Equal(c, "0.0.1", r.Field("version").String())
		c.isError(c.A.Put(c, "_/packages/p", `{}`), 409, "resource already exists")
		r = c.A.Put(c, "_/packages/p?overwrite=true", `{"publish":true,"annotations":[{"key":"binding","value":"forged"},{"key":"x","value":1}]}`).Is(c, 200)
		require.Equal(c, "0.0.2", r.Field("version").String())
		require.Equal(c, gjson.True, r.Field("publish").Type)
		c.sameJSON(`[{"key":"x","value":1}]`, r.Field("annotations").Raw)
		// Annotations are replaced, unlike those of actions, and what is absent stays.
		r = c.A.Put(c, "_/packages/p?overwrite=true", `{"annotations":[{"key":"y","value":2}]}`).Is(c, 200)
		c.sameJSON(`[{"key":"y","value":2}]`, r.Field("annotations").Raw)
		require.Equal(c, gjson.True, r.Field("publish").Type)
	}},
	{108, "package_with_actions_and_feeds", func(c *Fixture) {
		c.A.Put(c, "_/packages/p", `{}`).Is(c, 200)
		c.A.PutAction(c, "p/act", echo)
		c.A.PutAction(c, "p/source", echo.Annotated("feed", false))
		r := c.A.Get(c, "_/packages/p").Is(c, 200)
		require.Equal(c, []string{"act"}, names(r.Field("actions"), "name"))
		require.Equal(c, []string{"source"}, names(r.Field("feeds"), "name"))
		require.Equal(c, []string{"annotations", "name", "version"}, keys(r.Field("actions.0")))
		require.Contains(c, harness.Annotation(r.Field("actions.0.annotations"), "exec").String(), "nodejs:")
	}},
	{109, "reserved_name", func(c *Fixture) {
		c.isError(c.A.Put(c, "_/packages/default", `{}`), 400, "Package name 'default' is reserved.")
		c.isError(c.A.Get(c, "_/packages/default"), 404, "The requested resource '"+c.A.Name+"/default' does not exist.")
	}},
	{110, "bind_to_nothing", func(c *Fixture) {
		c.isError(c.bind("b", "_", "gone"), 400, "Binding references a package that does not exist.")
	}},
	{111, "bind_to_what_is_not_shared", func(c *Fixture) {
		c.B.Put(c, "_/packages/private", `{}`).Is(c, 200)
		for _, name := range []string{"private", "gone"} {
			c.isError(c.bind("b", c.B.Name, name), 403,
				"The supplied authentication is not authorized to access '"+c.B.Name+"/"+name+"'.")
		}
		c.B.Put(c, "_/packages/private?overwrite=true", `{"publish":true}`).Is(c, 200)
		c.bind("b", c.B.Name, "private").Is(c, 200)
	}},
	{112, "bind_to_a_binding", func(c *Fixture) {
		c.A.Put(c, "_/packages/p", `{}`).Is(c, 200)
		c.bind("b", "_", "p").Is(c, 200)
		c.isError(c.bind("c", "_", "b"), 400, "Cannot bind to another package binding.")
	}},
	{113, "bind_to_an_action", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		c.isError(c.bind("b", "_", "a"), 409, "Cannot bind to a resource that is not a package.")
	}},
	{114, "package_cannot_become_a_binding", func(c *Fixture) {
		c.A.Put(c, "_/packages/p", `{}`).Is(c, 200)
		c.A.Put(c, "_/packages/q", `{}`).Is(c, 200)
		c.isError(c.bind("p?overwrite=true", "_", "q"), 409, "Resource is a package and cannot be converted into a binding.")
		// A binding may be pointed elsewhere, and stays one.
		c.bind("b", "_", "p").Is(c, 200)
		r := c.bind("b?overwrite=true", "_", "q").Is(c, 200)
		require.Equal(c, "q", r.Field("binding.name").String())
		r = c.A.Put(c, "_/packages/b?overwrite=true", `{"binding":{}}`).Is(c, 200)
		require.Equal(c, "q", r.Field("binding.name").String())
	}},
	{115, "get_a_binding", func(c *Fixture) {
		putPackage(c, c.B, "p", harness.KeyValue{Key: "x", Value: 1}, harness.KeyValue{Key: "y", Value: 1})
		c.B.Put(c, "_/packages/p?overwrite=true", `{"publish":true}`).Is(c, 200)
		c.B.PutAction(c, "p/act", echo)
		c.B.PutAction(c, "p/source", echo.Annotated("feed", true))
		c.A.Put(c, "_/packages/b", `{"binding":{"namespace":"`+c.B.Name+`","name":"p"},"parameters":[{"key":"y","value":2}],"publish":true}`).Is(c, 200)
		reference := `{"namespace":"` + c.B.Name + `","name":"p"}`
		r := c.A.Get(c, "_/packages/b").Is(c, 200)
		c.sameJSON(reference, r.Field("binding").Raw)
		c.sameJSON(`[{"key":"binding","value":`+reference+`}]`, r.Field("annotations").Raw)
		c.sameJSON(`[{"key":"x","value":1},{"key":"y","value":2}]`, r.Field("parameters").Raw)
		require.Equal(c, []string{"act"}, names(r.Field("actions"), "name"))
		require.Equal(c, []string{"source"}, names(r.Field("feeds"), "name"))
		// Bindings are never public, whatever they say.
		c.isErrorWith(c.B.Get(c, c.A.Name+"/packages/b"), 403, "'"+c.A.Name+"/b'")

		// When the provider is gone or private, the owner of the provider learns the one
		// and others neither.
		c.B.Put(c, "_/packages/p?overwrite=true", `{"publish":false}`).Is(c, 200)
		c.isErrorWith(c.A.Get(c, "_/packages/b"), 403)
		c.B.Delete(c, "_/packages/p?force=true").Is(c, 200)
		c.isErrorWith(c.A.Get(c, "_/packages/b"), 403)
		c.A.Put(c, "_/packages/own", `{}`).Is(c, 200)
		c.bind("mine", "_", "own").Is(c, 200)
		c.A.Delete(c, "_/packages/own").Is(c, 200)
		c.isErrorWith(c.A.Get(c, "_/packages/mine"), 404)
		c.A.Delete(c, "_/packages/mine").Is(c, 200)
	}},
	{116, "no_writing_through_a_binding", func(c *Fixture) {
		c.A.Put(c, "_/packages/p", `{}`).Is(c, 200)
		c.A.PutAction(c, "p/act", echo)
		c.bind("b", "_", "p").Is(c, 200)
		c.isError(c.A.Put(c, "_/actions/b/x", echo), 400, "Operation not permitted on package binding.")
		c.isError(c.A.Delete(c, "_/actions/b/act"), 400, "Operation not permitted on package binding.")
		c.A.Get(c, "_/actions/p/act").Is(c, 200)
	}},
	{117, "action_in_a_missing_package", func(c *Fixture) {
		c.is404(c.A.Put(c, "_/actions/nopkg/x", echo))
		c.is404(c.A.Get(c, "_/actions/nopkg/x"))
		c.is404(c.A.Get(c, "_/actions/nopkg/"))
	}},
	{118, "missing_package", func(c *Fixture) {
		name := c.A.Name + "/nopkg"
		c.isError(c.A.Get(c, "_/packages/nopkg"), 404, "The requested resource '"+name+"' does not exist.")
		c.isError(c.B.Get(c, c.A.Name+"/packages/nopkg"), 403, "The supplied authentication is not authorized to access '"+name+"'.")
		c.is404(c.A.Delete(c, "_/packages/nopkg"))
	}},
	{119, "delete_a_package", func(c *Fixture) {
		c.A.Put(c, "_/packages/p", `{}`).Is(c, 200)
		c.A.PutAction(c, "p/a", echo)
		c.isError(c.A.Delete(c, "_/packages/p"), 409, "Package not empty (contains 1 entity). Set force param or delete package contents.")
		c.A.PutAction(c, "p/b", echo)
		c.isError(c.A.Delete(c, "_/packages/p?force=false"), 409, "Package not empty (contains 2 entities). Set force param or delete package contents.")
		r := c.A.Delete(c, "_/packages/p?force=true").Is(c, 200)
		require.Equal(c, "p", r.Field("name").String())
		require.False(c, r.Field("actions").Exists())
		c.is404(c.A.Get(c, "_/actions/p/a"))
		c.A.Put(c, "_/packages/p", `{}`).Is(c, 200)
		c.is404(c.A.Get(c, "_/actions/p/a"))
	}},
	{120, "others_invoke_what_is_public", func(c *Fixture) {
		c.A.Put(c, "_/packages/p", `{"publish":true}`).Is(c, 200)
		c.A.PutAction(c, "p/a", echo)
		id := c.B.Post(c, c.A.Name+"/actions/p/a", `{"x":1}`).Is(c, 202).ActivationID()
		record := c.B.Activation(c, id)
		require.Equal(c, c.B.Name, record.Get("namespace").String())
		require.Equal(c, c.A.Name+"/p/a", harness.Annotation(record.Get("annotations"), "path").String())
		require.Equal(c, echo.Exec.Code, c.B.Get(c, c.A.Name+"/actions/p/a").Is(c, 200).Field("exec.code").String())
		require.Equal(c, []string{"a"}, names(c.B.Get(c, c.A.Name+"/actions/p/").Is(c, 200).JSON(), "name"))
		c.isError(c.B.Put(c, c.A.Name+"/actions/p/a?overwrite=true", echo), 403,
			"The supplied authentication is not authorized to access '"+c.A.Name+"/p/a'.")
		c.isErrorWith(c.B.Delete(c, c.A.Name+"/packages/p"), 403, "'"+c.A.Name+"/p'")

		c.A.Put(c, "_/packages/p?overwrite=true", `{"publish":false}`).Is(c, 200)
		for _, r := range []*harness.Response{
			c.B.Post(c, c.A.Name+"/actions/p/a", `{}`), c.B.Get(c, c.A.Name+"/actions/p/a"), c.B.Get(c, c.A.Name+"/actions/p/"),
		} {
			c.isError(r, 403, "The supplied authentication is not authorized to access '"+c.A.Name+"/p'.")
		}
	}},
	{121, "actions_of_a_binding", func(c *Fixture) {
		c.B.Put(c, "_/packages/p", `{"publish":true}`).Is(c, 200)
		c.B.PutAction(c, "p/a", echo)
		c.bind("b", c.B.Name, "p").Is(c, 200)
		list := c.A.Get(c, "_/actions/b/").Is(c, 200).JSON()
		require.Equal(c, []string{"a"}, names(list, "name"))
		require.Equal(c, c.B.Name+"/p", list.Get("0.namespace").String())
		c.sameJSON(`{"actions":1}`, string(c.A.Get(c, "_/actions/b/?count=true").Is(c, 200).Body))
		r := c.A.Get(c, "_/actions/b/a?code=false").Is(c, 200)
		require.Equal(c, c.B.Name+"/p", r.Field("namespace").String())
		require.Equal(c, c.A.Name+"/b", r.Field("binding").String())
	}},
	{122, "activation_through_a_binding", func(c *Fixture) {
		putPackage(c, c.B, "p", harness.KeyValue{Key: "x", Value: "package"}, harness.KeyValue{Key: "y", Value: "package"})
		c.B.Put(c, "_/packages/p?overwrite=true", `{"publish":true}`).Is(c, 200)
		c.B.PutAction(c, "p/a", echo)
		c.A.Put(c, "_/packages/b", `{"binding":{"namespace":"`+c.B.Name+`","name":"p"},"parameters":[{"key":"y","value":"binding"}]}`).Is(c, 200)
		r := c.A.Post(c, "_/actions/b/a?blocking=true", `{"z":"call"}`).Is(c, 200)
		c.sameJSON(`{"x":"package","y":"binding","z":"call"}`, r.Field("response.result").Raw)
		record := c.A.Activation(c, r.ActivationID())
		require.Equal(c, c.A.Name, record.Get("namespace").String())
		require.Equal(c, c.A.Name+"/b", harness.Annotation(record.Get("annotations"), "binding").String())
		require.Equal(c, c.B.Name+"/p/a", harness.Annotation(record.Get("annotations"), "path").String())
		found := c.A.Get(c, "_/activations?name=b/a&limit=1").Is(c, 200).JSON()
		require.Equal(c, []string{r.ActivationID()}, names(found, "activationId"))
		require.Empty(c, c.A.Get(c, "_/activations?name=p/a").Is(c, 200).JSON().Array())
	}},
}

// bind puts a binding of namespace/name into A's namespace.
func (c *Fixture) bind(binding, namespace, name string) *harness.Response {
	c.Helper()
	return c.A.Do(c, http.MethodPut, "_/packages/"+binding, map[string]any{"binding": map[string]string{"namespace": namespace, "name": name}})
}
