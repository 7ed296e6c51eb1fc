package service_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/controller/service"
)

// credentials writes a file of the operator's.
func credentials(t *testing.T, content string) string {
	path := filepath.Join(t.TempDir(), "credentials")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// internal returns a client of the internal routes.
func (w *world) internal() *client {
	c := w.a.anonymous()
	c.base = listen(w.t, w.service.Internal())
	return c
}

// as sends credentials that are not a namespace's.
func (c *client) as(user, password string) *client {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return c.with("Authorization", r.Header.Get("Authorization"))
}

var internalPaths = []string{"/invokers", "/invokers/healthy/count", "/invokers/ready", "/activation", "/activation/", "/activation/count"}

// The internal endpoints of openwhisk-rest-api.md section 1.2.
func TestInternalEndpoints(t *testing.T) {
	w := newWorld(t)
	inside := w.internal()
	inside.get("/invokers").is(200).json(`{"invoker0/0":"up"}`)
	inside.get("/invokers/healthy/count").is(200).json(`1`)
	inside.get("/invokers/ready").is(200).json(`{"healthy":"1/1"}`)
	inside.get("/activation").is(200).json(`[]`)
	inside.get("/activation/count").is(200).json(`0`)

	w.a.action("slow")
	release := w.worker.hold("slow")
	defer release()
	id := w.a.post("_/actions/slow", "").is(202).object()["activationId"].(string)
	inside.get("/activation").is(200).json(`["` + id + `"]`)
	inside.get("/activation/count").is(200).json(`1`)
	release()
	eventually(t, "the end of the activation", func() bool { return inside.get("/activation/count").body == "0" })

	inside.get("/api/v1/namespaces/_/actions").is(401)
	require.Equal(t, "pong", inside.get("/ping").is(200).body)
	inside.post("/invokers", "").is(405)
}

func TestInternalEndpointsAreNotPublic(t *testing.T) {
	w := newWorld(t, func(c *service.Config) { c.AdminCredentials = credentials(t, "operator:secret") })
	for _, c := range []*client{w.a, w.a.anonymous()} {
		for _, path := range internalPaths {
			c.get(path).fails(404, "The requested resource could not be found.")
		}
	}
	w.a.as("operator", "secret").post("/disable", "").fails(404, "The requested resource could not be found.")
	w.a.get("/api/v1/namespaces").is(200)
}

func TestDisable(t *testing.T) {
	w := newWorld(t, func(c *service.Config) { c.AdminCredentials = credentials(t, "operator:pass:word\n") })
	w.a.action("echo", `"annotations":[{"key":"web-export","value":true}]`)
	w.a.action("slow")
	w.a.put("_/triggers/t", "{}").is(200)
	inside := w.internal()
	const wrong = "username or password are wrong."
	inside.post("/disable", "").fails(401, wrong)
	for _, c := range [][2]string{{"operator", "pass"}, {"operator", ""}, {"", ""}, {"", "pass:word"}, {"other", "pass:word"}, {"operator", "pass:word\n"}} {
		inside.as(c[0], c[1]).post("/disable", "").fails(401, wrong)
	}
	inside.as("operator", "pass:word").get("/disable").is(405)
	w.a.post("_/actions/echo", "").is(202)

	release := w.worker.hold("slow")
	defer release()
	id := w.a.post("_/actions/slow", "").is(202).object()["activationId"].(string)
	r := inside.as("operator", "pass:word").post("/disable", "").is(200)
	require.Equal(t, "controller is disabled", r.body)
	inside.as("operator", "pass:word").post("/disable", "").is(200)

	const unavailable = "The server is currently unavailable (because it is overloaded or down for maintenance)."
	w.a.post("_/actions/echo", "").fails(503, unavailable)
	w.a.post("_/triggers/t", "").fails(503, unavailable)
	w.a.get("/api/v1/web/ns/default/echo").fails(503, unavailable)
	// What was accepted goes on, and everything else is as before.
	release()
	eventually(t, "the record", func() bool { return w.a.get("_/activations/"+id).status == 200 })
	w.a.put("_/actions/echo?overwrite=true", "{}").is(200)
	w.a.get("_/triggers/t").is(200)
	w.a.do("OPTIONS", "_/actions/echo", "").is(200)
}

func TestDisableNeedsCredentials(t *testing.T) {
	w := newWorld(t)
	for _, c := range []*client{w.internal(), w.internal().as("", ""), w.internal().as("operator", "secret")} {
		c.post("/disable", "").fails(401, "username or password are wrong.")
	}
	for content, text := range map[string]string{"": "user:password", "operator": "user:password", ":secret": "user:password", "operator:\n": "user:password"} {
		d, _, _ := deps(t)
		cfg := service.Default()
		cfg.AdminCredentials = credentials(t, content)
		_, err := service.New(cfg, d)
		require.ErrorContains(t, err, text)
	}
	d, _, _ := deps(t)
	cfg := service.Default()
	cfg.AdminCredentials = filepath.Join(t.TempDir(), "none")
	_, err := service.New(cfg, d)
	require.ErrorContains(t, err, "admin-credentials")
}
