package standalone

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/test/contract"
	"github.com/gowhisk/gowhisk/test/harness"
)

// marker is in everything that A has; strangers must never see it.
const marker = "only-for-the-owner"

var (
	verbs   = []string{"GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"}
	queries = []string{"", "?overwrite=true&force=true&blocking=true&result=true", "?count=true", "?docs=true&limit=0&code=true"}
)

// tenants are two namespaces of one server: A with private things, and B, who
// knows all their names.
type tenants struct {
	*testing.T
	server    *harness.Server
	a, b      *harness.Namespace
	anonymous *harness.Client
	paths     []string // of the API description
	// existing and missing are what the parameters of paths stand for.
	existing []map[string]string
	missing  []map[string]string
}

func newTenants(t *testing.T) *tenants {
	s := harness.Start(t, harness.Options{})
	x := &tenants{
		T: t, server: s, anonymous: s.Client(""),
		a: harness.NewNamespace(t, s, "owner"), b: harness.NewNamespace(t, s, "stranger"),
	}
	description, err := contract.Parse(x.anonymous.Get(t, "/api/v1/api-docs").Is(t, 200).Body)
	require.NoError(t, err)
	t.Cleanup(harness.Inspect(func(r *harness.Response) error {
		return description.Check(contract.Answer{Method: r.Method, Path: r.Path, Status: r.Status, Header: r.Header, Body: r.Body})
	}))
	paths := map[string]bool{}
	description.Operations(func(_, path string) { paths[path] = true })
	x.paths = slices.Sorted(maps.Keys(paths))
	x.furnish()
	return x
}

// furnish gives A one of everything.
func (x *tenants) furnish() {
	secret := `[{"key":"secret","value":"` + marker + `"}]`
	act := harness.Node(`function main(args) { console.log("`+marker+`"); return {is: "`+marker+`"} }`).Annotated("note", marker)
	act.Parameters = []harness.KeyValue{{Key: "secret", Value: marker}}
	put := func(path, body string) { x.a.Put(x, "_/"+path, body).Is(x, 200) }

	x.a.PutAction(x, "act", act)
	put("packages/private", `{"parameters":`+secret+`,"annotations":`+secret+`}`)
	x.a.PutAction(x, "private/act", act)
	put("packages/bound", `{"publish":true,"binding":{"namespace":"_","name":"private"},"parameters":`+secret+`}`)
	put("triggers/trig", `{"parameters":`+secret+`,"annotations":[{"key":"webhook","value":{"verify":"bearer","token":"`+marker+`-0123456789abcdef"}}]}`)
	put("rules/rule", `{"trigger":"/_/trig","action":"/_/act","annotations":`+secret+`}`)
	activation := x.a.Invoke(x, "act", `{}`).Is(x, 200).ActivationID()
	x.a.Activation(x, activation)
	delivery := x.anonymous.Post(x, "/api/v1/webhooks/"+x.a.Name+"/trig", `{"event":"`+marker+`"}`,
		harness.Header("Authorization", "Bearer "+marker+"-0123456789abcdef")).Is(x, 202).ActivationID()
	x.a.Activation(x, delivery)
	x.a.Get(x, "_/triggers/trig/deliveries/"+delivery).Is(x, 200)
	// The rule's activation is the last thing that happens by itself.
	harness.Until(x, "the rule's activation", func() bool { return len(x.a.Activations(x, "act")) == 2 })

	there := map[string]string{
		"namespace": x.a.Name, "actionName": "act", "packageName": "private", "triggerName": "trig", "ruleName": "rule",
		"activationId": activation, "deliveryId": delivery, "anything": "act",
	}
	none := strings.Repeat("0", 32)
	x.existing = []map[string]string{there, with(there, "packageName", "bound")}
	x.missing = []map[string]string{
		{
			"namespace": x.a.Name, "actionName": "none", "packageName": "none", "triggerName": "none", "ruleName": "none",
			"activationId": none, "deliveryId": none, "anything": "none",
		},
		with(there, "actionName", "none"), with(there, "deliveryId", none),
	}
}

func with(m map[string]string, key, value string) map[string]string {
	m = maps.Clone(m)
	m[key] = value
	return m
}

func fill(path string, values map[string]string) string {
	for name, value := range values {
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	return path
}

// body would do harm if the request were let through.
func (x *tenants) body(method, path string) any {
	switch {
	case method == "GET" || method == "HEAD" || method == "DELETE" || method == "OPTIONS":
		return nil
	case method != "PUT":
		return `{"status":"inactive","x":1}`
	case strings.Contains(path, "/actions/"):
		return harness.Node(`function main() { return {by: "stranger"} }`)
	case strings.Contains(path, "/packages/"):
		return `{"publish":true}`
	case strings.Contains(path, "/rules/"):
		return `{"trigger":"/` + x.a.Name + `/trig","action":"/` + x.a.Name + `/act"}`
	}
	return `{"annotations":[]}`
}

// quoted parts of an error repeat what the request named.
var quoted = regexp.MustCompile(`'[^']*'`)

// learned is what an answer tells beside what the request itself said.
func (x *tenants) learned(r *harness.Response) string {
	x.Helper()
	require.NotContainsf(x, string(r.Body), marker, "%s %s", r.Method, r.Path)
	require.NotContainsf(x, fmt.Sprint(r.Header), marker, "%s %s", r.Method, r.Path)
	require.NotContainsf(x, string(r.Body), x.a.Key, "%s %s", r.Method, r.Path)
	return fmt.Sprintf("%d %s %s", r.Status, quoted.ReplaceAllString(r.Field("error").String(), "'…'"), r.Header.Get("Allow"))
}

// state is all that A has, by path.
func (x *tenants) state() map[string]string {
	state := map[string]string{}
	for _, path := range []string{
		"actions", "packages", "triggers", "rules", "activations?docs=true", "limits", "actions/act", "packages/private", "actions/private/act",
		"packages/bound", "triggers/trig", "rules/rule",
	} {
		state[path] = string(x.a.Get(x, "_/"+path).Is(x, 200).Body)
	}
	return state
}

// TestStrangersLearnNothing walks every path of the API description with every
// verb, and checks that what A has cannot be told from what does not exist
// (openwhisk-rest-api.md section 3), is not shown and not changed.
func TestStrangersLearnNothing(t *testing.T) {
	x := newTenants(t)
	before := x.state()
	for _, who := range []struct {
		name    string
		client  *harness.Client
		allowed []int
	}{
		{"another_tenant", x.b.Client, []int{403, 404, 405}},
		{"somebody_without_credentials", x.anonymous, []int{401}},
		{"somebody_with_a_wrong_key", x.server.Client(x.a.Key[:len(x.a.Key)-1] + "?"), []int{401}},
	} {
		t.Run(who.name, func(t *testing.T) {
			x := *x
			x.T = t
			x.walk(who.client, who.allowed)
		})
	}
	require.Equal(t, before, x.state())
}

// walk sends everything that names something of A's.
func (x *tenants) walk(client *harness.Client, allowed []int) {
	walked := 0
	for _, path := range x.paths {
		if !strings.Contains(path, "{namespace}") {
			continue // it names nothing of anybody's
		}
		if strings.Contains(path, "/api/v1/web/") || strings.Contains(path, "/api/v1/webhooks/") {
			continue // for everybody; see below
		}
		for _, verb := range verbs {
			for _, query := range queries {
				want := ""
				for _, names := range slices.Concat(x.missing, x.existing) {
					url := fill(path, names) + query
					r := client.Do(x, verb, url, x.body(verb, path))
					walked++
					got := x.learned(r)
					switch {
					case verb == "OPTIONS":
						r.Is(x, http.StatusOK)
					case verb == "GET" && strings.HasSuffix(path, "/packages") && !slices.Contains(allowed, 401):
						r.Is(x, http.StatusOK) // of public ones, and A has none
						require.Containsf(x, []string{`[]`, `{"packages":0}`}, string(r.Body), url)
					default:
						r.Is(x, allowed...)
					}
					if want == "" {
						want = got
					}
					require.Equalf(x, want, got, "%s %s tells what exists", verb, url)
				}
			}
		}
	}
	require.Greater(x, walked, 1000)
}

// TestWebAddressesTellNothingOfWhatIsNotExported: web actions and webhooks are for
// everybody, if their owner says so.
func TestWebAddressesTellNothingOfWhatIsNotExported(t *testing.T) {
	x := newTenants(t)
	before := x.state()
	for _, client := range []*harness.Client{x.anonymous, x.b.Client} {
		for _, verb := range verbs {
			for _, action := range []string{"default/act", "default/none", "private/act", "private/none", "bound/act", "none/act"} {
				for _, extension := range []string{"", ".json", ".http/rest"} {
					r := client.Do(t, verb, "/api/v1/web/"+x.a.Name+"/"+action+extension, x.body(verb, action)).Is(t, 404)
					if verb != "HEAD" {
						require.Equal(t, "404 The requested resource does not exist. ", x.learned(r))
					}
				}
			}
		}
		// A webhook says that it is there, a trigger without one does not.
		x.a.Put(t, "_/triggers/plain?overwrite=true", `{}`).Is(t, 200)
		hook := "/api/v1/webhooks/" + x.a.Name + "/"
		require.Equal(t, "401 The delivery could not be verified. ", x.learned(client.Post(t, hook+"trig", `{}`)))
		for _, name := range []string{"plain", "none", "act", "private"} {
			require.Equal(t, "404 The requested resource does not exist. ", x.learned(client.Post(t, hook+name, `{}`)))
		}
		x.a.Delete(t, "_/triggers/plain").Is(t, 200)
	}
	require.Equal(t, before, x.state())
}

// TestStrangersCannotReachThroughTheirOwn: what B has may not refer to what A has,
// and A's ids mean nothing in B's namespace.
func TestStrangersCannotReachThroughTheirOwn(t *testing.T) {
	x := newTenants(t)
	before := x.state()
	x.b.PutAction(t, "mine", harness.Node(`function main() { return {} }`))
	x.b.Put(t, "_/triggers/trig", `{"annotations":[{"key":"webhook","value":{"verify":"none"}}]}`).Is(t, 200)
	reference := func(path, body string) func(name string) string {
		return func(name string) string {
			return x.learned(x.b.Put(t, "_/"+path, strings.ReplaceAll(body, "NAME", "/"+x.a.Name+"/"+name)).Is(t, 403))
		}
	}
	for path, body := range map[string]string{
		"actions/seq": `{"exec":{"kind":"sequence","components":["NAME"]}}`,
		"rules/rule":  `{"trigger":"/_/trig","action":"NAME"}`,
	} {
		try := reference(path, body)
		for _, name := range []string{"act", "private/act", "bound/act", "private/none"} {
			require.Equal(t, try("none"), try(name), "%s of %s", path, name)
		}
	}
	trigger := reference("rules/rule", `{"trigger":"NAME","action":"/_/mine"}`)
	require.Equal(t, trigger("none"), trigger("trig"))
	bind := func(name string) string {
		return x.learned(x.b.Put(t, "_/packages/p", `{"binding":{"namespace":"`+x.a.Name+`","name":"`+name+`"}}`).Is(t, 403))
	}
	for _, name := range []string{"private", "bound", "act"} {
		require.Equal(t, bind("none"), bind(name), name)
	}

	there, none := x.existing[0], x.missing[0]
	for _, path := range []string{"activations/{activationId}", "activations/{activationId}/logs", "activations/{activationId}/result", "triggers/trig/deliveries/{deliveryId}"} {
		require.Equal(t, x.learned(x.b.Get(t, "_/"+fill(path, none)).Is(t, 404)), x.learned(x.b.Get(t, "_/"+fill(path, there)).Is(t, 404)), path)
	}
	x.b.Post(t, "_/"+fill("triggers/trig/deliveries/{deliveryId}", there), nil).Is(t, 404)
	require.Equal(t, before, x.state())
}

// TestPublicPackagesAreToBeReadOnly: others read and invoke them, and change
// nothing.
func TestPublicPackagesAreToBeReadOnly(t *testing.T) {
	x := newTenants(t)
	x.a.Put(t, "_/packages/public", `{"publish":true}`).Is(t, 200)
	x.a.PutAction(t, "public/act", harness.Node(`function main(args) { return {secret: args.secret ?? "none"} }`))
	before := x.state()
	ns := x.a.Name
	require.Equal(t, "public", x.b.Get(t, ns+"/packages").Is(t, 200).Field("0.name").String())
	require.Len(t, x.b.Get(t, ns+"/packages").JSON().Array(), 1)
	for _, path := range []string{"/packages/public", "/actions/public/", "/actions/public/act"} {
		x.learned(x.b.Get(t, ns+path).Is(t, 200))
		x.learned(x.anonymous.Get(t, ns+path).Is(t, 401))
	}
	r := x.b.Post(t, ns+"/actions/public/act?blocking=true", `{}`).Is(t, 200)
	x.learned(r)
	require.Equal(t, x.b.Name, r.Field("namespace").String(), "the activation is the caller's")

	for _, path := range []string{"/packages/public", "/actions/public/act", "/actions/public/new"} {
		for _, verb := range []string{"PUT", "DELETE"} {
			r := x.b.Do(t, verb, ns+path+"?overwrite=true&force=true", x.body(verb, path))
			require.Equal(t, "403 The supplied authentication is not authorized to access '…'. ", x.learned(r))
		}
	}
	require.Equal(t, before, x.state())
}
