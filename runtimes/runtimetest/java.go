package runtimetest

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// javaBodies are the bodies of a method that takes args, a JsonElement.
var javaBodies = map[behaviour]string{
	identity:   `return args;`,
	otherEntry: `return args;`,
	readsEnv:   `JsonObject r = new JsonObject(); r.addProperty("loaded", LOADED); r.addProperty("now", System.getenv("MYINIT")); return r;`,
	contextual: `JsonObject r = new JsonObject();
		for (String name : "namespace action_name action_version activation_id transaction_id deadline api_key".split(" ")) r.addProperty(name, System.getenv("__OW_" + name.toUpperCase()));
		return r;`,
	unicode:    `String s = "☃ " + args.getAsJsonObject().get("delimiter").getAsString() + " ☃"; System.out.println(s); JsonObject r = new JsonObject(); r.addProperty("winter", s); return r;`,
	notObject:  `return new JsonPrimitive("a string");`,
	chatty:     `int n = args.getAsJsonObject().get("n").getAsInt(); System.out.println("out " + n); System.err.println("err " + n); return new JsonObject();`,
	noisy:      `for (int n = args.getAsJsonObject().get("n").getAsInt(); n > 0; n--) { System.out.println("line"); System.err.println("line"); } return new JsonObject();`,
	unfinished: `System.out.print("half"); System.err.print("half"); return new JsonObject();`,
	hangs:      `System.out.println("going"); System.out.println("going"); try { Thread.sleep(3600_000); } catch (InterruptedException e) { } return null;`,
	exits:      `System.out.println("going"); System.exit(3); return null;`,
	big:        `JsonObject r = new JsonObject(); r.addProperty("big", "x".repeat(args.getAsJsonObject().get("n").getAsInt())); return r;`,
}

func javaFixture(t testing.TB, b behaviour) Code {
	t.Helper()
	body, ok := javaBodies[b]
	require.True(t, ok, "no fixture for %s", b)
	code := Code{Main: "Main", Code: javaClass("main", "JsonElement", "JsonElement", body)}
	if b == otherEntry {
		code.Main, code.Code = "Main#niam", javaClass("niam", "JsonElement", "JsonElement", body)
	}
	return code
}

func javaClass(method, argument, result, body string) string {
	return "import com.google.gson.*;\n\npublic class Main {\n\tstatic final String LOADED = System.getenv(\"MYINIT\");\n\n\tpublic static " +
		result + " " + method + "(" + argument + " args) {\n\t\t" + body + "\n\t}\n}\n"
}

func (s *suite) java(t *testing.T) {
	t.Run("an exception is an error, its stack is logged", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		c.MustInit(t, Code{Main: "Main", Code: javaClass("main", "JsonObject", "JsonObject", `throw new IllegalStateException("wrong " + args.get("x").getAsString());`)})
		a := c.Run(t, `{"x":"❄"}`)
		require.Equal(t, http.StatusBadGateway, a.Status, a.Body)
		require.Equal(t, "An error has occurred while invoking the action (see logs for details): java.lang.IllegalStateException: wrong ❄", errorOf(t, a.Body))
		_, stderr := c.Logs(t)
		require.Equal(t, "java.lang.IllegalStateException: wrong ❄", stderr[0])
		require.Contains(t, stderr[1], "Main.main(Main.java:")
	})
	for name, c := range map[string]struct{ argument, result, body, args, want string }{
		"exact numbers":  {"JsonObject", "JsonObject", `return args;`, `{"n":12345678901234567890123,"x":1.50}`, `{"n":12345678901234567890123,"x":1.50}`},
		"a list":         {"JsonArray", "JsonArray", `args.add(args.size()); return args;`, `["a"]`, `["a",1]`},
		"null":           {"JsonObject", "JsonObject", `args.add("n", JsonNull.INSTANCE); return args;`, `{}`, `{"n":null}`},
		"standard input": {"JsonObject", "JsonObject", `try { args.addProperty("s", System.in.read()); } catch (java.io.IOException e) { } return args;`, `{}`, `{"s":-1}`},
	} {
		t.Run(name, func(t *testing.T) {
			client := s.start(t, s.kind, Options{})
			client.MustInit(t, Code{Main: "Main", Code: javaClass("main", c.argument, c.result, c.body)})
			require.Equal(t, c.want, client.MustRun(t, c.args))
		})
	}
	t.Run("an object for an action of lists", func(t *testing.T) {
		c := s.start(t, s.kind, Options{})
		c.MustInit(t, Code{Main: "Main", Code: javaClass("main", "JsonArray", "JsonArray", `return args;`)})
		require.Equal(t, "The action takes a JsonArray and was given a JsonObject.", errorOf(t, c.Run(t, `{}`).Body))
	})
	s.javaArchives(t)
	s.initFailures(t, map[string]failingInit{
		"a syntax error":        {Code{Main: "Main", Code: "public class Main {"}, "the code does not compile"},
		"no such class":         {Code{Main: "Other", Code: "class Main {}"}, "ClassNotFoundException: Other"},
		"no such method":        {Code{Main: "Main", Code: "public class Main {}"}, "has no method 'public static JsonObject main(JsonObject)'"},
		"an exit while loading": {Code{Main: "Main", Code: "public class Main { static { System.exit(1); } }"}, "The action did not initialize and exited unexpectedly."},
		"an exception":          {Code{Main: "Main", Code: "public class Main { static { if (true) throw new IllegalStateException(\"so\"); } }"}, "ExceptionInInitializerError"},
	})
}

func (s *suite) javaArchives(t *testing.T) {
	const source = "package org.example;\n\nimport com.google.gson.JsonObject;\n\npublic class Hello {\n\tpublic static JsonObject hello(JsonObject args) throws Exception {\n" +
		"\t\tJsonObject r = new JsonObject();\n\t\tr.addProperty(\"data\", new String(Hello.class.getResourceAsStream(\"/data.txt\").readAllBytes()));\n\t\treturn r;\n\t}\n}\n"
	want := func(t *testing.T, code Code) {
		t.Helper()
		code.Main = "org.example.Hello#hello"
		c := s.start(t, s.kind, Options{})
		c.MustInit(t, code)
		require.JSONEq(t, `{"data":"here"}`, c.MustRun(t, `{}`))
	}
	data := File{Name: "data.txt", Text: "here"}
	t.Run("zip with sources", func(t *testing.T) {
		want(t, Zip(t, File{Name: "org/example/Hello.java", Text: source}, data))
	})
	jar := javaJar(t, source)
	t.Run("a jar", func(t *testing.T) {
		want(t, Code{Code: base64.StdEncoding.EncodeToString(jar), Binary: true})
	})
	t.Run("zip with a jar", func(t *testing.T) {
		want(t, Zip(t, File{Name: "lib/hello.jar", Text: string(jar)}))
	})
}

// javaJar compiles the class org.example.Hello, here, against what the machine's
// tests have of gson, and packs it with its data.
func javaJar(t *testing.T, source string) []byte {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "Hello.java")
	require.NoError(t, os.WriteFile(file, []byte(source), 0o600))
	output, err := exec.Command("javac", "--release", "11", "-cp", "/usr/share/java/gson.jar", "-d", dir, file).CombinedOutput()
	require.NoError(t, err, "run scripts/provision runtimes: %s", strings.TrimSpace(string(output)))
	class, err := os.ReadFile(filepath.Join(dir, "org/example/Hello.class"))
	require.NoError(t, err)
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range []File{{Name: "META-INF/MANIFEST.MF", Text: "Manifest-Version: 1.0\n\n"}, {Name: "org/example/Hello.class", Text: string(class)}, {Name: "data.txt", Text: "here"}} {
		entry, err := w.Create(f.Name)
		require.NoError(t, err)
		_, err = entry.Write([]byte(f.Text))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}
