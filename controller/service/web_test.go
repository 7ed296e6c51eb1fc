package service_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/controller/service"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

const (
	webPath = "/api/v1/web/ns/default/"
	missing = "The requested resource does not exist."
	noRoute = "The requested resource could not be found."
)

// exported creates an action whose annotations export it, and others.
func (w *world) exported(path string, annotations ...string) {
	w.t.Helper()
	all := append([]string{`{"key":"web-export","value":true}`}, annotations...)
	w.a.action(path, `"annotations":[`+strings.Join(all, ",")+`]`)
}

// returns makes an exported action of this name return a result.
func (w *world) returns(name, result string, annotations ...string) {
	w.t.Helper()
	w.exported(name, annotations...)
	w.worker.set(entity.Name(name), answer(entity.Response{Result: json.RawMessage(result)}))
}

// failing makes an exported action of this name fail with an application error.
func (w *world) failing(name, value string) {
	w.t.Helper()
	w.exported(name)
	w.worker.set(entity.Name(name), answer(entity.Response{StatusCode: entity.StatusApplicationError, Result: json.RawMessage(`{"error":` + value + `}`)}))
}

// pretty checks that an error is one of web actions: indented.
func (r reply) pretty() reply {
	r.t.Helper()
	require.True(r.t, strings.HasPrefix(r.body, "{\n  \"error\": "), r.body)
	return r
}

// Cases 139 to 144 and 159 to 161 of openwhisk-rest-api.md section 28.8.
func TestWebRequests(t *testing.T) {
	w := newWorld(t)
	stranger := w.a.anonymous()
	w.exported("webecho")
	w.exported("raw", `{"key":"raw-http","value":true}`)

	t.Run("case_139_not_exported", func(t *testing.T) {
		w.a.action("notexported")
		w.a.action("truthy", `"annotations":[{"key":"web-export","value":"true"}]`)
		w.a.put("_/packages/pkg", `{"annotations":[{"key":"web-export","value":true}]}`).is(200)
		w.a.action("pkg/inner")
		for _, name := range []string{"notexported.json", "truthy", "none", "none.json", "pkg"} {
			stranger.get(webPath+name).pretty().fails(404, missing)
		}
		stranger.get("/api/v1/web/ns/pkg/inner").fails(404, missing)
		stranger.get("/api/v1/web/ns/nopkg/webecho").fails(404, missing)
		stranger.get("/api/v1/web/nobody/default/webecho").fails(404, missing)
		w.a.get("/api/v1/web/_/default/webecho").fails(404, missing)
	})
	t.Run("case_140_echo", func(t *testing.T) {
		r := stranger.with("X-Own-Header", "Value").get(webPath + "webecho.json?a=b&a=c").is(200)
		require.True(t, strings.HasPrefix(r.body, "{\n  \"__ow_method\": \"get\""), r.body)
		require.Regexp(t, "^[0-9a-f]{32}$", r.header.Get("x-openwhisk-activation-id"))
		o := r.object()
		require.Equal(t, "c", o["a"])
		require.Equal(t, "get", o["__ow_method"])
		require.Equal(t, "", o["__ow_path"])
		require.Equal(t, "Value", o["__ow_headers"].(map[string]any)["x-own-header"])
		require.NotContains(t, o, "__ow_user")
		require.NotContains(t, o, "__ow_body")
		record := w.a.get("_/activations/" + r.header.Get("x-openwhisk-activation-id"))
		eventually(t, "the record", func() bool {
			record = w.a.get("_/activations/" + r.header.Get("x-openwhisk-activation-id"))
			return record.status == 200
		})
		require.Equal(t, "ns", record.object()["namespace"])
		require.Equal(t, "alice", record.object()["subject"])
	})
	t.Run("case_141_bodies", func(t *testing.T) {
		require.Equal(t, "1", stranger.post(webPath+"webecho.json", `{"a":"1"}`).is(200).object()["a"])
		form := stranger.with("Content-Type", "application/x-www-form-urlencoded")
		require.Equal(t, "1 2", form.post(webPath+"webecho.json", "a=1+2").is(200).object()["a"])
		require.Equal(t, []any{1.0}, stranger.post(webPath+"webecho.json", "[1]").is(200).object()["__ow_body"])
		require.Equal(t, "text", stranger.with("Content-Type", "text/plain").put(webPath+"webecho.json", "text").is(200).object()["__ow_body"])
		require.Equal(t, "iVBORw==", stranger.with("Content-Type", "image/png").do("PATCH", webPath+"webecho.json", "\x89PNG").is(200).object()["__ow_body"])
		stranger.post(webPath+"webecho.json", `{"a":`).pretty().failsWith(400, "The request content was malformed:\n")
	})
	t.Run("case_142_the_rest_of_the_path", func(t *testing.T) {
		for path, want := range map[string]string{
			"webecho.json/x/y": "/x/y", "webecho.json/": "/", "webecho.json//": "//", "webecho.json/a%2Fb/%20c": "/a%2Fb/%20c",
			"webecho%2Ejson/x.html": "/x.html",
		} {
			require.Equal(t, want, stranger.get(webPath + path).is(200).object()["__ow_path"], path)
		}
	})
	t.Run("case_143_protected_parameters", func(t *testing.T) {
		const text = "Request defines parameters that are not allowed (e.g., reserved properties)."
		w.a.action("final", `"parameters":[{"key":"a","value":1}],"annotations":[{"key":"web-export","value":true},{"key":"final","value":true}]`)
		stranger.get(webPath+"webecho.json?__ow_method=x").pretty().fails(400, text)
		stranger.post(webPath+"webecho.json", `{"__ow_user":"x"}`).fails(400, text)
		stranger.get(webPath+"final.json?a=2").fails(400, text)
		stranger.post(webPath+"final.json", `{"a":2}`).fails(400, text)
		require.Equal(t, 1.0, stranger.get(webPath + "final.json?b=2").is(200).object()["a"])
	})
	t.Run("case_144_raw", func(t *testing.T) {
		o := stranger.post(webPath+"raw.json?a=b&__ow_method=x", `{"c":1}`).is(200).object()
		require.Equal(t, "a=b&__ow_method=x", o["__ow_query"])
		require.Equal(t, "eyJjIjoxfQ==", o["__ow_body"])
		require.Equal(t, "post", o["__ow_method"])
		require.NotContains(t, o, "a")
		require.NotContains(t, o, "c")
		require.Equal(t, "", stranger.get(webPath + "raw.json").is(200).object()["__ow_body"])
	})
	t.Run("case_159_unknown_extension", func(t *testing.T) {
		stranger.get(webPath+"webecho.xyz").fails(404, missing)
		w.exported("page.xyz")
		stranger.get(webPath + "page.xyz.json").is(200)
	})
	t.Run("case_160_too_large", func(t *testing.T) {
		stranger.post(webPath+"webecho.json", `"`+strings.Repeat("x", 1<<20)+`"`).pretty().
			fails(413, "Request larger than allowed: 1048578 > 1048576 bytes.")
		w.limit("ns", `{"maxPayloadSize":"1 K"}`)
		defer w.limit("ns", `{}`)
		stranger.do("OPTIONS", webPath+"webecho.json", strings.Repeat("x", 1025)).fails(413, "Request larger than allowed: 1025 > 1024 bytes.")
	})
	t.Run("case_161_through_a_binding", func(t *testing.T) {
		w.a.put("_/packages/public", `{"publish":true,"parameters":[{"key":"p","value":"package"}]}`).is(200)
		w.exported("public/webecho2")
		w.b.put("_/packages/bound", `{"binding":{"namespace":"ns","name":"public"},"parameters":[{"key":"q","value":"binding"}]}`).is(200)
		r := stranger.get("/api/v1/web/other/bound/webecho2.json").is(200)
		require.Equal(t, "package", r.object()["p"])
		require.Equal(t, "binding", r.object()["q"])
		id := r.header.Get("x-openwhisk-activation-id")
		eventually(t, "the record", func() bool { return w.b.get("_/activations/"+id).status == 200 })
		w.a.get("_/activations/" + id).is(404)

		w.a.put("_/packages/public?overwrite=true", `{"publish":false}`).is(200)
		stranger.get("/api/v1/web/ns/public/webecho2.json").is(200)
		stranger.get("/api/v1/web/other/bound/webecho2.json").pretty().fails(403, "The supplied authentication is not authorized to access 'other/bound'.")
	})
	t.Run("a_sequence", func(t *testing.T) {
		w.a.put("_/actions/webseq", sequence(of("/_/webecho", "/_/webecho"), `"annotations":[{"key":"web-export","value":true}]`)).is(200)
		r := stranger.get(webPath + "webseq.json/x?a=b").is(200)
		require.Equal(t, "b", r.object()["a"])
		require.Equal(t, "/x", r.object()["__ow_path"])
		require.NotEmpty(t, r.header.Get("x-openwhisk-activation-id"))
	})
	t.Run("paths_that_are_no_web_actions", func(t *testing.T) {
		for _, path := range []string{"/api/v1/web/ns/default", "/api/v1/web/ns/default/", "/api/v1/web/", "/api/v1/web", "/api/v1/web//default/webecho", "/api/v1/web/ns//webecho"} {
			stranger.get(path).fails(404, noRoute)
			require.Equal(t, "OK", stranger.do("OPTIONS", path, "").is(200).body, path)
		}
		for _, name := range []string{"%20", "a%2Fb", "%00", "%FF", strings.Repeat("x", 300), ".json"} {
			stranger.get(webPath+name).fails(404, missing)
		}
		stranger.do("TRACE", webPath+"webecho", "").is(405)
	})
}

// Cases 145 to 155 of openwhisk-rest-api.md section 28.8.
func TestWebAnswers(t *testing.T) {
	w := newWorld(t)
	stranger := w.a.anonymous()

	t.Run("case_145_redirect", func(t *testing.T) {
		w.returns("redirect", `{"statusCode":302,"headers":{"location":"http://127.0.0.1:1/"}}`)
		r := stranger.noRedirects(t, webPath+"redirect")
		require.Equal(t, 302, r.status)
		require.Equal(t, "http://127.0.0.1:1/", r.header.Get("Location"))
		require.Empty(t, r.header.Values("Content-Type"))
		require.Empty(t, r.body)
	})
	t.Run("case_146_defaults", func(t *testing.T) {
		w.returns("empty", `{}`)
		w.returns("text", `{"body":"x"}`)
		w.returns("object", `{"body":{"a":1}}`)
		require.Empty(t, stranger.get(webPath+"empty").is(204).header.Values("Content-Type"))
		r := stranger.get(webPath + "text.http").is(200)
		require.Equal(t, "text/html; charset=UTF-8", r.header.Get("Content-Type"))
		require.Equal(t, "x", r.body)
		require.Equal(t, "{\n  \"a\": 1\n}", stranger.get(webPath+"object").is(200).body)
	})
	t.Run("case_147_repeated_headers", func(t *testing.T) {
		w.returns("cookies", `{"headers":{"Set-Cookie":["a=b","c=d"],"Access-Control-Allow-Origin":"https://example.org"}}`)
		r := stranger.get(webPath + "cookies").is(204)
		require.Equal(t, []string{"a=b", "c=d"}, r.header.Values("Set-Cookie"))
		require.Equal(t, []string{"https://example.org"}, r.header.Values("Access-Control-Allow-Origin"))
	})
	t.Run("case_148_status_codes", func(t *testing.T) {
		for code, want := range map[string]int{`"201"`: 201, `444`: 444, `"xyz"`: 400, `304`: 304, `204`: 204, `101`: 400} {
			w.returns("status", `{"statusCode":`+code+`,"body":"x"}`)
			r := stranger.get(webPath + "status").is(want)
			if want == 400 {
				r.pretty().fails(400, "Response is not valid 'message/http'.")
			}
			w.a.delete("_/actions/status").is(200)
		}
	})
	t.Run("case_149_binary", func(t *testing.T) {
		w.returns("png", `{"headers":{"Content-Type":"image/png","Content-Length":"3","Transfer-Encoding":"chunked"},"body":"iVBORw=="}`)
		r := stranger.get(webPath + "png").is(200)
		require.Equal(t, "image/png", r.header.Get("Content-Type"))
		require.Equal(t, "\x89PNG", r.body)
		big := strings.Repeat("iVBO", 250_000)
		w.returns("big", `{"headers":{"Content-Type":"image/png"},"body":"`+big+`"}`)
		require.Equal(t, strings.Repeat("\x89PN", 250_000), stranger.get(webPath+"big").is(200).body)
	})
	t.Run("case_150_151_content_types_that_do_not_fit", func(t *testing.T) {
		w.returns("unknown", `{"headers":{"content-type":"xyzbar"},"body":"x"}`)
		w.returns("mismatch", `{"headers":{"content-type":"text/html"},"body":{"a":1}}`)
		r := stranger.get(webPath + "unknown").pretty()
		r.fails(400, "Response did not specify a known content-type.")
		require.NotEmpty(t, r.header.Get("x-openwhisk-activation-id"))
		stranger.get(webPath+"mismatch").fails(400, "Response type in header did not match generated content type.")
	})
	t.Run("case_152_extensions", func(t *testing.T) {
		w.returns("none", `{"a":1}`)
		w.failing("scalar", `"boom"`)
		stranger.get(webPath+"none.html").fails(400, "Response is not valid 'text/html'.")
		stranger.get(webPath+"none.text").fails(404, "Response does not include requested property.")
		stranger.get(webPath+"scalar.json").fails(400, "Response is not valid 'application/json'.")
		require.Equal(t, "boom", stranger.get(webPath+"scalar.text").is(200).body)
		w.exported("arr")
		require.Equal(t, "[\n  1,\n  2\n]", stranger.get(webPath+"arr.json").is(200).body)
	})
	t.Run("case_153_application_error", func(t *testing.T) {
		w.failing("teapot", `{"statusCode":418,"body":"t"}`)
		require.Equal(t, "t", stranger.get(webPath+"teapot").is(418).body)
	})
	t.Run("case_154_developer_error", func(t *testing.T) {
		w.exported("crash")
		w.exported("whisk")
		for _, name := range []string{"crash", "whisk.json"} {
			r := stranger.get(webPath + name).pretty()
			r.fails(400, "There was an error processing your request.")
			require.NotEmpty(t, r.header.Get("x-openwhisk-activation-id"))
		}
	})
	t.Run("accept", func(t *testing.T) {
		w.returns("page", `{"body":"x"}`)
		stranger.with("Accept", "application/json").get(webPath+"page").pretty().
			fails(406, "Resource representation is only available with these types:\ntext/html; charset=UTF-8")
		stranger.with("Accept", "text/*;q=0.1").get(webPath + "page").is(200)
		w.returns("nothing", `{}`)
		stranger.with("Accept", "application/json").get(webPath + "nothing").is(204)
	})
	t.Run("head", func(t *testing.T) {
		w.returns("head", `{"headers":{"x":"y"},"body":"12345"}`)
		r := stranger.do("HEAD", webPath+"head", "").is(200)
		require.Empty(t, r.body)
		require.Equal(t, "y", r.header.Get("X"))
		require.Equal(t, "5", r.header.Get("Content-Length"))
	})
	t.Run("response_splitting", func(t *testing.T) {
		w.returns("split", `{"headers":{"x":"a\r\nSet-Cookie: b"},"body":"x"}`)
		r := stranger.get(webPath + "split")
		r.fails(400, "Response is not valid 'message/http'.")
		require.Empty(t, r.header.Values("Set-Cookie"))
	})
	t.Run("worked_example_29_7", func(t *testing.T) {
		w.returns("example", `{"statusCode": 201, "headers": {"content-type": "text/plain", "x-n": 1}, "body": "ok"}`)
		r := stranger.get(webPath + "example").is(201)
		require.Equal(t, "text/plain; charset=UTF-8", r.header.Get("Content-Type"))
		require.Equal(t, "1", r.header.Get("x-n"))
		require.Equal(t, "*", r.header.Get("Access-Control-Allow-Origin"))
		require.Equal(t, "ok", r.body)
		stranger.get(webPath + "example.json").is(200).json(`{"statusCode": 201, "headers": {"content-type": "text/plain", "x-n": 1}, "body": "ok"}`)
	})
}

// noRedirects sends a GET and returns a redirection as it is.
func (c *client) noRedirects(t *testing.T, path string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", c.base+path, nil)
	require.NoError(t, err)
	answer, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return reply{t: t, status: answer.StatusCode, header: answer.Header}
}

// The clock of the wait is the real one; a configured wait spares us the minute.
func TestWebWait(t *testing.T) {
	w := newWorld(t, func(c *service.Config) { c.Times.Wait = time.Millisecond })
	t.Run("case_155_slower_than_the_wait", func(t *testing.T) {
		w.exported("slow")
		release := w.worker.hold("slow")
		defer release()
		r := w.a.anonymous().get(webPath + "slow.json").pretty()
		r.fails(202, "Response not yet ready.")
		id := r.header.Get("x-openwhisk-activation-id")
		require.NotEmpty(t, id)
		release()
		eventually(t, "the record", func() bool { return w.a.get("_/activations/"+id).status == 200 })
	})
}

// Cases 156 to 158 of openwhisk-rest-api.md section 28.8, and section 19.
func TestWebAccess(t *testing.T) {
	w := newWorld(t)
	stranger := w.a.anonymous()
	const denied = "Authentication is possible but has failed or not yet been provided."
	runs := func(f func()) int {
		before := len(w.worker.messages())
		f()
		return len(w.worker.messages()) - before
	}

	t.Run("case_156_secret", func(t *testing.T) {
		w.exported("secret", `{"key":"require-whisk-auth","value":"s"}`)
		stranger.get(webPath+"secret.json").pretty().fails(401, denied)
		w.a.get(webPath+"secret.json").fails(401, denied)
		stranger.with("X-Require-Whisk-Auth", "S").get(webPath+"secret.json").fails(401, denied)
		stranger.with("X-Require-Whisk-Auth", "s").get(webPath + "secret.json").is(200)
	})
	t.Run("case_157_credentials", func(t *testing.T) {
		w.exported("members", `{"key":"require-whisk-auth","value":true}`)
		stranger.get(webPath+"members.json").fails(401, denied)
		stranger.with("Authorization", "Basic eDp5").get(webPath+"members.json").fails(401, denied)
		require.Equal(t, "other", w.b.get(webPath + "members.json").is(200).object()["__ow_user"])
		w.exported("open")
		require.Equal(t, "other", w.b.get(webPath + "open.json").is(200).object()["__ow_user"])
		require.NotContains(t, stranger.with("Authorization", "Basic eDp5").get(webPath+"open.json").is(200).object(), "__ow_user")
	})
	t.Run("case_158_options", func(t *testing.T) {
		require.Zero(t, runs(func() {
			r := stranger.with("Access-Control-Request-Headers", "x-own").do("OPTIONS", webPath+"members.json", "").is(200)
			require.Equal(t, "*", r.header.Get("Access-Control-Allow-Origin"))
			require.Equal(t, "OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH", r.header.Get("Access-Control-Allow-Methods"))
			require.Equal(t, "x-own", r.header.Get("Access-Control-Allow-Headers"))
			require.Empty(t, r.body)
			r = stranger.do("OPTIONS", webPath+"members.json", "").is(200)
			require.Equal(t, "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent", r.header.Get("Access-Control-Allow-Headers"))
			stranger.do("OPTIONS", webPath+"nothing.json", "").is(404)
		}))
		w.returns("custom", `{"headers":{"x":"y"}}`, `{"key":"web-custom-options","value":true}`, `{"key":"require-whisk-auth","value":true}`)
		require.Equal(t, 1, runs(func() {
			r := stranger.do("OPTIONS", webPath+"custom", "").is(204)
			require.Equal(t, "y", r.header.Get("X"))
			require.Empty(t, r.header.Values("Access-Control-Allow-Origin"))
			require.Empty(t, r.header.Values("Access-Control-Allow-Methods"))
			stranger.get(webPath+"custom").fails(401, denied)
		}))
		require.Empty(t, stranger.get(webPath+"nothing").is(404).header.Values("Access-Control-Allow-Origin"))
		require.Equal(t, "*", stranger.get(webPath+"members").is(401).header.Get("Access-Control-Allow-Origin"))
	})
	t.Run("the_owner_is_throttled", func(t *testing.T) {
		w.clock.Advance(time.Minute)
		w.limit("ns", `{"invocationsPerMinute":2}`)
		w.b.get(webPath + "nothing.json").is(404) // nothing of the owner's, so nothing to count
		w.b.get(webPath + "open.json").is(200)
		w.b.do("OPTIONS", webPath+"open.json", "").is(200)
		w.b.get(webPath+"open.json").pretty().fails(429, "Too many requests in the last minute (count: 3, allowed: 2).")
		w.a.post("_/actions/open", "").fails(429, "Too many requests in the last minute (count: 4, allowed: 2).")
		w.limit("ns", `{}`)
	})
	t.Run("a_blocked_owner", func(t *testing.T) {
		w.a.subject.Blocked = true
		require.NoError(t, w.db.Subjects().PutSubject(t.Context(), w.a.subject))
		stranger.get(webPath+"open.json").fails(404, missing)
		w.a.subject.Blocked = false
		require.NoError(t, w.db.Subjects().PutSubject(t.Context(), w.a.subject))
		stranger.get(webPath + "open.json").is(200)
	})
	t.Run("metrics_name_the_route", func(t *testing.T) {
		families, err := w.registry.Gather()
		require.NoError(t, err)
		for _, family := range families {
			for _, m := range family.GetMetric() {
				for _, l := range m.GetLabel() {
					require.NotContains(t, l.GetValue(), "open", family.GetName())
				}
			}
		}
	})
}

// The message of a web action says who it is for.
func TestWebMessage(t *testing.T) {
	w := newWorld(t)
	w.exported("echo")
	w.b.get(webPath + "echo.json").is(200)
	messages := w.worker.messages()
	m := messages[len(messages)-1]
	require.Equal(t, "ns", m.User.Namespace)
	require.Equal(t, "alice", m.User.Subject)
	require.True(t, m.Blocking)
}
