package conformance

import (
	"strings"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
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
}

// sequence is the body of a PUT.
func sequence(components ...string) map[string]any {
	return map[string]any{"exec": map[string]any{"kind": "sequence", "components": append([]string{}, components...)}}
}
