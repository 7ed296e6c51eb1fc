package conformance

import (
	"strings"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

var sequences = []Case{
	{96, "put_a_sequence", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		c.A.PutAction(c, "b", echo)
		r := c.A.Put(c, "_/actions/s", sequence("/_/a", "/"+c.A.Name+"/b")).Is(c, 200)
		components := `["/` + c.A.Name + `/a","/` + c.A.Name + `/b"]`
		for _, r := range []*harness.Response{r, c.A.Get(c, "_/actions/s").Is(c, 200), c.A.Get(c, "_/actions/s?code=false").Is(c, 200)} {
			c.sameJSON(`{"kind":"sequence","components":`+components+`}`, r.Field("exec").Raw)
			c.sameJSON(`[{"key":"_actions","value":`+components+`}]`, r.Field("parameters").Raw)
			require.Equal(c, "sequence", harness.Annotation(r.Field("annotations"), "exec").String())
		}
	}},
	{97, "components_must_be_named", func(c *Fixture) {
		c.isError(c.A.Put(c, "_/actions/s", sequence()), 400, "No component specified for the sequence.")
		c.isErrorWith(c.A.Put(c, "_/actions/s", `{"exec":{"kind":"sequence"}}`), 400, "'components' must be defined for sequence kind")
		c.isErrorWith(c.A.Put(c, "_/actions/s", sequence("x")), 400, "must contain at least the namespace and the name of the entity.")
	}},
	{98, "components_must_exist", func(c *Fixture) {
		c.isError(c.A.Put(c, "_/actions/s", sequence("/_/gone")), 400, "Sequence component does not exist.")
	}},
	{99, "too_many_components", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		components := strings.Split(strings.Repeat("/_/a,", 50)+"/_/a", ",")
		c.isError(c.A.Put(c, "_/actions/s", sequence(components...)), 400, "Too many actions in the sequence.")
		c.A.Put(c, "_/actions/s", sequence(components[1:]...)).Is(c, 200)
		c.isError(c.A.Put(c, "_/actions/t", sequence("/_/s", "/_/a")), 400, "Too many actions in the sequence.")
	}},
	{100, "no_cycles", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		c.A.Put(c, "_/actions/s", sequence("/_/a")).Is(c, 200)
		c.A.Put(c, "_/actions/t", sequence("/_/a", "/_/s")).Is(c, 200)
		for _, component := range []string{"/_/s", "/_/t"} {
			c.isError(c.A.Put(c, "_/actions/s?overwrite=true", sequence(component)), 400, "Sequence may not refer to itself.")
		}
	}},
	{101, "run_a_sequence", func(c *Fixture) {
		c.eachRuntime(func(c *Fixture, runtime runtime) {
			c.A.PutAction(c, "a", runtime.echo)
			c.A.PutAction(c, "b", runtime.logs)
			c.A.Put(c, "_/actions/s?overwrite=true", sequence("/_/a", "/_/a", "/_/b")).Is(c, 200)
			r := c.A.Post(c, "_/actions/s?blocking=true", `{"n":1}`).Is(c, 200)
			record := c.isComposed(r.JSON(), 3)
			c.sameJSON(`{}`, record.Get("response.result").Raw)
			require.False(c, harness.Annotation(record.Get("annotations"), "conductor").Exists())
			c.sameJSON(record.Raw, c.A.Activation(c, r.ActivationID()).Raw)
			c.sameJSON(`{"n":1}`, c.A.Activation(c, record.Get("logs.1").String()).Get("response.result").Raw)
		})
	}},
	{102, "an_error_ends_a_sequence", func(c *Fixture) {
		c.A.PutAction(c, "err", runtimes[0].err)
		c.A.PutAction(c, "b", echo)
		c.A.Put(c, "_/actions/s", sequence("/_/err", "/_/b")).Is(c, 200)
		r := c.A.Post(c, "_/actions/s?blocking=true", `{}`).Is(c, 502)
		require.Equal(c, "application error", r.Field("response.status").String())
		c.sameJSON(`{"error":"boom"}`, r.Field("response.result").Raw)
		c.isComposed(r.JSON(), 1)
		require.False(c, r.Field("code").Exists())
	}},
	{103, "a_component_was_deleted", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		c.A.PutAction(c, "b", echo)
		c.A.Put(c, "_/actions/s", sequence("/_/a", "/_/b")).Is(c, 200)
		c.A.Delete(c, "_/actions/b").Is(c, 200)
		r := c.A.Post(c, "_/actions/s?blocking=true", `{}`).Is(c, 502)
		require.Equal(c, "application error", r.Field("response.status").String())
		c.sameJSON(`{"error":"Sequence component does not exist."}`, r.Field("response.result").Raw)
		c.isComposed(r.JSON(), 1)
	}},
	{104, "a_conductor_that_asks_for_nothing", func(c *Fixture) {
		c.eachRuntime(func(c *Fixture, runtime runtime) {
			c.A.PutAction(c, "conductor", runtime.echo.Annotated("conductor", true))
			r := c.A.Post(c, "_/actions/conductor?blocking=true", `{"n":1}`).Is(c, 200)
			record := c.isComposed(r.JSON(), 1)
			require.Equal(c, gjson.True, harness.Annotation(record.Get("annotations"), "conductor").Type)
			c.sameJSON(`{"n":1}`, record.Get("response.result").Raw)
			r = c.A.Post(c, "_/actions/conductor?blocking=true&result=true", `{"params":{"m":2},"other":1}`).Is(c, 200)
			c.sameJSON(`{"m":2}`, string(r.Body))
		})
	}},
	{105, "a_conductor_runs_a_step", func(c *Fixture) {
		c.A.PutAction(c, "step", harness.Node(`function main({n}) { return {n: n + 1} }`))
		c.A.PutAction(c, "conductor", harness.Node(`function main(args) {
  if (args.done) return {params: args}
  return {action: "step", params: {n: 1}, state: {done: true}}
}`).Annotated("conductor", true))
		r := c.A.Post(c, "_/actions/conductor?blocking=true", `{}`).Is(c, 200)
		record := c.isComposed(r.JSON(), 3)
		c.sameJSON(`{"n":2,"done":true}`, record.Get("response.result").Raw)
	}},
	{106, "a_conductor_asks_for_what_is_not_there", func(c *Fixture) {
		// The conductor hands on whatever it is told.
		c.A.PutAction(c, "conductor", harness.Node(`function main(args) {
  return args.error ? {error: args.error} : {action: "missing"}
}`).Annotated("conductor", true))
		r := c.A.Post(c, "_/actions/conductor?blocking=true", `{}`).Is(c, 502)
		require.Equal(c, "application error", r.Field("response.status").String())
		require.Equal(c, "Failed to resolve action with name '"+c.A.Name+"/missing' during composition.", r.Field("response.result.error").String())
		c.isComposed(r.JSON(), 2)
	}},
}

// isComposed checks the record of a sequence or composition that is part of no
// other against the records of its components, which its logs name, and returns it
// (openwhisk-rest-api.md 10.1, 11, 12).
func (c *Fixture) isComposed(record gjson.Result, components int) gjson.Result {
	c.Helper()
	annotations := record.Get("annotations")
	require.Equal(c, "sequence", harness.Annotation(annotations, "kind").String())
	require.Equal(c, gjson.True, harness.Annotation(annotations, "topmost").Type)
	require.Equal(c, c.A.Name+"/"+record.Get("name").String(), harness.Annotation(annotations, "path").String())
	require.Equal(c, "256", harness.Annotation(annotations, "limits").Get("memory").Raw)
	ids := record.Get("logs").Array()
	require.Len(c, ids, components)
	sum := int64(0)
	for _, id := range ids {
		component := c.A.Activation(c, id.String())
		require.Equal(c, record.Get("activationId").String(), component.Get("cause").String())
		require.Equal(c, "sequence", harness.Annotation(component.Get("annotations"), "causedBy").String())
		sum += component.Get("duration").Int()
	}
	require.Equal(c, sum, record.Get("duration").Int(), "duration is the sum of the components'")
	return record
}

// sequence is the body of a PUT.
func sequence(components ...string) map[string]any {
	return map[string]any{"exec": map[string]any{"kind": "sequence", "components": append([]string{}, components...)}}
}
