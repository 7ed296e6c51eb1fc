package conformance

import (
	"strings"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

var actions = []Case{
	{36, "put_creates_with_defaults", func(c *Fixture) {
		c.eachRuntime(func(c *Fixture, runtime runtime) {
			r := c.A.Put(c, "_/actions/"+runtime.name, runtime.echo).Is(c, 200)
			require.Equal(c, c.A.Name, r.Field("namespace").String())
			require.Equal(c, runtime.name, r.Field("name").String())
			require.Equal(c, "0.0.1", r.Field("version").String())
			require.Equal(c, gjson.False, r.Field("publish").Type)
			require.Equal(c, gjson.Number, r.Field("updated").Type)
			kind := r.Field("exec.kind").String()
			require.True(c, strings.HasPrefix(kind, runtime.kind) && !strings.HasSuffix(kind, ":default"), kind)
			require.Equal(c, gjson.False, r.Field("exec.binary").Type)
			require.Equal(c, runtime.echo.Exec.Code, r.Field("exec.code").String())
			c.sameJSON(`{"timeout":60000,"memory":256,"logs":10,"concurrency":1}`, r.Field("limits").Raw)
			c.sameJSON(`[]`, r.Field("parameters").Raw)
			require.Len(c, r.Field("annotations").Array(), 2)
			require.Equal(c, kind, harness.Annotation(r.Field("annotations"), "exec").String())
			require.Equal(c, gjson.False, harness.Annotation(r.Field("annotations"), "provide-api-key").Type)
		})
	}},
	{37, "put_again_without_overwrite", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		c.isError(c.A.Put(c, "_/actions/a", echo), 409, "resource already exists")
		c.isError(c.A.Put(c, "_/actions/a?overwrite=false", echo), 409, "resource already exists")
	}},
	{38, "update_with_nothing_keeps_the_code", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		r := c.A.Put(c, "_/actions/a?overwrite=true", `{}`).Is(c, 200)
		require.Equal(c, "0.0.2", r.Field("version").String())
		require.Equal(c, echo.Exec.Code, r.Field("exec.code").String())
	}},
	{39, "annotations_merge", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		c.A.Put(c, "_/actions/a?overwrite=true", `{"annotations":[{"key":"k","value":1}]}`).Is(c, 200)
		r := c.A.Put(c, "_/actions/a?overwrite=true", `{"annotations":[{"key":"l","value":2}]}`).Is(c, 200)
		require.Equal(c, "1", harness.Annotation(r.Field("annotations"), "k").Raw)
		require.Equal(c, "2", harness.Annotation(r.Field("annotations"), "l").Raw)
	}},
	{40, "annotations_are_deleted_by_name", func(c *Fixture) {
		c.A.PutAction(c, "a", echo.Annotated("k", 1).Annotated("l", 2))
		r := c.A.Put(c, "_/actions/a?overwrite=true", `{"delAnnotations":["k"]}`).Is(c, 200)
		require.False(c, harness.Annotation(r.Field("annotations"), "k").Exists())
		require.True(c, harness.Annotation(r.Field("annotations"), "l").Exists())
	}},
	{41, "version_can_be_set", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		r := c.A.Put(c, "_/actions/a?overwrite=true", `{"version":"3.1.4"}`).Is(c, 200)
		require.Equal(c, "3.1.4", r.Field("version").String())
		r = c.A.Put(c, "_/actions/a?overwrite=true", `{}`).Is(c, 200)
		require.Equal(c, "3.1.5", r.Field("version").String())
	}},
	{42, "create_needs_exec", func(c *Fixture) {
		c.isError(c.A.Put(c, "_/actions/n", `{}`), 400, "exec undefined")
	}},
	{43, "unknown_kind", func(c *Fixture) {
		r := c.A.Put(c, "_/actions/n", `{"exec":{"kind":"foobar","code":""}}`)
		c.isErrorWith(r, 400, "The request content was malformed:\n",
			"The specified runtime 'foobar' is not supported by this platform. Valid values are: '", "'sequence'", "'blackbox'")
	}},
	{44, "put_needs_json", func(c *Fixture) {
		r := c.A.Put(c, "_/actions/n", echo, harness.Header("Content-Type", "text/plain"))
		c.isErrorWith(r, 415, "text/plain", "is not supported. Expected:\napplication/json")
	}},
	{45, "parameters_must_be_a_list", func(c *Fixture) {
		r := c.A.Put(c, "_/actions/n", `{"exec":{"kind":"nodejs:default","code":""},"parameters":{"a":"b"}}`)
		c.isError(r, 400, "The request content was malformed:\nparameters malformed!")
	}},
	{46, "exec_annotation_is_the_servers", func(c *Fixture) {
		r := c.A.Put(c, "_/actions/a", echo.Annotated("exec", "zzz")).Is(c, 200)
		require.Equal(c, r.Field("exec.kind").String(), harness.Annotation(r.Field("annotations"), "exec").String())
		require.Len(c, r.Field("annotations").Array(), 2)
	}},
	{47, "provide_api_key_is_kept", func(c *Fixture) {
		r := c.A.Put(c, "_/actions/a", echo.Annotated("provide-api-key", true)).Is(c, 200)
		require.Equal(c, gjson.True, harness.Annotation(r.Field("annotations"), "provide-api-key").Type)
	}},
	{48, "memory_limit", func(c *Fixture) {
		c.isError(c.A.Put(c, "_/actions/a", echo.With(harness.Limits{Memory: 1024})), 400,
			"requirement failed: memory size 1024 MB exceeds allowed threshold of 512 MB")
		c.isError(c.A.Put(c, "_/actions/a", echo.With(harness.Limits{Memory: 64})), 400,
			"requirement failed: memory size 64 MB below allowed threshold of 128 MB")
	}},
	{49, "timeout_limit", func(c *Fixture) {
		c.isErrorWith(c.A.Put(c, "_/actions/a", echo.With(harness.Limits{Timeout: 99})), 400,
			"duration 99 milliseconds below allowed threshold of 100 milliseconds")
		c.isErrorWith(c.A.Put(c, "_/actions/a", echo.With(harness.Limits{Timeout: 300001})), 400,
			"duration 300001 milliseconds exceeds allowed threshold of 300000 milliseconds")
	}},
	{50, "concurrency_limit", func(c *Fixture) {
		c.isErrorWith(c.A.Put(c, "_/actions/a", echo.With(harness.Limits{Concurrency: 2})), 400,
			"concurrency 2 exceeds allowed threshold of 1")
	}},
	{51, "limits_merge", func(c *Fixture) {
		c.A.PutAction(c, "a", echo.With(harness.Limits{Timeout: 5000}))
		r := c.A.Put(c, "_/actions/a?overwrite=true", `{"limits":{"memory":128}}`).Is(c, 200)
		c.sameJSON(`{"timeout":5000,"memory":128,"logs":10,"concurrency":1}`, r.Field("limits").Raw)
	}},
	{52, "parameters_too_large", func(c *Fixture) {
		a := echo
		a.Parameters = []harness.KeyValue{{Key: "p", Value: strings.Repeat("x", 1<<20)}}
		c.isError(c.A.Put(c, "_/actions/a", a), 413, "parameters larger than allowed: 1048579 > 1048576 bytes.")
	}},
	{53, "code_too_large", func(c *Fixture) {
		code := strings.Repeat("x", 48<<20+1)
		c.isErrorWith(c.A.Put(c, "_/actions/a", harness.Node(code)), 413, "exec larger than allowed: ", " > 50331648 bytes.")
	}},
	{54, "get_with_and_without_code", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		require.Equal(c, echo.Exec.Code, c.A.Get(c, "_/actions/a").Is(c, 200).Field("exec.code").String())
		r := c.A.Get(c, "_/actions/a?code=false").Is(c, 200)
		require.Equal(c, []string{"binary", "kind"}, keys(r.Field("exec")))
	}},
	{55, "get_of_nothing", func(c *Fixture) {
		c.is404(c.A.Get(c, "_/actions/none"))
	}},
	{56, "get_of_a_foreign_action", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		denied := "The supplied authentication is not authorized to access '" + c.A.Name + "/a'."
		c.isError(c.B.Get(c, c.A.Name+"/actions/a"), 403, denied)
		c.isError(c.B.Post(c, c.A.Name+"/actions/a", `{}`), 403, denied)
		c.isError(c.B.Delete(c, c.A.Name+"/actions/a"), 403, denied)
	}},
	{57, "put_into_a_foreign_namespace", func(c *Fixture) {
		c.isErrorWith(c.B.Put(c, c.A.Name+"/actions/z", echo), 403, "'"+c.A.Name+"/z'")
	}},
	{58, "list_item", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		list := c.A.Get(c, "_/actions").Is(c, 200).JSON()
		require.Equal(c, []string{"annotations", "exec", "limits", "name", "namespace", "publish", "updated", "version"}, keys(list.Get("0")))
		c.sameJSON(`{"binary":false}`, list.Get("0.exec").Raw)
	}},
	{59, "blackbox", func(c *Fixture) {
		r := c.A.Put(c, "_/actions/a", `{"exec":{"kind":"blackbox","image":"me/img"}}`).Is(c, 200)
		c.sameJSON(`{"kind":"blackbox","image":"me/img","binary":false}`, r.Field("exec").Raw)
	}},
	{60, "zip", func(c *Fixture) {
		a := harness.Node(harness.Zip(c, map[string]string{"index.js": echo.Exec.Code + "\nexports.main = main"}))
		r := c.A.Put(c, "_/actions/a", a).Is(c, 200)
		require.Equal(c, gjson.True, r.Field("exec.binary").Type)
		require.Equal(c, a.Exec.Code, r.Field("exec.code").String())
		require.Equal(c, a.Exec.Code, c.A.Get(c, "_/actions/a").Field("exec.code").String())
	}},
	{61, "java_needs_main", func(c *Fixture) {
		c.isErrorWith(c.A.Put(c, "_/actions/a", `{"exec":{"kind":"java:8","code":"x"}}`), 400,
			"'main' must be a string defined in 'exec' for 'java:8' actions")
	}},
	{62, "delete", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		r := c.A.Delete(c, "_/actions/a").Is(c, 200)
		require.Equal(c, "a", r.Field("name").String())
		require.Equal(c, echo.Exec.Code, r.Field("exec.code").String())
		c.is404(c.A.Delete(c, "_/actions/a"))
	}},
	{63, "kinds_of_the_namespace", func(c *Fixture) {
		n := c.fresh()
		n.Limit(c, c.Target, "allowedKinds", "python:3.11")
		harness.Until(c, "allowedKinds to act", func() bool { return n.Put(c, "_/actions/a?overwrite=true", echo).Status == 403 })
		c.isErrorWith(n.Put(c, "_/actions/a?overwrite=true", echo), 403, "not authorized to access actions of kind 'nodejs:")
		n.Put(c, "_/actions/p", `{"exec":{"kind":"python:3.11","code":""}}`).Is(c, 200)
	}},
}
