package wasm

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// patience bounds what should take no time.
const patience = 2 * time.Minute

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// start starts a container, which the end of the test destroys.
func start(t testing.TB, f *Factory, memory entity.Megabytes) container.Container {
	t.Helper()
	c, err := f.Start(within(t, patience), container.Spec{Name: t.Name(), Kind: Kind, Memory: memory, Concurrency: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Destroy(within(t, patience))) })
	return c
}

// initialise posts a module, or what stands for one.
func initialise(t testing.TB, c container.Container, code []byte, main string) container.Response {
	t.Helper()
	body, err := json.Marshal(map[string]any{"value": map[string]any{"main": main, "code": base64.StdEncoding.EncodeToString(code), "binary": true}})
	require.NoError(t, err)
	r, err := c.Call(within(t, patience), "/init", body, 1<<20)
	require.NoError(t, err)
	return r
}

// loaded is a container with a module.
func loaded(t testing.TB, f *Factory, code []byte) container.Container {
	t.Helper()
	c := start(t, f, 128)
	r := initialise(t, c, code, "main")
	require.Equal(t, 200, r.Status, "%s", r.Body)
	return c
}

var emptyRun = []byte(`{"value":{}}`)

func requireAnswer(t testing.TB, c container.Container, status int, body string) {
	t.Helper()
	r, err := c.Call(within(t, patience), "/run", emptyRun, 1<<20)
	require.NoError(t, err)
	require.Equal(t, status, r.Status, "%s", r.Body)
	require.JSONEq(t, body, string(r.Body))
}

func TestHowModulesEnd(t *testing.T) {
	f := openIn(t, t.TempDir())
	result := `{"ok":true}`
	trapped := func(why string) string { return `{"error":"The action was ended by a trap: ` + why + `."}` }
	for name, c := range map[string]struct {
		module assembly
		status int
		body   string
	}{
		"returns":                           {printer(result + "\n"), 200, result},
		"without a newline":                 {printer(result), 200, result},
		"prints other lines":                {printer("one\n\ntwo\n" + result + "\n\n  \n"), 200, result},
		"an array":                          {printer("[1,2]\n"), 200, "[1,2]"},
		"exit 0":                            {printer(result, constant(0), calls(1)), 200, result},
		"exit 7 with a result":              {printer(result, constant(7), calls(1)), 502, `{"error":"The action exited with status 7."}`},
		"exit 7 with an error":              {printer(`{"error":{"code":1}}`, constant(7), calls(1)), 502, `{"error":{"code":1}}`},
		"prints nothing":                    {starting(nil), 502, `{"error":"The action did not return a dictionary or array."}`},
		"prints no JSON":                    {printer("hello\n"), 502, `{"error":"The action did not return a dictionary or array."}`},
		"prints half of it":                 {printer(`{"ok":`), 502, `{"error":"The action did not return a dictionary or array."}`},
		"prints a result and then a line":   {printer(result + "\nbye\n"), 502, `{"error":"The action did not return a dictionary or array."}`},
		"unreachable":                       {starting(unreachable), 502, trapped("unreachable")},
		"divides by zero":                   {starting(slices.Concat(constant(1), constant(0), []byte{0x6d}, drop)), 502, trapped("integer divide by zero")},
		"reads beyond its memory":           {starting(slices.Concat(constant(1<<20), []byte{0x28, 2, 0}, drop)), 502, trapped("out of bounds memory access")},
		"recurses for ever":                 {starting(calls(0)), 502, trapped("stack overflow")},
		"a trap hides a result":             {printer(result, unreachable), 502, trapped("unreachable")},
		"fd_renumber beyond all numbers":    {renumbering(), 502, `{"error":"The action exited with status 58."}`},
		"a table that grows over its bound": {growing(), 502, `{"error":"The action exited with status 1."}`},
	} {
		t.Run(name, func(t *testing.T) {
			c1 := loaded(t, f, c.module.bytes())
			requireAnswer(t, c1, c.status, c.body)
			requireAnswer(t, c1, c.status, c.body) // again
		})
	}
}

// renumbering exits with what fd_renumber says.
func renumbering() assembly {
	renumber := imported{"wasi_snapshot_preview1", "fd_renumber", []byte{i32, i32}, []byte{i32}}
	return assembly{
		imports: []imported{renumber, procExit}, pages: 1,
		funcs: []function{{export: "_start", body: slices.Concat(constant(0), constant(1<<31-1), calls(0), calls(1))}},
	}
}

// growing exits with 1 if its table could not have twenty million entries.
func growing() assembly {
	return assembly{
		imports: []imported{procExit}, pages: 1, tables: [][]byte{{0x70, 0, 1}},
		funcs: []function{{export: "_start", body: slices.Concat(
			[]byte{0xd0, 0x70}, constant(20_000_000), []byte{0xfc, 15, 0}, // ref.null func, table.grow
			[]byte{0x41, 0x7f, 0x46}, // == -1
			calls(0),
		)}},
	}
}

func TestLogsOfATrap(t *testing.T) {
	c := loaded(t, openIn(t, t.TempDir()), printer("working\n", unreachable).bytes())
	_, err := c.Call(within(t, patience), "/run", emptyRun, 1<<20)
	require.NoError(t, err)
	lines := strings.Join(c.Logs(within(t, patience), container.LogQuery{Limit: 10, WaitForSentinel: true}).Lines, "\n")
	require.Contains(t, lines, "stdout: working")
	require.Contains(t, lines, "stderr: wasm stack trace:")
}

// TestWhatCannotBeLoaded: with words for its author.
func TestWhatCannotBeLoaded(t *testing.T) {
	f := openIn(t, t.TempDir())
	good := printer("{}").bytes()
	foreign := starting(nil)
	foreign.imports = []imported{{"env", "abort", nil, nil}}
	unknown := starting(nil)
	unknown.imports = []imported{{"wasi_snapshot_preview1", "fly", nil, nil}}
	mistyped := starting(nil)
	mistyped.imports = []imported{{"wasi_snapshot_preview1", "proc_exit", []byte{i64}, nil}}
	big := starting(nil)
	big.pages = 3000
	tables := starting(nil)
	tables.tables = [][]byte{append([]byte{0x70, 0}, appendU32(nil, 1<<26)...)}
	locals := starting(nil)
	locals.funcs[0].locals = append(append([]byte{1}, appendU32(nil, 1<<32-1)...), i32)
	section := func(id byte, content ...byte) []byte {
		return append(starting(nil).bytes()[:8:8], append([]byte{id}, sized(content)...)...)
	}
	endless := appendU32(nil, 1<<32-1)
	tail := starting(append([]byte{0x12}, 0))
	component := []byte("\x00asm\x0d\x00\x01\x00")
	for name, c := range map[string]struct {
		code []byte
		main string
		want string
	}{
		"empty":                {nil, "main", "Missing main/no code to execute."},
		"text":                 {[]byte("(module)"), "main", "does not begin with the magic bytes"},
		"a component":          {component, "main", "does not begin with the magic bytes"},
		"cut off":              {good[:len(good)-5], "main", "cut off or damaged"},
		"not valid":            {starting([]byte{0x6a}).bytes(), "main", "the module is not valid"},
		"tail calls":           {tail.bytes(), "main", "the module is not valid"},
		"unknown instruction":  {starting([]byte{0xff}).bytes(), "main", "0xff"},
		"foreign import":       {foreign.bytes(), "main", `imports "abort" from "env"`},
		"unknown import":       {unknown.bytes(), "main", `imports "fly", which`},
		"mistyped import":      {mistyped.bytes(), "main", `imports "proc_exit" with other types`},
		"no _start":            {assembly{funcs: []function{{export: "x"}}}.bytes(), "main", "exports no function _start"},
		"no such function":     {good, "other", "exports no function 'other'"},
		"not an entry":         {assembly{funcs: []function{{export: "add", params: []byte{i32}}}}.bytes(), "add", "exports 'add', but not as"},
		"too much memory":      {big.bytes(), "main", "needs 187 MB of memory from the start, more than the action's limit of 128 MB"},
		"many locals":          {locals.bytes(), "main", "has a function of more than 50000 local variables"},
		"endless parameters":   {section(sectionType, append([]byte{1, 0x60}, endless...)...), "main", "cut off or damaged"},
		"endless elements":     {section(sectionElement, append([]byte{1, 0, 0x41, 0, 0x0b}, endless...)...), "main", "cut off or damaged"},
		"endless expressions":  {section(sectionElement, append([]byte{1, 5, 0x70}, endless...)...), "main", "cut off or damaged"},
		"a huge table":         {tables.bytes(), "main", "has a table of 67108864 entries"},
		"zip without a module": {zipped(t, map[string][]byte{"other.wasm": good}), "main", "has no file 'main.wasm' or 'exec.wasm' at its root"},
		"zip with text":        {zipped(t, map[string][]byte{"main.wasm": []byte("no")}), "main", "does not begin with the magic bytes"},
		"no zip":               {[]byte("PK\x03\x04 is none"), "main", "is not a readable zip file"},
		"decompression bomb":   {zipped(t, map[string][]byte{"main.wasm": make([]byte, maxModule+1)}), "main", "unpacks to more than"},
	} {
		t.Run(name, func(t *testing.T) {
			r := initialise(t, start(t, f, 128), c.code, c.main)
			require.NotEqual(t, 200, r.Status)
			require.Contains(t, strings.ReplaceAll(string(r.Body), `\"`, `"`), c.want)
		})
	}
}

func zipped(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range files {
		f, err := w.Create(name)
		require.NoError(t, err)
		_, err = f.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestModulesInArchives(t *testing.T) {
	f := openIn(t, t.TempDir())
	for _, name := range names {
		c := loaded(t, f, zipped(t, map[string][]byte{name: printer(`{"from":"` + name + `"}`).bytes(), "README": nil}))
		requireAnswer(t, c, 200, `{"from":"`+name+`"}`)
	}
}

// TestEntryPoints: the action's main is an exported function.
func TestEntryPoints(t *testing.T) {
	f := openIn(t, t.TempDir())
	m := printer("{\"started\":true}\n")
	m.funcs = append(m.funcs,
		function{export: "other", results: []byte{i32}, body: slices.Concat(prints(1, m.data), constant(0))},
		function{export: "fails", results: []byte{i32}, body: constant(4)},
	)
	reactor := assembly{imports: []imported{fdWrite}, pages: 1, data: "{\"initialised\":true}\n"}
	reactor.funcs = []function{{export: "_initialize", body: prints(1, reactor.data)}, {export: "greet"}, {export: "main"}}
	for _, c := range []struct {
		module assembly
		main   string
		status int
		want   string
	}{
		{m, "main", 200, `{"started":true}`},
		{m, "", 200, `{"started":true}`},
		{m, "other", 200, `{"started":true}`},
		{m, "fails", 502, `{"error":"The action exited with status 4."}`},
		{reactor, "greet", 200, `{"initialised":true}`},
		{reactor, "main", 200, `{"initialised":true}`},
	} {
		k := start(t, f, 128)
		r := initialise(t, k, c.module.bytes(), c.main)
		require.Equal(t, 200, r.Status, "%s: %s", c.main, r.Body)
		requireAnswer(t, k, c.status, c.want)
	}
}

func TestInitialisedOnce(t *testing.T) {
	f := openIn(t, t.TempDir())
	c := start(t, f, 128)
	requireAnswer(t, c, 502, `{"error":"The action has not been initialised."}`)
	good := printer(`{"n":1}`).bytes()
	require.Equal(t, 200, initialise(t, c, good, "main").Status)
	r := initialise(t, c, good, "main")
	require.JSONEq(t, `{"error":"Cannot initialize the action more than once."}`, string(r.Body))
	requireAnswer(t, c, 200, `{"n":1}`)
}

// TestEveryModuleStops: whatever a module does, its deadline is kept, and nothing of
// it runs on after Destroy.
func TestEveryModuleStops(t *testing.T) {
	f := openIn(t, t.TempDir())
	// Each function calls the next twice; there is no loop and little stack.
	doubling := starting(calls(1))
	for i := range 60 {
		doubling.funcs = append(doubling.funcs, function{body: slices.Concat(calls(i+2), calls(i+2))})
	}
	doubling.funcs = append(doubling.funcs, function{body: []byte{0x01}})
	filling := starting(slices.Concat(constant(1600), grow, drop))
	for range 500 {
		filling.funcs[0].body = append(filling.funcs[0].body, slices.Concat(constant(0), constant(7), constant(100_000_000), fill)...)
	}
	for name, m := range map[string]assembly{
		"loops": starting(forever), "doubles its calls": doubling, "fills its memory": filling,
	} {
		t.Run(name, func(t *testing.T) {
			c := loaded(t, f, m.bytes())
			begun := time.Now()
			_, err := c.Call(within(t, 100*time.Millisecond), "/run", emptyRun, 1<<20)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NoError(t, c.Destroy(within(t, patience)))
			t.Log("gone after", time.Since(begun))
		})
	}
}

// TestUntouchedModules: what needs no watching is not changed.
func TestUntouchedModules(t *testing.T) {
	for name, m := range map[string]assembly{
		"empty":     starting(nil),
		"leaf":      starting(slices.Concat(constant(1), drop)),
		"constants": starting(slices.Concat([]byte{0x43, 0x10, 0x10, 0x10, 0x10}, drop, []byte{0x44, 0x10, 0xfc, 0x0b, 0, 0, 0, 0, 0}, drop)),
		"vectors":   starting(slices.Concat([]byte{0xfd, 12}, bytes.Repeat([]byte{0x10}, 16), drop)),
	} {
		out, err := instrument(m.bytes())
		require.NoError(t, err, name)
		require.Equal(t, m.bytes(), out.code, name)
	}
	debug := starting(nil)
	debug.custom = append(text(".debug_info"), 1, 2, 3)
	out, err := instrument(debug.bytes())
	require.NoError(t, err)
	require.Equal(t, starting(nil).bytes(), out.code)
}

// TestMemoryIsGivenBack: to the container and to the system.
func TestMemoryIsGivenBack(t *testing.T) {
	f := openIn(t, t.TempDir())
	m := printer(`{"ok":true}`, constant(1500), grow, drop, constant(0), constant(1), constant(90_000_000), fill)
	c := loaded(t, f, m.bytes())
	requireAnswer(t, c, 200, `{"ok":true}`)
	before := residentMegabytes(t)
	for range 20 {
		requireAnswer(t, c, 200, `{"ok":true}`)
	}
	require.Zero(t, c.(*Container).room.used.Load())
	require.Less(t, residentMegabytes(t)-before, 900) // half of what they had
}

func residentMegabytes(t testing.TB) int {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if os.IsNotExist(err) {
		return 0 // not Linux
	}
	require.NoError(t, err)
	var pages []int
	for _, field := range strings.Fields(string(statm)) {
		n := 0
		require.NoError(t, json.Unmarshal([]byte(field), &n))
		pages = append(pages, n)
	}
	return pages[1] * os.Getpagesize() >> 20
}

// TestInstancesShareTheLimit: the container's memory is for all of them together.
func TestInstancesShareTheLimit(t *testing.T) {
	r := &room{limit: 10 * pageBytes}
	one, other := &memory{room: r}, &memory{room: r}
	require.Len(t, one.Allocate(0, 1<<32).Reallocate(6*pageBytes), 6*pageBytes)
	require.Len(t, other.Allocate(0, 1<<32).Reallocate(4*pageBytes), 4*pageBytes)
	require.Nil(t, other.Reallocate(5*pageBytes))
	require.True(t, other.refused.Load())
	require.False(t, one.refused.Load())
	one.release()
	require.Len(t, other.Reallocate(10*pageBytes), 10*pageBytes)
	require.Nil(t, other.Reallocate(11*pageBytes))
	other.release()
	require.Zero(t, r.used.Load())
}
