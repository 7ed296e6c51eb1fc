package runtimetest

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

var goFixtures = map[behaviour]string{
	identity:   "package main\n\nfunc Main(args any) any { return args }\n",
	otherEntry: "package main\n\nfunc Niam(args map[string]interface{}) map[string]interface{} { return args }\n",
	readsEnv: `package main
import "os"
var loaded = os.Getenv("MYINIT")
func Main(args map[string]any) map[string]any { return map[string]any{"loaded": loaded, "now": os.Getenv("MYINIT")} }
`,
	contextual: `package main
import ("os"; "strings")
func Main(args map[string]any) map[string]any {
	context := map[string]any{}
	for _, name := range []string{"namespace", "action_name", "action_version", "activation_id", "transaction_id", "deadline", "api_key"} {
		context[name] = os.Getenv("__OW_" + strings.ToUpper(name))
	}
	return context
}
`,
	unicode: `package main
import "fmt"
func Main(args map[string]any) map[string]any { s := "☃ " + args["delimiter"].(string) + " ☃"; fmt.Println(s); return map[string]any{"winter": s} }
`,
	notObject: "package main\n\nfunc Main(args any) any { return \"a string\" }\n",
	chatty: `package main
import ("fmt"; "os")
func Main(args map[string]any) map[string]any { fmt.Println("out", args["n"]); fmt.Fprintln(os.Stderr, "err", args["n"]); return map[string]any{} }
`,
	noisy: `package main
import ("fmt"; "os")
func Main(args map[string]any) map[string]any {
	for i := 0; i < int(args["n"].(float64)); i++ { fmt.Println("line"); fmt.Fprintln(os.Stderr, "line") }
	return map[string]any{}
}
`,
	unfinished: `package main
import ("fmt"; "os")
func Main(args map[string]any) map[string]any { fmt.Print("half"); fmt.Fprint(os.Stderr, "half"); return map[string]any{} }
`,
	hangs: `package main
import ("fmt"; "time")
func Main(args map[string]any) map[string]any { fmt.Println("going\ngoing"); time.Sleep(time.Hour); return nil }
`,
	exits: `package main
import ("fmt"; "os")
func Main(args map[string]any) map[string]any { fmt.Println("going"); os.Exit(3); return nil }
`,
	big: `package main
import "strings"
func Main(args map[string]any) map[string]any { return map[string]any{"big": strings.Repeat("x", int(args["n"].(float64)))} }
`,
}

// golang holds the rules of openwhisk-invoker.md 1.9 for Go.
func (s *suite) golang(t *testing.T) {
	t.Run("a panic is the result, its stack is logged", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		c.MustInit(t, Code{Code: "package main\n\nfunc Main(args map[string]any) map[string]any {\n\tpanic(\"wrong \" + args[\"x\"].(string))\n}\n"})
		require.JSONEq(t, `{"error":"wrong ❄"}`, c.MustRun(t, `{"x":"❄"}`))
		_, stderr := c.Logs(t)
		require.Equal(t, "panic: wrong ❄", stderr[0])
		require.Equal(t, http.StatusOK, c.Run(t, `{"x":"again"}`).Status)
	})
	const reads = "package main\n\nimport (\"io\"; \"os\")\n\nfunc Main(map[string]any) map[string]any {\n\tb, err := io.ReadAll(os.Stdin)\n\treturn map[string]any{\"s\": string(b), \"ok\": err == nil}\n}\n"
	for name, c := range map[string]struct{ source, args, result string }{
		"a list to a list":     {"package main\n\nfunc Main(args []interface{}) []interface{} { return append(args, len(args)) }\n", `["a"]`, `["a",1]`},
		"a list to an object":  {"package main\n\nfunc Main(args []interface{}) map[string]interface{} { return map[string]interface{}{\"n\": len(args)} }\n", `["a"]`, `{"n":1}`},
		"an object to a list":  {"package main\n\nfunc Main(args map[string]interface{}) []interface{} { return []interface{}{args} }\n", `{"a":1}`, `[{"a":1}]`},
		"JSON as it is":        {"package main\n\nimport \"encoding/json\"\n\nfunc Main(args json.RawMessage) (json.RawMessage, error) { return args, nil }\n", `{"n":12345678901234567890123}`, `{"n":12345678901234567890123}`},
		"standard input":       {reads, `{}`, `{"ok":true,"s":""}`},
		"a wrong kind of args": {"package main\n\nfunc Main(args map[string]any) map[string]any { return args }\n", `[1]`, `{"error":"the arguments are not what the action takes: json: cannot unmarshal array into Go value of type map[string]interface {}"}`},
		"a wrong signature":    {"package main\n\nfunc Main(s string) string { return s }\n", `{}`, `{"error":"the entry point is a func(string) string; want func(map[string]interface{}) map[string]interface{}, or []interface{} in place of either map"}`},
		"a program of its own": {"package main\n\nimport (\"bufio\"; \"os\")\n\nfunc main() {\n\tout := os.NewFile(3, \"\")\n\tout.WriteString(\"{\\\"ok\\\":true}\\n\")\n\tfor in := bufio.NewScanner(os.Stdin); in.Scan(); {\n\t\tout.WriteString(\"{\\\"own\\\":1}\\n\")\n\t}\n}\n", `{}`, `{"own":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			client := s.start(t, s.kind, Options{})
			client.MustInit(t, Code{Code: c.source})
			require.JSONEq(t, c.result, client.MustRun(t, c.args))
		})
	}
	s.goArchives(t)
	s.initFailures(t, map[string]failingInit{
		"a syntax error":          {Code{Code: "package main\n\nfunc Main( {\n"}, "syntax error"},
		"a missing package":       {Code{Code: "package main\n\nimport _ \"no/such/package\"\n\nfunc Main(a any) any { return a }\n"}, "package no/such/package is not in std"},
		"no such function":        {Code{Code: "package main\n"}, "undefined: Main"},
		"a name that is none":     {Code{Code: "package main\n", Main: "a.b"}, "'A.b' cannot be the name of a Go function"},
		"an exit while loading":   {Code{Code: "package main\n\nimport \"os\"\n\nfunc init() { os.Exit(1) }\n\nfunc Main(a any) any { return a }\n"}, "Command exited abruptly during initialization."},
		"an archive without code": {Zip(t, File{Name: "lib/lib.go", Text: "package lib\n"}), "neither Go sources"},
	})
}

func (s *suite) goArchives(t *testing.T) {
	const main = "package main\n\nimport (\n\t\"exec/lib\"\n\t\"os\"\n)\n\nfunc Main(args map[string]any) map[string]any {\n\tdata, _ := os.ReadFile(\"data.txt\")\n\treturn map[string]any{\"lib\": lib.Text, \"data\": string(data)}\n}\n"
	library, data := File{Name: "lib/lib.go", Text: "package lib\n\nconst Text = \"yes\"\n"}, File{Name: "data.txt", Text: "here"}
	for name, files := range map[string][]File{
		"sources at the root":    {{Name: "action.go", Text: main}, library, data},
		"sources in main":        {{Name: "main/action.go", Text: main}, library, data},
		"a module of its own":    {{Name: "action.go", Text: main}, library, data, {Name: "go.mod", Text: "module exec\n\ngo 1.20\n"}},
		"a module of old syntax": {{Name: "action.go", Text: "package main\n\nfunc Main(args map[string]interface{}) map[string]interface{} { return map[string]interface{}{\"lib\": \"yes\", \"data\": \"here\"} }\n"}, {Name: "go.mod", Text: "module old\n"}},
		"an executable":          {{Name: "exec", Text: "#!/bin/sh\necho '{\"ok\":true}' >&3\nwhile read -r line; do echo '{\"lib\":\"yes\",\"data\":\"here\"}' >&3; done\n"}},
	} {
		t.Run("zip with "+name, func(t *testing.T) {
			c := s.start(t, s.kind, Options{})
			c.MustInit(t, Zip(t, files...))
			require.JSONEq(t, `{"lib":"yes","data":"here"}`, c.MustRun(t, `{}`))
		})
	}
}
