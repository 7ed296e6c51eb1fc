package conformance

import (
	"strings"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

var triggers = []Case{
	{123, "put_a_trigger", func(c *Fixture) {
		r := c.A.Put(c, "_/triggers/t", `{}`).Is(c, 200)
		require.Equal(c, []string{"annotations", "limits", "name", "namespace", "parameters", "publish", "updated", "version"}, keys(r.JSON()))
		c.sameJSON(`{}`, r.Field("limits").Raw)
		require.Equal(c, "0.0.1", r.Field("version").String())
		c.sameJSON(string(r.Body), string(c.A.Get(c, "_/triggers/t").Is(c, 200).Body))
		c.isError(c.A.Put(c, "_/triggers/t", `{}`), 409, "resource already exists")
		require.Equal(c, "0.0.2", c.A.Put(c, "_/triggers/t?overwrite=true", `{}`).Is(c, 200).Field("version").String())
	}},
	{124, "invalid_feed", func(c *Fixture) {
		c.isError(c.A.Put(c, "_/triggers/t", `{"annotations":[{"key":"feed","value":"a,b"}]}`), 400, "Feed name is not valid")
		c.A.Put(c, "_/triggers/t", `{"annotations":[{"key":"feed","value":"/whisk.system/alarms/alarm"}]}`).Is(c, 200)
	}},
	{125, "fire_without_rules", func(c *Fixture) {
		c.A.Put(c, "_/triggers/t", `{}`).Is(c, 200)
		c.firesNothing("t")
	}},
	{126, "put_a_rule", func(c *Fixture) {
		c.A.Put(c, "_/triggers/t", `{}`).Is(c, 200)
		c.A.PutAction(c, "a", echo)
		r := c.A.Put(c, "_/rules/r", `{"name":"r","status":"","trigger":"/_/t","action":"/_/a"}`).Is(c, 200)
		require.Equal(c, "active", r.Field("status").String())
		c.sameJSON(`{"path":"`+c.A.Name+`","name":"t"}`, r.Field("trigger").Raw)
		c.sameJSON(`{"path":"`+c.A.Name+`","name":"a"}`, r.Field("action").Raw)
		c.sameJSON(string(r.Body), string(c.A.Get(c, "_/rules/r").Is(c, 200).Body))
		c.sameJSON(`{"`+c.A.Name+`/r":{"action":{"path":"`+c.A.Name+`","name":"a"},"status":"active"}}`, c.A.Get(c, "_/triggers/t").Is(c, 200).Field("rules").Raw)
	}},
	{127, "fire_rules_of_every_kind", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		c.A.PutAction(c, "gone", echo)
		c.A.Put(c, "_/triggers/t", `{}`).Is(c, 200)
		c.rule("active", "t", "a")
		c.rule("inactive", "t", "a")
		c.rule("dangling", "t", "gone")
		c.A.Post(c, "_/rules/inactive", `{"status":"inactive"}`).Is(c, 200)
		c.A.Delete(c, "_/actions/gone").Is(c, 200)
		r := c.A.Post(c, "_/triggers/t", `{"n":1.50}`).Is(c, 202)
		require.Equal(c, []string{"activationId"}, keys(r.JSON()))
		require.Equal(c, r.ActivationID(), r.Header.Get("x-openwhisk-activation-id"))

		record := c.A.Activation(c, r.ActivationID())
		require.Equal(c, "t", record.Get("name").String())
		require.False(c, record.Get("end").Exists())
		require.False(c, record.Get("duration").Exists())
		c.sameJSON(`[]`, record.Get("annotations").Raw)
		c.sameJSON(`{"status":"success","success":true,"result":{"n":1.50}}`, record.Get("response").Raw)
		lines := record.Get("logs").Array()
		require.Len(c, lines, 3)
		ns := c.A.Name
		id := gjson.Parse(lines[0].String()).Get("activationId").String()
		c.sameJSON(`{"statusCode":0,"success":true,"activationId":"`+id+`","rule":"`+ns+`/active","action":"`+ns+`/a"}`, lines[0].String())
		c.sameJSON(`{"statusCode":1,"success":false,"error":"Rule '`+ns+`/inactive' is inactive, action '`+ns+`/a' was not activated.","rule":"`+ns+`/inactive","action":"`+ns+`/a"}`, lines[1].String())
		c.sameJSON(`{"statusCode":1,"success":false,"error":"The requested resource does not exist.","rule":"`+ns+`/dangling","action":"`+ns+`/gone"}`, lines[2].String())
		require.False(c, c.A.Activation(c, id).Get("cause").Exists())

		summary := c.A.Get(c, "_/activations?name=t").Is(c, 200).JSON().Get("0")
		require.Equal(c, []string{"activationId", "annotations", "name", "namespace", "publish", "start", "version"}, keys(summary))
	}},
	{128, "what_a_rules_action_gets", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		c.A.Put(c, "_/triggers/t", `{"parameters":[{"key":"p","value":"trigger"},{"key":"q","value":"trigger"}]}`).Is(c, 200)
		c.rule("r", "t", "a")
		id := c.A.Post(c, "_/triggers/t", `{"q":"payload","n":1}`, harness.Header("X-Mine", "Yes")).Is(c, 202).ActivationID()
		line := gjson.Parse(c.A.Activation(c, id).Get("logs.0").String())
		result := c.A.Activation(c, line.Get("activationId").String()).Get("response.result")
		require.Equal(c, "trigger", result.Get("p").String())
		require.Equal(c, "payload", result.Get("q").String())
		require.Equal(c, "1", result.Get("n").Raw)
		require.Equal(c, "Yes", result.Get("__ow_headers.x-mine").String())
		require.True(c, strings.HasPrefix(result.Get("__ow_headers.authorization").String(), "Basic "))
	}},
	{129, "fire_with_inactive_rules", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		c.A.Put(c, "_/triggers/t", `{}`).Is(c, 200)
		c.rule("r", "t", "a")
		c.A.Post(c, "_/rules/r", `{"status":"inactive"}`).Is(c, 200)
		c.firesNothing("t")
	}},
	{130, "deactivate_twice", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		c.A.Put(c, "_/triggers/t", `{}`).Is(c, 200)
		c.rule("r", "t", "a")
		before := c.A.Get(c, "_/rules/r").Is(c, 200)
		for range 2 {
			r := c.A.Post(c, "_/rules/r", `{"status":"inactive","trigger":null,"action":null}`).Is(c, 200)
			require.Equal(c, "OK", string(r.Body))
			require.True(c, strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain"), r.Header)
			after := c.A.Get(c, "_/rules/r").Is(c, 200)
			require.Equal(c, "inactive", after.Field("status").String())
			require.Equal(c, before.Field("updated").Raw, after.Field("updated").Raw)
			require.Equal(c, before.Field("version").Raw, after.Field("version").Raw)
		}
		c.A.Post(c, "_/rules/r", `{"status":"active"}`).Is(c, 200)
		require.Equal(c, "active", c.A.Get(c, "_/rules/r").Is(c, 200).Field("status").String())
	}},
	{131, "unknown_state", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		c.A.Put(c, "_/triggers/t", `{}`).Is(c, 200)
		c.rule("r", "t", "a")
		c.isError(c.A.Post(c, "_/rules/r", `{"status":"xxx"}`), 400, "The request content was malformed:\nrequirement failed: xxx is not a recognized rule state")
		c.isErrorWith(c.A.Post(c, "_/rules/r", nil), 400)
	}},
	{132, "rule_of_what_is_missing", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		c.A.Put(c, "_/triggers/t", `{}`).Is(c, 200)
		c.isError(c.A.Put(c, "_/rules/r", `{"trigger":"/_/nope","action":"/_/a"}`), 400, "trigger /"+c.A.Name+"/nope does not exist")
		c.isError(c.A.Put(c, "_/rules/r", `{"trigger":"/_/t","action":"/_/nope"}`), 400, "action /"+c.A.Name+"/nope does not exist")
		c.isError(c.A.Put(c, "_/rules/r", `{"trigger":"/_/nope","action":"/_/nope"}`), 400, "trigger /"+c.A.Name+"/nope does not exist")
	}},
	{133, "rule_without_action", func(c *Fixture) {
		c.A.Put(c, "_/triggers/t", `{}`).Is(c, 200)
		c.isError(c.A.Put(c, "_/rules/r", `{"trigger":"/`+c.A.Name+`/t"}`), 400, "rule requires a valid trigger and a valid action")
	}},
	{134, "rule_with_a_bare_name", func(c *Fixture) {
		c.isErrorWith(c.A.Put(c, "_/rules/r", `{"trigger":"t","action":"/_/a"}`), 400, "must contain at least the namespace and the name of the entity.")
	}},
	{135, "rules_in_lists_have_no_status", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		c.A.Put(c, "_/triggers/t", `{}`).Is(c, 200)
		c.rule("r", "t", "a")
		list := c.A.Get(c, "_/rules").Is(c, 200).JSON()
		require.Equal(c, []string{"r"}, names(list, "name"))
		require.Equal(c, []string{"action", "annotations", "name", "namespace", "publish", "trigger", "updated", "version"}, keys(list.Get("0")))
	}},
	{136, "the_trigger_was_deleted", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		c.A.Put(c, "_/triggers/t", `{}`).Is(c, 200)
		c.rule("r", "t", "a")
		c.A.Delete(c, "_/triggers/t").Is(c, 200)
		require.Equal(c, "inactive", c.A.Get(c, "_/rules/r").Is(c, 200).Field("status").String())
		c.isError(c.A.Post(c, "_/rules/r", `{"status":"active"}`), 404, "Only rules with existing triggers can be activated")
		c.A.Post(c, "_/rules/r", `{"status":"inactive"}`).Is(c, 200)
	}},
	{137, "delete_an_active_rule", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		c.A.Put(c, "_/triggers/t", `{}`).Is(c, 200)
		c.rule("r", "t", "a")
		require.Equal(c, "inactive", c.A.Delete(c, "_/rules/r").Is(c, 200).Field("status").String())
		c.sameJSON(`{}`, c.A.Get(c, "_/triggers/t").Is(c, 200).Field("rules").Raw)
		c.is404(c.A.Get(c, "_/rules/r"))
	}},
	{138, "a_rule_moves_to_another_trigger", func(c *Fixture) {
		c.A.PutAction(c, "a", echo)
		c.A.Put(c, "_/triggers/t", `{}`).Is(c, 200)
		c.A.Put(c, "_/triggers/u", `{}`).Is(c, 200)
		c.rule("on", "t", "a")
		c.rule("off", "t", "a")
		c.A.Post(c, "_/rules/off", `{"status":"inactive"}`).Is(c, 200)
		for rule, status := range map[string]string{"on": "active", "off": "inactive"} {
			r := c.A.Put(c, "_/rules/"+rule+"?overwrite=true", `{"trigger":"/_/u"}`).Is(c, 200)
			require.Equal(c, status, r.Field("status").String())
			require.Equal(c, "0.0.2", r.Field("version").String())
			require.Equal(c, status, c.A.Get(c, "_/triggers/u").Is(c, 200).Field("rules."+c.A.Name+"/"+rule+".status").String())
		}
		c.sameJSON(`{}`, c.A.Get(c, "_/triggers/t").Is(c, 200).Field("rules").Raw)
	}},
}

// rule makes a rule in A.
func (c *Fixture) rule(name, trigger, action string) {
	c.Helper()
	c.A.Put(c, "_/rules/"+name, `{"trigger":"/_/`+trigger+`","action":"/_/`+action+`"}`).Is(c, 200)
}

// firesNothing checks that a fire of A's trigger leaves no trace.
func (c *Fixture) firesNothing(trigger string) {
	c.Helper()
	before := c.A.Get(c, "_/activations?count=true").Is(c, 200).Body
	r := c.A.Post(c, "_/triggers/"+trigger, `{}`).Is(c, 204)
	require.Empty(c, r.Body)
	require.Empty(c, r.Header.Get("x-openwhisk-activation-id"))
	require.Equal(c, string(before), string(c.A.Get(c, "_/activations?count=true").Is(c, 200).Body))
}
