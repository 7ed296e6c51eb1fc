package conformance

import (
	"net/http"
	"strings"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

var surface = []Case{
	{1, "ping", func(c *Fixture) {
		r := c.Anonymous.Get(c, "/ping").Is(c, 200)
		require.Equal(c, "pong", string(r.Body))
	}},
	{2, "root_describes_the_platform", func(c *Fixture) {
		r := c.Anonymous.Get(c, "/").Is(c, 200)
		require.Equal(c, "OpenWhisk", r.Field("description").String())
		c.sameJSON(`["/api/v1"]`, r.Field("api_paths").Raw)
		require.Equal(c, gjson.Number, r.Field("limits.concurrent_actions").Type)
		// wskdeploy accepts the answer only so (1.2).
		require.Contains(c, "application/json; charset=UTF-8", r.Header.Get("Content-Type"))
		require.True(c, r.Field("runtimes.nodejs").Exists() && r.Field("runtimes.python").Exists(), "families")
		r.Field("runtimes").ForEach(func(family, entries gjson.Result) bool {
			defaults := 0
			for _, entry := range entries.Array() {
				require.Equal(c, []string{"attached", "default", "deprecated", "image", "kind", "requireMain"}, keys(entry), "family %s", family)
				if entry.Get("default").Bool() {
					defaults++
				}
			}
			require.LessOrEqual(c, defaults, 1, "defaults of family %s", family)
			return true
		})
	}},
	{3, "api_v1_describes_the_api", func(c *Fixture) {
		for _, path := range []string{"/api/v1", "/api/v1/"} {
			r := c.Anonymous.Get(c, path).Is(c, 200)
			require.Equal(c, "1.0.0", r.Field("api_version").String())
			require.Equal(c, "v1", r.Field("api_version_path").String())
			for _, field := range []string{"build", "buildno", "swagger_paths"} {
				require.Truef(c, r.Field(field).Exists(), "field %s", field)
			}
		}
	}},
	{4, "no_credentials", func(c *Fixture) {
		r := c.Anonymous.Get(c, "/api/v1/namespaces")
		c.isError(r, 401, "The resource requires authentication, which was not supplied with the request")
		require.True(c, strings.HasPrefix(r.Header.Get("WWW-Authenticate"), `Basic realm="OpenWhisk secure realm"`), r.Header.Get("WWW-Authenticate"))
	}},
	{5, "wrong_key_of_64_characters", func(c *Fixture) {
		user, _, _ := strings.Cut(c.A.Key, ":")
		wrong := harness.NewClient(c.Target.URL(), user+":"+strings.Repeat("x", 64))
		c.isError(wrong.Get(c, "/api/v1/namespaces"), 401, "The supplied authentication is invalid")
	}},
	{6, "malformed_credentials", func(c *Fixture) {
		for _, key := range []string{"x:y", ":", "x:" + strings.Repeat("y", 64), strings.Repeat("z", 5000) + ":y"} {
			wrong := harness.NewClient(c.Target.URL(), key)
			c.isError(wrong.Get(c, "/api/v1/namespaces"), 401, "The supplied authentication is invalid")
		}
		for _, header := range []string{"Basic", "Basic %%%", "Basic eA==", "Bearer abc"} {
			r := c.Anonymous.Get(c, "/api/v1/namespaces", harness.Header("Authorization", header))
			c.isErrorWith(r, 401)
		}
	}},
	{7, "namespaces_of_the_caller", func(c *Fixture) {
		c.sameJSON(`["`+c.A.Name+`"]`, string(c.A.Get(c, "/api/v1/namespaces").Is(c, 200).Body))
	}},
	{8, "request_id_is_used", func(c *Fixture) {
		r := c.A.Get(c, "_/actions/none", harness.Header("X-Request-ID", "abc123"))
		c.is404(r)
		require.Equal(c, "abc123", r.Header.Get("X-Request-ID"))
		require.Equal(c, "abc123", r.Field("code").String())
	}},
	{9, "request_id_of_the_system_is_not_taken", func(c *Fixture) {
		r := c.A.Get(c, "_/actions/none", harness.Header("X-Request-ID", "sid_evil"))
		c.is404(r)
		require.NotEqual(c, "sid_evil", r.Header.Get("X-Request-ID"))
	}},
	{10, "options_without_credentials", func(c *Fixture) {
		c.hasCORS(c.Anonymous.Do(c, http.MethodOptions, "_/actions", nil).Is(c, 200))
	}},
	{11, "options_of_an_unknown_path", func(c *Fixture) {
		c.hasCORS(c.Anonymous.Do(c, http.MethodOptions, "/api/v1/bogus", nil).Is(c, 200))
	}},
	{12, "unknown_collection", func(c *Fixture) {
		c.isError(c.A.Get(c, "_/bogus"), 404, "The requested resource could not be found.")
	}},
	{13, "accept_cannot_be_met", func(c *Fixture) {
		r := c.A.Get(c, "_/actions", harness.Header("Accept", "text/html"))
		c.isErrorWith(r, 406, "Resource representation is only available with these types:")
		// What a browser or curl sends can be met.
		for _, accept := range []string{"*/*", "application/*", "text/html, application/json;q=0.9"} {
			c.A.Get(c, "_/actions", harness.Header("Accept", accept)).Is(c, 200)
		}
	}},
	{14, "blocked_subject", func(c *Fixture) {
		n := c.fresh()
		n.Get(c, "_/actions").Is(c, 200)
		c.Target.Admin(c, "user", "block", n.Name).OK(c)
		harness.Until(c, "the block to act", func() bool { return n.Get(c, "_/actions").Status == 401 })
		for _, path := range []string{"/api/v1/namespaces", "_/actions", "_/limits", "_/activations"} {
			c.isError(n.Get(c, path), 401, "The supplied authentication is invalid")
		}
	}},
	{15, "one_namespace_has_no_route", func(c *Fixture) {
		c.isErrorWith(c.A.Get(c, c.A.Name), 404)
	}},
}

// hasCORS checks the headers of openwhisk-rest-api.md 1.5.
func (c *Fixture) hasCORS(r *harness.Response) {
	c.Helper()
	require.Equal(c, "*", r.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(c, "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent", r.Header.Get("Access-Control-Allow-Headers"))
	require.Equal(c, "GET, DELETE, POST, PUT, HEAD", r.Header.Get("Access-Control-Allow-Methods"))
}
