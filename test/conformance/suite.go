// Package conformance holds the numbered cases of the OpenWhisk REST contract
// (openwhisk-rest-api.md section 28) and runs them against any platform that
// the harness can reach: one process or a cluster.
//
// A case is named after its number and reads like its row in the contract. It
// begins with two namespaces, A and B, that hold no entities, and may leave
// behind what it likes. To add a case, add it to the table of its section.
package conformance

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/gowhisk/gowhisk/test/contract"
	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
)

// Case is one row of the contract's tables.
type Case struct {
	Number int
	Name   string
	Check  func(c *Fixture)
}

// SlowCase is a row for which the platform takes its time. Begin is called before
// the first case, with namespaces of its own, and returns the check.
type SlowCase struct {
	Number int
	Name   string
	Begin  func(c *Fixture) (check func(c *Fixture))
}

// Tables has the cases by section of the contract.
var Tables = []struct {
	Section string
	Cases   []Case
}{
	{"28.1 surface and authentication", surface},
	{"28.2 names, lists, generic errors", lists},
	{"28.3 actions", actions},
	{"28.4 invocation and activations", invocation},
	{"28.5 sequences and conductors", sequences},
	{"28.6 packages", packages},
	{"28.7 triggers and rules", triggers},
	{"28.8 web actions", web},
	{"28.9 throttling and admin", throttling},
}

// Fixture is what a case works with.
type Fixture struct {
	*testing.T
	// A and B own one namespace each and have entities in neither.
	A, B *harness.Namespace
	// Anonymous sends no credentials.
	Anonymous *harness.Client
	// Target is the platform under test.
	Target harness.Target
}

// Run runs all cases against the platform. It must have been started with
// throttles that the suite does not reach, and with the default limits of actions.
// Every answer, whatever the case makes of it, is checked against the platform's
// own API description.
func Run(t *testing.T, target harness.Target) {
	t.Cleanup(harness.Inspect(describedBy(t, target)))
	fixture := func(t *testing.T) *Fixture {
		return &Fixture{
			T: t, A: harness.NewNamespace(t, target, "confa"), B: harness.NewNamespace(t, target, "confb"),
			Target: target, Anonymous: harness.NewClient(target.URL(), ""),
		}
	}
	var cases []Case
	for _, table := range Tables {
		cases = append(cases, table.Cases...)
	}
	for _, each := range slowWeb {
		own := fixture(t)
		check := each.Begin(own)
		cases = append(cases, Case{each.Number, each.Name, func(c *Fixture) { c.A, c.B = own.A, own.B; check(c) }})
	}
	numbers := map[int]bool{}
	for _, each := range cases {
		require.Falsef(t, numbers[each.Number], "case %d is there twice", each.Number)
		numbers[each.Number] = true
	}
	require.Len(t, numbers, 168, "the contract has 168 cases")
	common := fixture(t)
	for _, each := range cases {
		t.Run(fmt.Sprintf("case_%03d_%s", each.Number, each.Name), func(t *testing.T) {
			empty(t, common.A)
			empty(t, common.B)
			c := *common
			c.T = t
			each.Check(&c)
		})
	}
}

// empty deletes the entities of a namespace.
func empty(t testing.TB, n *harness.Namespace) {
	t.Helper()
	for _, collection := range []string{"rules", "triggers", "actions", "packages"} {
		for {
			page := n.Get(t, "_/"+collection+"?limit=200").Is(t, http.StatusOK).JSON().Array()
			if len(page) == 0 {
				break
			}
			for _, entity := range page {
				path := harness.Segment(entity.Get("name").String())
				if pkg, ok := cutNamespace(entity.Get("namespace").String()); ok {
					path = harness.Segment(pkg) + "/" + path
				}
				n.Delete(t, "_/"+collection+"/"+path).Is(t, http.StatusOK, http.StatusNotFound)
			}
		}
	}
}

// describedBy returns a check of answers against the platform's API description.
func describedBy(t testing.TB, target harness.Target) func(*harness.Response) error {
	t.Helper()
	text := harness.NewClient(target.URL(), "").Get(t, "/api/v1/api-docs").Is(t, http.StatusOK).Body
	description, err := contract.Parse(text)
	require.NoError(t, err)
	return func(r *harness.Response) error {
		return description.Check(contract.Answer{Method: r.Method, Path: r.Path, Status: r.Status, Header: r.Header, Body: r.Body})
	}
}

// fresh returns a namespace of the case's own, for limits and throttles.
func (c *Fixture) fresh() *harness.Namespace {
	c.Helper()
	return harness.NewNamespace(c, c.Target, "conf")
}

// isError checks an answer that the platform, not an action, gives
// (openwhisk-rest-api.md 1.6).
func (c *Fixture) isError(r *harness.Response, status int, text string) {
	c.Helper()
	c.isErrorWith(r, status)
	require.Equal(c, text, r.Field("error").String())
}

// isErrorWith is isError for a text of which only parts are known.
func (c *Fixture) isErrorWith(r *harness.Response, status int, parts ...string) {
	c.Helper()
	r.Is(c, status)
	require.Equalf(c, []string{"code", "error"}, keys(r.JSON()), "fields of an error body: %s", r.Body)
	require.NotEmpty(c, r.Field("code").String(), "code")
	require.Equal(c, r.Header.Get("X-Request-ID"), r.Field("code").String(), "code and X-Request-ID")
	for _, part := range parts {
		require.Contains(c, r.Field("error").String(), part)
	}
}

// is404 checks the answer for an entity that does not exist.
func (c *Fixture) is404(r *harness.Response) {
	c.Helper()
	c.isError(r, http.StatusNotFound, "The requested resource does not exist.")
}

// isNoRoute checks the answer to a verb or path that the API does not have:
// OpenWhisk says 404, 405 is better (openwhisk-rest-api.md 1.6).
func (c *Fixture) isNoRoute(r *harness.Response) {
	c.Helper()
	r.Is(c, http.StatusNotFound, http.StatusMethodNotAllowed)
	c.isErrorWith(r, r.Status)
}

// sameJSON compares JSON, numbers digit by digit.
func (c *Fixture) sameJSON(want, got string) {
	c.Helper()
	require.Truef(c, harness.SameJSON(want, got), "want %s\n got %.2000s", want, got)
}

// eachRuntime repeats the rest of a case for Node and for Python.
func (c *Fixture) eachRuntime(check func(c *Fixture, r runtime)) {
	for _, r := range runtimes {
		c.Run(r.name, func(t *testing.T) {
			each := *c
			each.T = t
			check(&each, r)
		})
	}
}

// runtime has the contract's fixture actions in one language.
type runtime struct {
	name  string
	kind  string // what the default kind resolves to begins so
	echo  harness.Action
	err   harness.Action // {"error":"boom"}
	arr   harness.Action // [1,2]
	crash harness.Action // ends without a result
	slow  harness.Action // takes ms milliseconds
	mixed harness.Action // {"error":1,"other":2}
	text  harness.Action // a string, which is no result
	logs  harness.Action // one line on each stream
	large harness.Action // a result of 1.5 MiB
}

var runtimes = []runtime{
	{
		name:  "node",
		kind:  "nodejs:",
		echo:  harness.Node(`function main(args) { return args }`),
		err:   harness.Node(`function main() { return {error: "boom"} }`),
		arr:   harness.Node(`function main() { return [1, 2] }`),
		crash: harness.Node(`function main() { throw new Error("crashed") }`),
		slow:  harness.Node(`function main({ms}) { return new Promise(done => setTimeout(() => done({ms}), ms)) }`),
		mixed: harness.Node(`function main() { return {error: 1, other: 2} }`),
		text:  harness.Node(`function main() { return "text" }`),
		logs:  harness.Node(`function main() { console.log("to stdout"); console.error("to stderr"); return {} }`),
		large: harness.Node(`function main() { return {text: "x".repeat(3 << 19)} }`),
	},
	{
		name:  "python",
		kind:  "python:",
		echo:  harness.Python("def main(args):\n    return args\n"),
		err:   harness.Python("def main(args):\n    return {'error': 'boom'}\n"),
		arr:   harness.Python("def main(args):\n    return [1, 2]\n"),
		crash: harness.Python("import os\ndef main(args):\n    os._exit(3)\n"),
		slow:  harness.Python("import time\ndef main(args):\n    time.sleep(args['ms'] / 1000)\n    return {'ms': args['ms']}\n"),
		mixed: harness.Python("def main(args):\n    return {'error': 1, 'other': 2}\n"),
		text:  harness.Python("def main(args):\n    return 'text'\n"),
		logs:  harness.Python("import sys\ndef main(args):\n    print('to stdout')\n    print('to stderr', file=sys.stderr)\n    return {}\n"),
		large: harness.Python("def main(args):\n    return {'text': 'x' * (3 << 19)}\n"),
	},
}

var (
	echo = runtimes[0].echo
	slow = runtimes[0].slow
)

// refused sends a request that a throttle is to refuse. Each controller of a cluster
// grants its part of a limit, at least one, so that there a few may be accepted first
// (openwhisk-rest-api.md section 19).
func (c *Fixture) refused(send func() *harness.Response) *harness.Response {
	tries := 1
	if cluster, ok := c.Target.(interface{ ControllerCount() int }); ok {
		tries = 4 * cluster.ControllerCount()
	}
	for {
		answer := send()
		if tries--; tries == 0 || answer.Status == http.StatusTooManyRequests {
			return answer
		}
	}
}
