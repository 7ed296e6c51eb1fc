package runtimetest

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// node holds the rules of openwhisk-invoker.md 1.7.
func (s *suite) node(t *testing.T) {
	s.nodeResults(t)
	s.nodeArchives(t)
	s.nodeConcurrency(t)
}

func (s *suite) nodeResults(t *testing.T) {
	cases := map[string]struct {
		source string
		status int
		result string // JSON of the body, or else
		says   string // part of the error's text
	}{
		"a promise":                       {`function main() { return new Promise(r => setTimeout(() => r({ok: 1}), 1)) }`, 200, `{"ok":1}`, ""},
		"an async function":               {`async function main(a) { await null; return {ok: 1} }`, 200, `{"ok":1}`, ""},
		"a thenable":                      {`function main() { return { then(r) { r([1]) } } }`, 200, `[1]`, ""},
		"undefined":                       {`function main() {}`, 200, `{}`, ""},
		"a promise of undefined":          {`async function main() {}`, 200, `{}`, ""},
		"a bare rejection":                {`function main() { return Promise.reject() }`, 200, `{"error":{}}`, ""},
		"a rejected object":               {`function main() { return Promise.reject({code: 7, at: [1]}) }`, 200, `{"error":{"code":7,"at":[1]}}`, ""},
		"a rejected string":               {`function main() { return Promise.reject("no") }`, 200, `{"error":"no"}`, ""},
		"null":                            {`function main() { return null }`, 502, "", "The action did not return a dictionary or array."},
		"a circular result":               {`function main() { const a = {}; a.a = a; return a }`, 502, "", "circular"},
		"a synchronous throw":             {`function main() { throw new Error("boom") }`, 502, "", "An error has occurred: Error: boom"},
		"a throw outside a call":          {`function main() { setTimeout(() => { throw new Error("late") }, 1); return new Promise(() => {}) }`, 502, "", "An error has occurred: Error: late"},
		"exports":                         {`exports.main = () => ({ok: 1})`, 200, `{"ok":1}`, ""},
		"module.exports":                  {`module.exports = { main: () => ({ok: 1}) }`, 200, `{"ok":1}`, ""},
		"an arrow in a constant":          {`const main = () => ({ok: typeof require("path").join}) // end`, 200, `{"ok":"function"}`, ""},
		"ES module source":                {"import { sep } from 'node:path'\nexport function main() { return { sep } }", 200, `{"sep":"/"}`, ""},
		"dynamic import":                  {`async function main() { return { sep: (await import("node:path")).sep } }`, 200, `{"sep":"/"}`, ""},
		"empty standard input of a child": {`function main() { return { s: String(require("child_process").execFileSync("cat", {stdio: ["inherit", "pipe", "inherit"]})) } }`, 200, `{"s":""}`, ""},
		"empty standard input":            {`function main() { let s = ""; return new Promise(r => process.stdin.on("data", d => s += d).on("end", () => r({s}))) }`, 200, `{"s":""}`, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			client := s.start(t, s.kind, Options{})
			client.MustInit(t, Code{Code: c.source})
			a := client.Run(t, `{}`)
			require.Equal(t, c.status, a.Status, a.Body)
			if c.result != "" {
				require.JSONEq(t, c.result, a.Body)
			} else {
				require.Contains(t, errorOf(t, a.Body), c.says)
			}
			client.Logs(t)
		})
	}
	t.Run("a rejected error keeps name, message and fields", func(t *testing.T) {
		client := s.start(t, s.kind, Options{})
		client.MustInit(t, Code{Code: `async function main() { throw Object.assign(new TypeError("bad"), {statusCode: 404}) }`})
		body := client.MustRun(t, `{}`)
		for _, part := range []string{`"name":"TypeError"`, `"message":"bad"`, `"statusCode":404`, `"stack":"TypeError: bad`} {
			require.Contains(t, body, part)
		}
	})
	t.Run("after a synchronous throw the container is stopped", func(t *testing.T) {
		client := s.start(t, s.kind, Options{})
		client.MustInit(t, Code{Code: `function main() { throw 1 }`})
		client.Run(t, `{}`)
		a := client.Run(t, `{}`)
		require.Equal(t, http.StatusForbidden, a.Status)
		require.Contains(t, a.Body, "System not ready, status is stopped.")
	})
	t.Run("a dotted entry point", func(t *testing.T) {
		client := s.start(t, s.kind, Options{})
		client.MustInit(t, Code{Main: "a.b", Code: `const a = { b: () => ({ok: 1}) }`})
		require.JSONEq(t, `{"ok":1}`, client.MustRun(t, `{}`))
	})
	for name, c := range map[string]struct{ main, source, says string }{
		"a syntax error":          {"main", `function main( {`, "SyntaxError"},
		"a throw while loading":   {"main", `throw new Error("at load")`, "at load"},
		"no such function":        {"main", `const x = 1`, "Action entrypoint 'main' is not a function."},
		"an entry that is code":   {"main;process.exit()", `function main() {}`, "is not a valid entry point"},
		"a missing module":        {"main", `require("no-such-module")`, "Cannot find module 'no-such-module'"},
		"an exit while loading":   {"main", `process.exit(0)`, "The action did not initialize and exited unexpectedly."},
		"an unresolved ES import": {"main", "import x from 'no-such-module'\nexport const main = x", "no-such-module"},
	} {
		t.Run("init fails by "+name, func(t *testing.T) {
			client := s.start(t, s.kind, Options{})
			a := client.Init(t, Code{Main: c.main, Code: c.source})
			require.Equal(t, http.StatusBadGateway, a.Status, a.Body)
			require.Contains(t, errorOf(t, a.Body), c.says)
			client.Logs(t)
		})
	}
}

func (s *suite) nodeArchives(t *testing.T) {
	const returnsOK = `exports.main = () => require("./lib/ok")`
	ok := File{Name: "lib/ok.js", Text: `module.exports = {ok: require("fs").readFileSync("data.txt", "utf8")}`}
	data := File{Name: "data.txt", Text: "yes"}
	cases := map[string]struct {
		main  string
		files []File
	}{
		"index.js":           {"main", []File{{Name: "index.js", Text: returnsOK}, ok, data}},
		"package.json main":  {"main", []File{{Name: "package.json", Text: `{"main":"src/app.js"}`}, {Name: "src/app.js", Text: `exports.main = () => require("../lib/ok")`}, ok, data}},
		"package.json alone": {"main", []File{{Name: "package.json", Text: `{}`}, {Name: "index.js", Text: returnsOK}, ok, data}},
		"module.function":    {"app.run", []File{{Name: "app.js", Text: `exports.run = () => require("./lib/ok")`}, ok, data}},
		"bundled dependency": {"main", []File{{Name: "package.json", Text: `{"dependencies":{"dep":"1"}}`}, {Name: "index.js", Text: `exports.main = () => require("dep")`}, {Name: "node_modules/dep/index.js", Text: `module.exports = {ok: "yes"}`}}},
		"type module":        {"main", []File{{Name: "package.json", Text: `{"type":"module","main":"app.js"}`}, {Name: "app.js", Text: `import { ok } from "./lib.js"; export const main = () => ({ ok })`}, {Name: "lib.js", Text: `export const ok = "yes"`}}},
		"mjs":                {"main", []File{{Name: "index.mjs", Text: `await null; export default function () { return { ok: "yes" } }`}}},
	}
	for name, c := range cases {
		t.Run("zip with "+name, func(t *testing.T) {
			client := s.start(t, s.kind, Options{})
			code := Zip(t, c.files...)
			code.Main = c.main
			client.MustInit(t, code)
			require.JSONEq(t, `{"ok":"yes"}`, client.MustRun(t, `{}`))
		})
	}
	t.Run("zip without a start", func(t *testing.T) {
		client := s.start(t, s.kind, Options{})
		a := client.Init(t, Zip(t, File{Name: "app.js", Text: returnsOK}))
		require.Contains(t, errorOf(t, a.Body), "Zipped actions must contain either package.json or index.js at the root.")
	})
}

func (s *suite) nodeConcurrency(t *testing.T) {
	// Each run ends when all three have begun.
	const meets = `let waiting = []
		function main(args) { console.log("in"); return new Promise(r => {
			waiting.push(() => r({n: args.n})); if (waiting.length === 3) waiting.forEach(f => f()) }) }`
	t.Run("runs at once", func(t *testing.T) {
		client := s.start(t, s.kind, Options{Concurrent: true})
		client.MustInit(t, Code{Code: meets})
		var group sync.WaitGroup
		answers := make([]Answer, 3)
		errs := make([]error, 3)
		for i, n := range []string{"0", "1", "2"} {
			group.Go(func() { answers[i], errs[i] = client.post(t.Context(), "/run", runBody(`{"n":`+n+`}`, n, true)) })
		}
		group.Wait()
		for i, n := range []string{"0", "1", "2"} {
			require.NoError(t, errs[i])
			require.Equal(t, Answer{http.StatusOK, `{"n":` + n + `}`}, answers[i])
		}
		for range 3 {
			client.Logs(t)
		}
	})
	t.Run("a second run at once is refused without concurrency", func(t *testing.T) {
		client := s.start(t, s.kind, Options{})
		client.MustInit(t, Code{Code: strings.Replace(meets, "3", "2", 1)})
		ctx, giveUp := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { _, _ = client.post(ctx, "/run", runBody(`{}`, "1", true)) }) // nobody joins it
		defer group.Wait()
		defer giveUp()
		client.Stdout.Contains(t, "in")
		a := client.Run(t, `{}`)
		require.Equal(t, http.StatusForbidden, a.Status)
		require.Contains(t, a.Body, "System not ready, status is running.")
	})
	t.Run("errors between runs are reported and survived", func(t *testing.T) {
		client := s.start(t, s.kind, Options{})
		client.MustInit(t, Code{Code: `function main(a) { if (a.late) setTimeout(() => {
			Promise.reject(new Error("rejected")); setTimeout(() => { throw new Error("thrown") }, 1) }, 20); return {} }`})
		client.MustRun(t, `{"late":true}`)
		client.Stderr.Contains(t, "rejected")
		client.Stderr.Contains(t, "thrown")
		require.JSONEq(t, `{}`, client.MustRun(t, `{}`))
	})
}
