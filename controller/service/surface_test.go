package service_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Cases 1 to 15 of openwhisk-rest-api.md section 28.1.
func TestSurface(t *testing.T) {
	w := newWorld(t)
	none := w.a.anonymous()

	t.Run("case_001_ping", func(t *testing.T) {
		r := none.get("/ping").is(200)
		require.Equal(t, "pong", r.body)
		require.True(t, strings.HasPrefix(r.header.Get("Content-Type"), "text/plain"))
	})
	t.Run("case_002_root_names_limits_and_runtimes", func(t *testing.T) {
		o := none.get("/").is(200).object()
		require.Equal(t, "OpenWhisk", o["description"])
		require.Equal(t, []any{"/api/v1"}, o["api_paths"])
		require.Contains(t, o["limits"], "concurrent_actions")
		for _, family := range o["runtimes"].(map[string]any) {
			for _, r := range family.([]any) {
				require.Len(t, r, 6)
			}
		}
	})
	t.Run("case_003_version_document", func(t *testing.T) {
		for _, path := range []string{"/api/v1", "/api/v1/"} {
			none.get(path).is(200).json(`{"description":"OpenWhisk API","api_version":"1.0.0","api_version_path":"v1",
				"build":"unknown","buildno":"unknown","swagger_paths":{"ui":"/docs","api-docs":"/api-docs"}}`)
		}
	})
	t.Run("case_004_no_credentials", func(t *testing.T) {
		r := none.get("/api/v1/namespaces")
		r.fails(401, "The resource requires authentication, which was not supplied with the request")
		require.Equal(t, `Basic realm="OpenWhisk secure realm",charset=UTF-8`, r.header.Get("Www-Authenticate"))
		none.get("_/bogus").is(401)
		none.do("PATCH", "_/actions", "").is(401)
	})
	t.Run("case_005_006_wrong_and_malformed_credentials", func(t *testing.T) {
		wrong := *w.a
		wrong.key.Key = strings.Repeat("x", 64)
		wrong.get("/api/v1/namespaces").fails(401, "The supplied authentication is invalid")
		wrong.key.UUID, wrong.key.Key = "x", "y"
		wrong.get("/api/v1/namespaces").fails(401, "The supplied authentication is invalid")
		for _, header := range []string{"Basic", "Basic !", "Bearer abc", "Basic eA==", "x"} {
			none.with("Authorization", header).get("/api/v1/namespaces").fails(401, "The supplied authentication is invalid")
		}
	})
	t.Run("case_007_namespaces", func(t *testing.T) {
		w.a.get("/api/v1/namespaces").is(200).json(`["ns"]`)
		w.a.get("/api/v1/namespaces/").is(200).json(`["ns"]`)
	})
	t.Run("case_008_request_id_is_echoed", func(t *testing.T) {
		r := none.with("X-Request-Id", "abc123").get("/api/v1/namespaces").is(401)
		require.Equal(t, "abc123", r.header.Get("X-Request-ID"))
		require.Equal(t, "abc123", r.object()["code"])
	})
	t.Run("case_009_system_ids_are_replaced", func(t *testing.T) {
		r := none.with("X-Request-Id", "sid_evil").get("/ping")
		require.Len(t, r.header.Get("X-Request-ID"), 32)
	})
	t.Run("case_010_011_options_needs_no_credentials", func(t *testing.T) {
		for _, path := range []string{"_/actions", "/api/v1/bogus", "_/actions/a/b"} {
			r := none.do("OPTIONS", path, "").is(200)
			require.Equal(t, "OK", r.body)
			require.Equal(t, "*", r.header.Get("Access-Control-Allow-Origin"))
			require.Equal(t, "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent", r.header.Get("Access-Control-Allow-Headers"))
			require.Equal(t, "GET, DELETE, POST, PUT, HEAD", r.header.Get("Access-Control-Allow-Methods"))
			require.Empty(t, r.header.Get("Allow"))
		}
		r := none.do("OPTIONS", "/", "").is(200)
		require.Equal(t, "OPTIONS, GET, POST", r.header.Get("Access-Control-Allow-Methods"))
	})
	t.Run("case_012_no_such_collection", func(t *testing.T) {
		w.a.get("_/bogus").fails(404, "The requested resource could not be found.")
		none.get("/bogus").fails(404, "The requested resource could not be found.")
	})
	t.Run("case_013_only_json_is_served", func(t *testing.T) {
		w.a.with("Accept", "text/html").get("_/actions").
			fails(406, "Resource representation is only available with these types:\napplication/json")
		for _, accept := range []string{"*/*", "application/*;q=0.5", "text/html, application/json", ""} {
			w.a.with("Accept", accept).get("_/actions").is(200)
		}
		w.a.with("Accept", "application/json;q=0").get("_/actions").is(406)
		w.a.with("Accept", "text/html").put("_/actions/unwanted", `{"exec":{"kind":"nodejs:default","code":""}}`).is(406)
		w.a.get("_/actions/unwanted").is(404)
		w.a.with("Accept", "text/html").get("_/actions/none").is(404)
	})
	t.Run("case_014_blocked_subject", func(t *testing.T) {
		c := w.subject("carol", "third")
		c.get("/api/v1/namespaces").is(200)
		c.subject.Blocked = true
		require.NoError(t, w.db.Subjects().PutSubject(t.Context(), c.subject))
		c.get("/api/v1/namespaces").fails(401, "The supplied authentication is invalid")
	})
	t.Run("case_015_a_namespace_is_no_resource", func(t *testing.T) {
		w.a.get("ns").is(404)
	})
	t.Run("wrong_verbs_are_told_the_right_ones", func(t *testing.T) {
		r := w.a.post("_/limits", "{}")
		r.fails(405, "HTTP method not allowed, supported methods: GET")
		require.Equal(t, "GET", r.header.Get("Allow"))
		w.a.do("HEAD", "_/actions", "").is(405)
		w.a.do("HEAD", "/ping", "").is(405)
	})
	t.Run("every_API_answer_has_CORS_headers", func(t *testing.T) {
		for _, path := range []string{"/api/v1", "/api/v1/namespaces", "_/bogus", "_/actions/none"} {
			require.Equal(t, "*", none.get(path).header.Get("Access-Control-Allow-Origin"), path)
		}
		require.Empty(t, none.get("/").header.Get("Access-Control-Allow-Origin"))
	})
}
