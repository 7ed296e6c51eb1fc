package service_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Cases 36 to 63 of openwhisk-rest-api.md section 28.3.
func TestActions(t *testing.T) {
	w := newWorld(t)

	t.Run("case_036_put_creates_with_defaults", func(t *testing.T) {
		w.a.put("_/actions/a?overwrite=false", `{"namespace":"_","name":"a","updated":1,"exec":{"kind":"nodejs:default","code":"function main(){}"}}`).
			is(200).json(`{"namespace":"ns","name":"a","version":"0.0.1","publish":false,
				"exec":{"kind":"nodejs:20","code":"function main(){}","binary":false},"parameters":[],
				"limits":{"timeout":60000,"memory":256,"logs":10,"concurrency":1},
				"annotations":[{"key":"provide-api-key","value":false},{"key":"exec","value":"nodejs:20"}],"updated":1732176000000}`)
	})
	t.Run("case_037_exists", func(t *testing.T) {
		w.a.put("_/actions/a", function).fails(409, "resource already exists")
	})
	t.Run("case_038_update_keeps_what_is_absent", func(t *testing.T) {
		w.clock.Advance(time.Second)
		o := w.a.put("_/actions/a?overwrite=true", `{}`).is(200).object()
		require.Equal(t, "0.0.2", o["version"])
		require.Equal(t, "function main(){}", o["exec"].(map[string]any)["code"])
		require.EqualValues(t, 1732176001000, o["updated"])
	})
	t.Run("case_039_040_annotations_merge", func(t *testing.T) {
		w.a.put("_/actions/a?overwrite=true", `{"annotations":[{"key":"k","value":1}]}`).is(200)
		o := w.a.put("_/actions/a?overwrite=true", `{"annotations":[{"key":"l","value":1.50}]}`).is(200)
		require.Contains(t, o.body, `"annotations":[{"key":"provide-api-key","value":false},{"key":"k","value":1},{"key":"l","value":1.50},{"key":"exec","value":"nodejs:20"}]`)
		o = w.a.put("_/actions/a?overwrite=true", `{"delAnnotations":["k"]}`).is(200)
		require.NotContains(t, o.body, `"key":"k"`)
		require.Contains(t, o.body, `"key":"l"`)
		w.a.put("_/actions/a?overwrite=true", `{"delAnnotations":"k"}`).failsWith(400, "The request content was malformed:\n")
	})
	t.Run("case_041_version_given", func(t *testing.T) {
		require.Equal(t, "3.1.4", w.a.put("_/actions/a?overwrite=true", `{"version":"3.1.4"}`).is(200).object()["version"])
		require.Equal(t, "3.1.5", w.a.put("_/actions/a?overwrite=true", `{}`).is(200).object()["version"])
		w.a.put("_/actions/a?overwrite=true", `{"version":"0.0.0"}`).fails(400, "The request content was malformed:\nsemantic version malformed")
	})
	t.Run("case_042_no_exec", func(t *testing.T) {
		w.a.put("_/actions/n", `{}`).fails(400, "exec undefined")
		w.a.put("_/actions/n?overwrite=true", `{}`).fails(400, "exec undefined")
	})
	t.Run("case_043_unknown_kind", func(t *testing.T) {
		w.a.put("_/actions/n", `{"exec":{"kind":"foobar","code":""}}`).
			failsWith(400, "The request content was malformed:\nThe specified runtime 'foobar' is not supported by this platform. Valid values are: '")
	})
	t.Run("case_044_content_type", func(t *testing.T) {
		w.a.with("Content-Type", "text/plain").put("_/actions/n", function).
			fails(415, "The request's Content-Type [text/plain] is not supported. Expected:\napplication/json")
		w.a.with("Content-Type", "application/json; charset=utf-8").put("_/actions/n2", function).is(200)
	})
	t.Run("case_045_malformed", func(t *testing.T) {
		w.a.put("_/actions/n", `{"exec":{"kind":"nodejs:20","code":""},"parameters":{"a":"b"}}`).fails(400, "The request content was malformed:\nparameters malformed!")
		w.a.put("_/actions/n", `{"exec`).failsWith(400, "The request content was malformed:\n")
		w.a.put("_/actions/n", `[1]`).fails(400, "The request content was malformed:\nJSON object expected")
		w.a.put("_/actions/n", `null`).fails(400, "The request content was malformed:\nJSON object expected")
		w.a.put("_/actions/n", "").fails(400, "Request entity expected but not supplied")
		w.a.put("_/actions/n", " ").fails(400, "Request entity expected but not supplied")
	})
	t.Run("case_046_047_system_annotations", func(t *testing.T) {
		r := w.a.action("sys", `"annotations":[{"key":"exec","value":"zzz"},{"key":"provide-api-key","value":true}]`)
		require.Contains(t, r.body, `"annotations":[{"key":"provide-api-key","value":true},{"key":"exec","value":"nodejs:20"}]`)
	})
	t.Run("case_048_049_050_limits", func(t *testing.T) {
		put := func(limits string) reply {
			return w.a.put("_/actions/n", `{"exec":{"kind":"nodejs:20","code":""},"limits":`+limits+`}`)
		}
		put(`{"memory":1024}`).fails(400, "requirement failed: memory size 1024 MB exceeds allowed threshold of 512 MB")
		put(`{"timeout":99}`).fails(400, "requirement failed: duration 99 milliseconds below allowed threshold of 100 milliseconds")
		put(`{"concurrency":2}`).fails(400, "requirement failed: concurrency 2 exceeds allowed threshold of 1")
		put(`{"instances":1001}`).fails(400, "Max action instance concurrency must not exceed your namespace concurrency of 1000.")
		put(`{"timeout":1.5}`).fails(400, "The request content was malformed:\nrequirement failed: time limit must be whole number")
	})
	t.Run("case_051_limits_merge", func(t *testing.T) {
		r := w.a.put("_/actions/a?overwrite=true", `{"limits":{"memory":128}}`).is(200)
		require.Contains(t, r.body, `"limits":{"timeout":60000,"memory":128,"logs":10,"concurrency":1}`)
	})
	t.Run("case_052_053_sizes", func(t *testing.T) {
		big := strings.Repeat("x", 1<<20)
		w.a.put("_/actions/n", `{"exec":{"kind":"nodejs:20","code":""},"parameters":[{"key":"k","value":"`+big+`"}]}`).
			fails(413, "parameters larger than allowed: 1048579 > 1048576 bytes.")
		w.a.put("_/actions/n", `{"exec":{"kind":"nodejs:20","code":""},"annotations":[{"key":"k","value":"`+big+`"}]}`).
			fails(413, "annotations larger than allowed: 1048579 > 1048576 bytes.")
		w.a.put("_/actions/n", `{"exec":{"kind":"nodejs:20","code":"`+strings.Repeat("x", 48<<20+1)+`"}}`).
			fails(413, "exec larger than allowed: 50331649 > 50331648 bytes.")
		w.a.put("_/actions/n", strings.Repeat(" ", 50<<20+1)).
			fails(413, "The request content is larger than the server is willing or able to process.")
	})
	t.Run("case_054_code_on_request", func(t *testing.T) {
		require.Contains(t, w.a.get("_/actions/a").is(200).object()["exec"], "code")
		require.NotContains(t, w.a.get("_/actions/a?code=false").is(200).object()["exec"], "code")
	})
	t.Run("case_055_missing", func(t *testing.T) {
		w.a.get("_/actions/none").fails(404, "The requested resource does not exist.")
		w.a.get("_/actions/none/x").fails(404, "The requested resource does not exist.")
		w.a.put("_/actions/none/x", function).fails(404, "The requested resource does not exist.")
	})
	t.Run("case_056_057_foreign", func(t *testing.T) {
		w.b.get("ns/actions/a").fails(403, "The supplied authentication is not authorized to access 'ns/a'.")
		w.b.put("ns/actions/z", `no JSON`).fails(403, "The supplied authentication is not authorized to access 'ns/z'.")
		w.b.delete("ns/actions/a").is(403)
		w.b.put("ns/actions/p/z", function).fails(403, "The supplied authentication is not authorized to access 'ns/p/z'.")
		w.b.get("ns/actions/p/z").fails(403, "The supplied authentication is not authorized to access 'ns/p'.")
	})
	t.Run("case_058_list_item", func(t *testing.T) {
		for _, item := range w.a.get("_/actions").is(200).list() {
			require.Len(t, item, 8)
			require.Equal(t, map[string]any{"binary": false}, item["exec"])
		}
	})
	t.Run("case_059_blackbox", func(t *testing.T) {
		o := w.a.put("_/actions/box", `{"exec":{"kind":"blackbox","image":"me/img"}}`).is(200).object()
		require.Equal(t, map[string]any{"kind": "blackbox", "image": "me/img", "binary": false}, o["exec"])
		o = w.a.get("_/actions/box").is(200).object()
		require.Equal(t, map[string]any{"kind": "blackbox", "image": "me/img", "binary": false}, o["exec"])
	})
	t.Run("case_060_binary_code", func(t *testing.T) {
		zip := base64.StdEncoding.EncodeToString([]byte("PK\x03\x04 and so on\x00\xff"))
		w.a.put("_/actions/zip", `{"exec":{"kind":"nodejs:20","code":"`+zip+`","main":"go"}}`).is(200)
		require.Equal(t, map[string]any{"kind": "nodejs:20", "code": zip, "binary": true, "main": "go"}, w.a.get("_/actions/zip").is(200).object()["exec"])
	})
	t.Run("case_061_main_required", func(t *testing.T) {
		w.a.put("_/actions/n", `{"exec":{"kind":"java:8","code":"eA=="}}`).
			fails(400, "The request content was malformed:\n'main' must be a string defined in 'exec' for 'java:8' actions")
	})
	t.Run("case_062_delete", func(t *testing.T) {
		r := w.a.delete("_/actions/a").is(200)
		require.Equal(t, "3.1.6", r.object()["version"])
		w.a.delete("_/actions/a").fails(404, "The requested resource does not exist.")
		require.Equal(t, "0.0.1", w.a.action("a").object()["version"])
	})
	t.Run("case_063_allowed_kinds", func(t *testing.T) {
		w.limit("other", `{"allowedKinds":["python:3.11"]}`)
		w.b.put("_/actions/n", function).fails(403, "The supplied authentication is not authorized to access actions of kind 'nodejs:20'.")
		w.b.put("_/actions/n", `{"exec":{"kind":"python:3.11","code":""}}`).is(200)
	})
	t.Run("case_167_namespace_limits", func(t *testing.T) {
		w.limit("other", `{"maxActionMemory":200}`)
		w.b.put("_/actions/m", `{"exec":{"kind":"nodejs:20","code":""},"limits":{"memory":256}}`).failsWith(400, "exceeds allowed threshold of 200 MB")
	})
	t.Run("a_new_exec_replaces_the_old_code", func(t *testing.T) {
		w.a.action("change")
		w.a.put("_/actions/change?overwrite=true", `{"exec":{"kind":"blackbox","image":"me/img"}}`).is(200)
		require.NotContains(t, w.a.get("_/actions/change").is(200).object()["exec"], "code")
	})
	t.Run("empty_code_is_shown", func(t *testing.T) {
		w.a.put("_/actions/empty", `{"exec":{"kind":"nodejs:20","code":""}}`).is(200)
		require.Equal(t, map[string]any{"kind": "nodejs:20", "code": "", "binary": false}, w.a.get("_/actions/empty").is(200).object()["exec"])
	})
}
