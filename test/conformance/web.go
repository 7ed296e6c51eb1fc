package conformance

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
)

var web = []Case{
	{139, "web_action_not_exported", func(c *Fixture) {
		c.A.PutAction(c, "notexported", echo)
		c.isWebError(c.webGet("notexported.json"), 404, "The requested resource does not exist.")
		c.isWebError(c.webGet("none.json"), 404, "The requested resource does not exist.")
	}},
	{140, "web_action_gets_the_request", func(c *Fixture) {
		c.eachRuntime(func(c *Fixture, runtime runtime) {
			c.A.PutAction(c, "webecho", exported(runtime.echo))
			r := c.webGet("webecho.json?a=b&a=c", harness.Header("X-Own-Header", "Value")).Is(c, 200)
			require.Contains(c, string(r.Body), "\n  \"", "indented by two spaces")
			require.Equal(c, "c", r.Field("a").String())
			require.Equal(c, "get", r.Field("__ow_method").String())
			require.Equal(c, `""`, r.Field("__ow_path").Raw)
			require.Equal(c, "Value", r.Field("__ow_headers.x-own-header").String())
			require.False(c, r.Field("__ow_user").Exists())
			id := r.Header.Get("x-openwhisk-activation-id")
			require.Equal(c, c.A.Name, c.A.Activation(c, id).Get("namespace").String())
		})
	}},
	{141, "web_action_bodies", func(c *Fixture) {
		c.A.PutAction(c, "webecho", exported(echo))
		send := func(contentType, body string) *harness.Response {
			return c.Anonymous.Post(c, c.web("webecho.json"), body, harness.Header("Content-Type", contentType)).Is(c, 200)
		}
		require.Equal(c, "1.5", send("application/json", `{"a":1.5}`).Field("a").Raw)
		require.Equal(c, "1 &", send("application/x-www-form-urlencoded", `a=1+%26`).Field("a").String())
		c.sameJSON(`[1,{"a":null}]`, send("application/json", `[1,{"a":null}]`).Field("__ow_body").Raw)
		require.Equal(c, "täxt", send("text/plain", "täxt").Field("__ow_body").String())
		require.Equal(c, "iVBORw0KGgo=", send("image/png", "\x89PNG\r\n\x1a\n").Field("__ow_body").String())
	}},
	{142, "web_action_path", func(c *Fixture) {
		c.A.PutAction(c, "webecho", exported(echo))
		for _, rest := range []string{"/x/y", "/", ""} {
			require.Equal(c, rest, c.webGet("webecho.json"+rest).Is(c, 200).Field("__ow_path").String())
		}
	}},
	{143, "web_action_parameters_are_protected", func(c *Fixture) {
		const text = "Request defines parameters that are not allowed (e.g., reserved properties)."
		final := exported(echo).Annotated("final", true)
		final.Parameters = []harness.KeyValue{{Key: "a", Value: 1}}
		c.A.PutAction(c, "webecho", final)
		c.isWebError(c.webGet("webecho.json?__ow_method=x"), 400, text)
		c.isWebError(c.webGet("webecho.json?a=x"), 400, text)
		c.isWebError(c.Anonymous.Post(c, c.web("webecho.json"), `{"a":2}`), 400, text)
		require.Equal(c, "1", c.webGet("webecho.json?b=x").Is(c, 200).Field("a").Raw)
	}},
	{144, "raw_web_action", func(c *Fixture) {
		c.A.PutAction(c, "raw", exported(echo).Annotated("raw-http", true))
		r := c.Anonymous.Post(c, c.web("raw.json?a=b&c"), `{"d":1}`).Is(c, 200)
		require.Equal(c, "a=b&c", r.Field("__ow_query").String())
		require.Equal(c, "eyJkIjoxfQ==", r.Field("__ow_body").String())
		require.False(c, r.Field("a").Exists() || r.Field("d").Exists())
	}},
	{145, "web_redirect", func(c *Fixture) {
		r := c.webResult("http", `{"statusCode":302,"headers":{"location":"https://example.org/"}}`).Is(c, 302)
		require.Equal(c, "https://example.org/", r.Header.Get("Location"))
		require.Empty(c, r.Body)
	}},
	{146, "web_defaults", func(c *Fixture) {
		r := c.webResult("http", `{}`).Is(c, 204)
		require.Empty(c, r.Header.Values("Content-Type"))
		r = c.webResult("http", `{"body":"x"}`).Is(c, 200)
		require.Equal(c, "text/html; charset=UTF-8", r.Header.Get("Content-Type"))
		require.Equal(c, "x", string(r.Body))
		r = c.webResult("http", `{"body":{"a":1}}`).Is(c, 200)
		require.Equal(c, "application/json", r.Header.Get("Content-Type"))
		c.sameJSON(`{"a":1}`, string(r.Body))
	}},
	{147, "web_headers_repeated", func(c *Fixture) {
		r := c.webResult("http", `{"headers":{"Set-Cookie":["a=b","c=d"]}}`).Is(c, 204)
		require.Equal(c, []string{"a=b", "c=d"}, r.Header.Values("Set-Cookie"))
	}},
	{148, "web_status_codes", func(c *Fixture) {
		c.webResult("http", `{"statusCode":"201"}`).Is(c, 201)
		c.isWebError(c.webResult("http", `{"statusCode":"xyz"}`), 400, "Response is not valid 'message/http'.")
		c.webResult("http", `{"statusCode":444}`).Is(c, 444)
	}},
	{149, "web_binary", func(c *Fixture) {
		r := c.webResult("http", `{"headers":{"content-type":"image/png"},"body":"iVBORw0KGgo="}`).Is(c, 200)
		require.Equal(c, "image/png", r.Header.Get("Content-Type"))
		require.Equal(c, "\x89PNG\r\n\x1a\n", string(r.Body))
	}},
	{150, "web_content_type_unknown", func(c *Fixture) {
		c.isWebError(c.webResult("http", `{"headers":{"content-type":"xyzbar"},"body":"x"}`), 400, "Response did not specify a known content-type.")
	}},
	{151, "web_content_type_mismatch", func(c *Fixture) {
		c.isWebError(c.webResult("http", `{"headers":{"content-type":"text/html"},"body":{"a":1}}`), 400,
			"Response type in header did not match generated content type.")
	}},
	{152, "web_extensions", func(c *Fixture) {
		c.isWebError(c.webResult("html", `{"a":1}`), 400, "Response is not valid 'text/html'.")
		c.isWebError(c.webResult("text", `{"a":1}`), 404, "Response does not include requested property.")
		c.isWebError(c.webResult("json", `{"error":"boom"}`), 400, "Response is not valid 'application/json'.")
	}},
	{153, "web_application_error", func(c *Fixture) {
		r := c.webResult("http", `{"error":{"statusCode":418,"body":"t"}}`).Is(c, 418)
		require.Equal(c, "t", string(r.Body))
	}},
	{154, "web_developer_error", func(c *Fixture) {
		c.A.PutAction(c, "crash", exported(runtimes[0].crash))
		r := c.webGet("crash.http")
		c.isWebError(r, 400, "There was an error processing your request.")
		require.NotEmpty(c, r.Header.Get("x-openwhisk-activation-id"))
	}},
	{156, "web_secret", func(c *Fixture) {
		c.A.PutAction(c, "webecho", exported(echo).Annotated("require-whisk-auth", "s"))
		c.isWebError(c.webGet("webecho.json"), 401, notAdmitted)
		c.isWebError(c.webGet("webecho.json", harness.Header("X-Require-Whisk-Auth", "wrong")), 401, notAdmitted)
		c.webGet("webecho.json", harness.Header("X-Require-Whisk-Auth", "s")).Is(c, 200)
	}},
	{157, "web_credentials", func(c *Fixture) {
		c.A.PutAction(c, "webecho", exported(echo).Annotated("require-whisk-auth", true))
		c.isWebError(c.webGet("webecho.json"), 401, notAdmitted)
		require.Equal(c, c.B.Name, c.B.Get(c, c.web("webecho.json")).Is(c, 200).Field("__ow_user").String())
	}},
	{158, "web_options", func(c *Fixture) {
		c.A.PutAction(c, "webecho", exported(harness.Node(`function main() { return {headers: {"x-own": "yes"}} }`)))
		preflight := harness.Header("Access-Control-Request-Headers", "x-one, x-two")
		r := c.Anonymous.Do(c, http.MethodOptions, c.web("webecho"), nil, preflight).Is(c, 200)
		require.Equal(c, "*", r.Header.Get("Access-Control-Allow-Origin"))
		require.Equal(c, "OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH", r.Header.Get("Access-Control-Allow-Methods"))
		require.Equal(c, "x-one, x-two", r.Header.Get("Access-Control-Allow-Headers"))
		require.Empty(c, r.Body)
		require.Empty(c, r.Header.Get("x-own")+r.Header.Get("x-openwhisk-activation-id"), "the action did not run")

		c.A.Put(c, "_/actions/webecho?overwrite=true", `{"annotations":[{"key":"web-custom-options","value":true}]}`).Is(c, 200)
		r = c.Anonymous.Do(c, http.MethodOptions, c.web("webecho"), nil, preflight).Is(c, 204)
		require.Equal(c, "yes", r.Header.Get("x-own"))
		for _, name := range []string{"Origin", "Methods", "Headers"} {
			require.Empty(c, r.Header.Get("Access-Control-Allow-"+name), name)
		}
	}},
	{159, "web_extension_unknown", func(c *Fixture) {
		c.A.PutAction(c, "webecho", exported(echo))
		c.isWebError(c.webGet("webecho.xyz"), 404, "The requested resource does not exist.")
	}},
	{160, "web_body_too_large", func(c *Fixture) {
		c.A.PutAction(c, "webecho", exported(echo))
		c.isWebError(c.Anonymous.Post(c, c.web("webecho.json"), `"`+strings.Repeat("x", 1<<20)+`"`), 413,
			"Request larger than allowed: 1048578 > 1048576 bytes.")
	}},
	{161, "web_action_through_a_binding", func(c *Fixture) {
		c.A.Put(c, "_/packages/p", `{"publish":true}`).Is(c, 200)
		c.A.PutAction(c, "p/webecho", exported(echo))
		c.B.Put(c, "_/packages/b", fmt.Sprintf(`{"binding":{"namespace":%q,"name":"p"}}`, c.A.Name)).Is(c, 200)
		r := c.Anonymous.Get(c, "/api/v1/web/"+c.B.Name+"/b/webecho.json").Is(c, 200)
		record := c.B.Activation(c, r.Header.Get("x-openwhisk-activation-id"))
		require.Equal(c, c.B.Name, record.Get("namespace").String())
		require.Equal(c, c.A.Name+"/p/webecho", harness.Annotation(record.Get("annotations"), "path").String())
		c.is404(c.A.Get(c, "_/activations/"+r.Header.Get("x-openwhisk-activation-id")))
	}},
}

// slowWeb are the web cases that take a minute.
var slowWeb = []SlowCase{
	{155, "web_action_slower_than_a_minute", func(c *Fixture) func(c *Fixture) {
		c.A.PutAction(c, "slow", exported(slow).With(harness.Limits{Timeout: 300000}))
		type outcome struct {
			response *harness.Response
			err      error
		}
		answered := make(chan outcome, 1)
		begun, path, ctx := time.Now(), c.web("slow.json?ms=70000"), c.Context()
		go func() {
			r, err := c.Anonymous.Try(ctx, http.MethodGet, path, nil)
			answered <- outcome{r, err}
		}()
		return func(c *Fixture) {
			o := <-answered
			require.NoError(c, o.err)
			c.isWebError(o.response, 202, "Response not yet ready.")
			require.GreaterOrEqual(c, time.Since(begun), time.Minute)
			id := o.response.Header.Get("x-openwhisk-activation-id")
			require.Equal(c, "success", c.A.Activation(c, id).Get("response.status").String(), "the action goes on")
		}
	}},
}

const notAdmitted = "Authentication is possible but has failed or not yet been provided."

// exported returns the action with the annotation that exports it.
func exported(a harness.Action) harness.Action { return a.Annotated("web-export", true) }

// web is the path of a web action in A's default package.
func (c *Fixture) web(rest string) string { return "/api/v1/web/" + c.A.Name + "/default/" + rest }

// webGet is a stranger's request.
func (c *Fixture) webGet(rest string, options ...func(*http.Request)) *harness.Response {
	c.Helper()
	return c.Anonymous.Get(c, c.web(rest), options...)
}

// webResult is what becomes of a result with an extension. One action gives all
// results of a case.
func (c *Fixture) webResult(extension, result string) *harness.Response {
	c.Helper()
	c.A.Put(c, "_/actions/result", exported(harness.Node(`function main({__ow_body}) { return JSON.parse(__ow_body) }`))).Is(c, 200, 409)
	return c.Anonymous.Post(c, c.web("result."+extension), result, harness.Header("Content-Type", "text/plain"))
}

// indented is how errors of web actions begin (openwhisk-rest-api.md 1.4).
var indented = regexp.MustCompile(`^\{\n  "(error|code)"\s?: "`)

// isWebError checks an error of a web action.
func (c *Fixture) isWebError(r *harness.Response, status int, text string) {
	c.Helper()
	c.isError(r, status, text)
	require.Regexp(c, indented, string(r.Body))
}
