package conformance

import (
	"fmt"
	"strings"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

const wrongCollection = "Resource by this name exists but is not in this collection."

var lists = []Case{
	{16, "entity_name_too_long", func(c *Fixture) {
		c.isError(c.A.Get(c, "_/actions/"+strings.Repeat("a", 257)), 400, "Name segement longer than allowed: 257 > 256.")
	}},
	{17, "namespace_too_long", func(c *Fixture) {
		c.isError(c.A.Get(c, strings.Repeat("a", 257)+"/actions"), 400, "Namespace longer than allowed: 257 > 256.")
	}},
	{18, "illegal_characters", func(c *Fixture) {
		c.isError(c.A.Put(c, "_/actions/bad!name", echo), 400, "The name of the entity contains illegal characters.")
	}},
	{19, "name_with_all_legal_characters", func(c *Fixture) {
		r := c.A.Put(c, "_/actions/a%20b@c.d&e-f", echo).Is(c, 200)
		require.Equal(c, "a b@c.d&e-f", r.Field("name").String())
		c.A.Get(c, "_/actions/a%20b@c.d&e-f").Is(c, 200)
	}},
	{20, "limit_out_of_range", func(c *Fixture) {
		r := c.A.Get(c, "_/actions?limit=201")
		c.isError(r, 400, "The query parameter 'limit' was malformed:\nThe value '201' is not in the range of 0 to 200 for actions.")
	}},
	{21, "limit_that_is_no_integer", func(c *Fixture) {
		r := c.A.Get(c, "_/rules?limit=x")
		c.isError(r, 400, "The query parameter 'limit' was malformed:\nThe value 'x' is not an integer for rules.")
	}},
	{22, "negative_skip", func(c *Fixture) {
		r := c.A.Get(c, "_/triggers?skip=-1")
		c.isError(r, 400, "The query parameter 'skip' was malformed:\nThe value '-1' is not greater than or equal to 0 for triggers.")
	}},
	{23, "paging_and_counting", func(c *Fixture) {
		for i := range 35 {
			c.A.PutAction(c, fmt.Sprintf("page%02d", i), echo)
		}
		require.Len(c, c.A.Get(c, "_/actions").Is(c, 200).JSON().Array(), 30)
		require.Len(c, c.A.Get(c, "_/actions?limit=0").Is(c, 200).JSON().Array(), 35)
		c.sameJSON(`{"actions":35}`, string(c.A.Get(c, "_/actions?count=true").Is(c, 200).Body))
		c.sameJSON(`{"actions":0}`, string(c.A.Get(c, "_/actions?count=true&skip=40").Is(c, 200).Body))

		all := names(c.A.Get(c, "_/actions?limit=200").JSON(), "name")
		require.Equal(c, all[10:15], names(c.A.Get(c, "_/actions?skip=10&limit=5").JSON(), "name"), "a page in the middle")
	}},
	{24, "lists_begin_with_the_last_update", func(c *Fixture) {
		for _, name := range []string{"old", "middle", "new"} {
			c.A.PutAction(c, name, echo)
		}
		require.Equal(c, []string{"new", "middle", "old"}, names(c.A.Get(c, "_/actions").JSON(), "name"))
		c.A.PutAction(c, "old", echo)
		require.Equal(c, []string{"old", "new", "middle"}, names(c.A.Get(c, "_/actions").JSON(), "name"))
	}},
	{25, "foreign_actions", func(c *Fixture) {
		c.isError(c.A.Get(c, c.B.Name+"/actions"), 403,
			"The supplied authentication is not authorized to access '"+c.B.Name+"'.")
	}},
	{26, "foreign_packages_show_the_public_ones", func(c *Fixture) {
		c.B.Put(c, "_/packages/public", `{"publish":true}`).Is(c, 200)
		c.B.Put(c, "_/packages/private", `{}`).Is(c, 200)
		c.B.Put(c, "_/packages/bound", `{"publish":true,"binding":{"namespace":"_","name":"public"}}`).Is(c, 200)
		list := c.A.Get(c, c.B.Name+"/packages").Is(c, 200).JSON()
		require.Equal(c, []string{"public"}, names(list, "name"))
		require.Equal(c, gjson.False, list.Get("0.binding").Type)
		c.sameJSON(`{"packages":1}`, string(c.A.Get(c, c.B.Name+"/packages?count=true").Is(c, 200).Body))
		require.Len(c, c.B.Get(c, "_/packages").Is(c, 200).JSON().Array(), 3)
	}},
	{27, "packages_of_an_unknown_namespace", func(c *Fixture) {
		c.sameJSON(`[]`, string(c.A.Get(c, "nonexistent/packages").Is(c, 200).Body))
	}},
	{28, "trigger_is_no_action", func(c *Fixture) {
		c.A.Put(c, "_/triggers/x", `{}`).Is(c, 200)
		c.isError(c.A.Get(c, "_/actions/x"), 409, wrongCollection)
		c.isError(c.A.Get(c, "_/packages/x"), 409, wrongCollection)
		c.isError(c.A.Get(c, "_/rules/x"), 409, wrongCollection)
		c.isError(c.A.Delete(c, "_/rules/x"), 409, wrongCollection)
	}},
	{29, "no_action_over_a_trigger", func(c *Fixture) {
		c.A.Put(c, "_/triggers/x", `{}`).Is(c, 200)
		c.isError(c.A.Put(c, "_/actions/x?overwrite=true", echo), 409, wrongCollection)
		c.isError(c.A.Put(c, "_/actions/x", echo), 409, wrongCollection)
		c.isError(c.A.Put(c, "_/packages/x?overwrite=true", `{}`), 409, wrongCollection)
	}},
	{30, "package_is_no_action", func(c *Fixture) {
		c.A.Put(c, "_/packages/p", `{}`).Is(c, 200)
		c.isError(c.A.Get(c, "_/actions/p"), 409, wrongCollection)
		c.isError(c.A.Put(c, "_/actions/p?overwrite=true", echo), 409, wrongCollection)
		c.isError(c.A.Delete(c, "_/actions/p"), 409, wrongCollection)
		c.isError(c.A.Post(c, "_/actions/p", `{}`), 409, wrongCollection)
		c.sameJSON(`[]`, string(c.A.Get(c, "_/actions/p/").Is(c, 200).Body))
	}},
	{31, "malformed_boolean", func(c *Fixture) {
		c.isErrorWith(c.A.Put(c, "_/actions/x?overwrite=maybe", echo), 400,
			"The query parameter 'overwrite' was malformed:\n", "'maybe' is not a valid Boolean value")
	}},
	{32, "post_on_a_collection", func(c *Fixture) {
		c.isNoRoute(c.A.Post(c, "_/actions", `{}`))
	}},
	{33, "put_of_an_activation", func(c *Fixture) {
		c.isNoRoute(c.A.Put(c, "_/activations/"+strings.Repeat("a", 32), `{}`))
	}},
	{34, "limits_of_the_namespace", func(c *Fixture) {
		r := c.A.Get(c, "_/limits").Is(c, 200)
		for _, field := range []string{
			"invocationsPerMinute", "concurrentInvocations", "firesPerMinute",
			"minActionMemory", "maxActionMemory", "minActionLogs", "maxActionLogs",
			"minActionTimeout", "maxActionTimeout", "minActionConcurrency", "maxActionConcurrency", "maxActionInstances",
		} {
			require.Equalf(c, gjson.Number, r.Field(field).Type, "field %s", field)
		}
		require.Equal(c, "1048576 B", r.Field("maxParameterSize").String())
		require.Equal(c, r.Field("concurrentInvocations").Raw, r.Field("maxActionInstances").Raw)
		c.isErrorWith(c.A.Get(c, c.B.Name+"/limits"), 403)
	}},
	{35, "inner_limits", func(c *Fixture) {
		c.isError(c.A.Get(c, "_/limits/x"), 400, "Inner entity level routes for limits are not yet implemented.")
	}},
}

// putPackage creates a package with parameters.
func putPackage(c *Fixture, n *harness.Namespace, name string, parameters ...harness.KeyValue) {
	c.Helper()
	n.Put(c, "_/packages/"+name+"?overwrite=true", map[string]any{"parameters": parameters}).Is(c, 200)
}
