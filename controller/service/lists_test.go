package service_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

const function = `{"exec":{"kind":"nodejs:default","code":"function main(){}"}}`

// Cases 16 to 35 of openwhisk-rest-api.md section 28.2.
func TestNamesAndLists(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("a", 257)

	t.Run("case_016_name_too_long", func(t *testing.T) {
		w.a.get("_/actions/"+long).fails(400, "Name segement longer than allowed: 257 > 256.")
	})
	t.Run("case_017_namespace_too_long", func(t *testing.T) {
		w.a.get(long+"/actions").fails(400, "Namespace longer than allowed: 257 > 256.")
	})
	t.Run("case_018_illegal_name", func(t *testing.T) {
		w.a.put("_/actions/bad!name", function).fails(400, "The name of the entity contains illegal characters.")
		w.a.put("_/actions/a%2Fb", function).fails(400, "The name of the entity contains illegal characters.")
		w.a.put("_/actions/a+b", function).fails(400, "The name of the entity contains illegal characters.")
		w.a.get("bad!ns/actions").fails(400, "The namespace contains illegal characters.")
	})
	t.Run("case_019_names_may_have_spaces", func(t *testing.T) {
		o := w.a.put("_/actions/a%20b@c.d&e-f", function).is(200).object()
		require.Equal(t, "a b@c.d&e-f", o["name"])
		w.a.get("_/actions/a%20b@c.d&e-f").is(200)
		w.a.delete("_/actions/a%20b@c.d&e-f").is(200)
	})
	t.Run("case_020_limit_out_of_range", func(t *testing.T) {
		w.a.get("_/actions?limit=201").fails(400, "The query parameter 'limit' was malformed:\nThe value '201' is not in the range of 0 to 200 for actions.")
		w.a.get("_/activations?limit=-1").failsWith(400, "The value '-1' is not in the range of 0 to 200 for activations.")
	})
	t.Run("case_021_limit_no_integer", func(t *testing.T) {
		w.a.get("_/packages?limit=x").failsWith(400, "The value 'x' is not an integer for packages.")
	})
	t.Run("case_022_skip_negative", func(t *testing.T) {
		w.a.get("_/actions?skip=-1").fails(400, "The query parameter 'skip' was malformed:\nThe value '-1' is not greater than or equal to 0 for actions.")
	})
	t.Run("case_023_024_pages_latest_first", func(t *testing.T) {
		for i := range 35 {
			w.clock.Advance(time.Millisecond)
			w.a.action(fmt.Sprintf("n%02d", i))
		}
		require.Len(t, w.a.get("_/actions").is(200).list(), 30)
		all := w.a.get("_/actions?limit=0").is(200).list()
		require.Len(t, all, 35)
		require.Equal(t, "n34", all[0]["name"])
		require.Equal(t, "n29", w.a.get("_/actions?skip=5&limit=1").is(200).list()[0]["name"])
		w.a.get("_/actions?count=true").is(200).json(`{"actions":35}`)
		w.a.get("_/actions?count=true&skip=40&limit=1").is(200).json(`{"actions":0}`)
		w.clock.Advance(time.Millisecond)
		w.a.put("_/actions/n00?overwrite=true", `{}`).is(200)
		require.Equal(t, "n00", w.a.get("_/actions").is(200).list()[0]["name"])
	})
	t.Run("case_025_foreign_collection", func(t *testing.T) {
		w.a.get("other/actions").fails(403, "The supplied authentication is not authorized to access 'other'.")
	})
	t.Run("case_026_027_foreign_packages", func(t *testing.T) {
		w.b.put("_/packages/public", `{"publish":true}`).is(200)
		w.b.put("_/packages/private", `{}`).is(200)
		w.b.put("_/packages/bound", `{"publish":true,"binding":{"namespace":"_","name":"public"}}`).is(200)
		list := w.a.get("other/packages").is(200).list()
		require.Len(t, list, 1)
		require.Equal(t, "public", list[0]["name"])
		require.Equal(t, false, list[0]["binding"])
		w.a.get("other/packages?count=true").is(200).json(`{"packages":1}`)
		w.a.get("nonexistent/packages").is(200).json(`[]`)
		require.Len(t, w.b.get("_/packages").is(200).list(), 3)
	})
	t.Run("case_028_029_one_key_space", func(t *testing.T) {
		trigger := &entity.Trigger{Header: entity.Header{Namespace: "ns", Name: "x", Version: entity.FirstVersion}}
		require.NoError(t, w.db.Entities().Put(t.Context(), trigger))
		const text = "Resource by this name exists but is not in this collection."
		w.a.get("_/actions/x").fails(409, text)
		w.a.put("_/actions/x?overwrite=true", function).fails(409, text)
		w.a.put("_/actions/x", function).fails(409, text)
		w.a.delete("_/actions/x").fails(409, text)
		w.a.post("_/actions/x", "{}").fails(409, text)
		w.a.get("_/packages/x").fails(409, text)
		w.a.get("_/actions/x/y").fails(409, text)
	})
	t.Run("case_030_a_package_is_no_action", func(t *testing.T) {
		w.a.put("_/packages/p", `{}`).is(200)
		w.a.get("_/actions/p").fails(409, "Resource by this name exists but is not in this collection.")
		w.a.get("_/actions/p/").is(200).json(`[]`)
	})
	t.Run("case_031_no_boolean", func(t *testing.T) {
		w.a.put("_/actions/y?overwrite=maybe", function).fails(400, "The query parameter 'overwrite' was malformed:\n'maybe' is not a valid Boolean value")
		w.a.put("_/actions/y?overwrite=YES", function).is(200)
		w.a.put("_/actions/y?overwrite=", function).fails(409, "resource already exists")
	})
	t.Run("case_032_033_wrong_verb", func(t *testing.T) {
		w.a.post("_/actions", "{}").is(405)
		w.a.put("_/activations/"+strings.Repeat("0", 32), "{}").is(405)
	})
	t.Run("case_034_limits", func(t *testing.T) {
		c := w.subject("daisy", "fourth")
		c.get("_/limits").is(200).json(`{"invocationsPerMinute":10000,"concurrentInvocations":1000,"firesPerMinute":10000,
			"minActionMemory":128,"maxActionMemory":512,"minActionLogs":0,"maxActionLogs":10,"minActionTimeout":100,"maxActionTimeout":300000,
			"minActionConcurrency":1,"maxActionConcurrency":1,"maxParameterSize":"1048576 B","maxActionInstances":1000}`)
		w.limit("fourth", `{"concurrentInvocations":7,"maxActionMemory":200,"minActionMemory":64,"allowedKinds":["python:3.11"],"maxParameterSize":"2 MB","storeActivations":false}`)
		o := c.get("fourth/limits/").is(200).object()
		require.EqualValues(t, 7, o["concurrentInvocations"])
		require.EqualValues(t, 7, o["maxActionInstances"])
		require.EqualValues(t, 200, o["maxActionMemory"])
		require.EqualValues(t, 128, o["minActionMemory"])
		require.Equal(t, "1048576 B", o["maxParameterSize"])
		require.Equal(t, []any{"python:3.11"}, o["allowedKinds"])
		require.Equal(t, false, o["storeActivations"])
		w.a.get("other/limits").is(403)
	})
	t.Run("case_035_inner_limits", func(t *testing.T) {
		w.a.get("_/limits/x").fails(400, "Inner entity level routes for limits are not yet implemented.")
	})
}
