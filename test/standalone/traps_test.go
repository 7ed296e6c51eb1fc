package standalone

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

// TestTraps has one test per trap of openwhisk-invoker.md section 13 that a
// single server can fall into, by its number there.
func TestTraps(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	n := harness.NewNamespace(t, s, "traps")

	t.Run("trap_01_error_key_hides_its_siblings", func(t *testing.T) {
		for _, value := range []string{`null`, `false`, `0`, `""`, `{"a":[1]}`} {
			n.PutAction(t, "t1", harness.Node(`function main() { return {before: 1, error: `+value+`, after: 2} }`))
			r := n.Invoke(t, "t1", `{}`).Is(t, 502)
			require.Equal(t, applicationError, r.Field("response.status").String())
			require.True(t, harness.SameJSON(`{"error":`+value+`}`, r.Field("response.result").Raw), "%s", r.Body)
		}
	})

	t.Run("trap_03_oversized_answers", func(t *testing.T) {
		n.PutAction(t, "t3run", harness.Node(instance+`function main({size}) { return {instance, text: "x".repeat(size)} }`))
		first := n.Invoke(t, "t3run", `{"size":1}`).Is(t, 200)
		endsWith(t, n.Invoke(t, "t3run", `{"size":2000000}`), applicationError)
		second := n.Invoke(t, "t3run", `{"size":1}`).Is(t, 200)
		require.Equal(t, first.Field("response.result.instance").Raw, second.Field("response.result.instance").Raw, "the container is kept")

		n.PutAction(t, "t3init", harness.Node(`throw new Error("x".repeat(2 << 20))`))
		r := n.Invoke(t, "t3init", `{}`)
		endsWith(t, r, developerError)
		require.Contains(t, r.Field("response.result.error").String(), "The action produced a response that exceeded the allowed length: ")
	})

	t.Run("trap_04_log_limit_costs_the_container", func(t *testing.T) {
		n.PutAction(t, "t4", harness.Node(instance+`function main({lines}) {
  for (let i = 0; i < lines; i++) console.log(String(i).padEnd(1000, "."))
  return {instance}
}`).With(harness.Limits{Logs: new(1)}))
		first := n.Invoke(t, "t4", `{"lines":3000}`).Is(t, 200)
		logs := n.Activation(t, first.ActivationID()).Get("logs").Array()
		last := logs[len(logs)-1].String()
		require.Contains(t, last, "stderr: Logs were truncated because the total bytes size exceeds the limit of 1048576 bytes.")
		for i, line := range logs[:len(logs)-1] {
			require.Contains(t, line.String(), "stdout: "+strconv.Itoa(i)+".", "no line is lost before the limit")
		}
		second := n.Invoke(t, "t4", `{"lines":1}`).Is(t, 200)
		require.NotEqual(t, first.Field("response.result.instance").Raw, second.Field("response.result.instance").Raw, "container")
		third := n.Invoke(t, "t4", `{"lines":1}`).Is(t, 200)
		require.Equal(t, second.Field("response.result.instance").Raw, third.Field("response.result.instance").Raw, "container")
	})

	t.Run("trap_05_identity_of_a_container", func(t *testing.T) {
		in := func(c *harness.Client, path string) string {
			return c.Post(t, path+"?blocking=true", `{}`).Is(t, 200).Field("response.result.instance").String()
		}
		action := harness.Node(instance + `function main() { return {instance} }`)
		n.Put(t, "_/packages/t5", `{"publish":true}`).Is(t, 200)
		n.PutAction(t, "t5/a", action)
		first := in(n.Client, "_/actions/t5/a")
		require.Equal(t, first, in(n.Client, "_/actions/t5/a"), "warm")

		n.Delete(t, "_/actions/t5/a").Is(t, 200)
		n.PutAction(t, "t5/a", action)
		require.Equal(t, first, in(n.Client, "_/actions/t5/a"), "the same action made again has another revision only")

		other := harness.NewNamespace(t, s, "trap5")
		require.NotEqual(t, first, in(other.Client, n.Name+"/actions/t5/a"), "another invoking namespace")

		n.PutAction(t, "t5/a", action.Annotated("changed", true))
		require.NotEqual(t, first, in(n.Client, "_/actions/t5/a"), "changed annotations")
	})

	t.Run("trap_06_context_of_a_run", func(t *testing.T) {
		action := harness.Node(`function main() { return {env: process.env} }`)
		n.PutAction(t, "t6", action)
		r := n.Invoke(t, "t6", `{}`).Is(t, 200)
		env := r.Field("response.result.env")
		deadline, err := strconv.ParseInt(env.Get("__OW_DEADLINE").String(), 10, 64)
		require.NoError(t, err, "__OW_DEADLINE is epoch milliseconds")
		require.Greater(t, deadline, r.Field("start").Int())
		require.Equal(t, n.Name, env.Get("__OW_NAMESPACE").String())
		require.Equal(t, "/"+n.Name+"/t6", env.Get("__OW_ACTION_NAME").String())
		require.Equal(t, r.Field("version").String(), env.Get("__OW_ACTION_VERSION").String())
		require.Equal(t, r.ActivationID(), env.Get("__OW_ACTIVATION_ID").String())
		require.NotEmpty(t, env.Get("__OW_TRANSACTION_ID").String())
		require.Equal(t, s.URL(), env.Get("__OW_API_HOST").String())
		require.False(t, env.Get("__OW_API_KEY").Exists(), "provide-api-key is false")

		n.PutAction(t, "t6granted", action.Annotated("provide-api-key", true))
		require.Equal(t, n.Key, n.Invoke(t, "t6granted", `{}`).Is(t, 200).Field("response.result.env.__OW_API_KEY").String())

		n.Put(t, "_/actions/t6?overwrite=true", `{"delAnnotations":["provide-api-key"]}`).Is(t, 200)
		require.Equal(t, n.Key, n.Invoke(t, "t6", `{}`).Is(t, 200).Field("response.result.env.__OW_API_KEY").String(), "without the annotation")
	})

	t.Run("trap_07_context_at_init_and_at_each_run", func(t *testing.T) {
		for language, action := range map[string]harness.Action{
			"node": harness.Node(`const atInit = {...process.env}
function main() { return {init: atInit, run: process.env} }`),
			"python": harness.Python("import os\nat_init = dict(os.environ)\ndef main(args):\n    return {'init': at_init, 'run': dict(os.environ)}\n"),
		} {
			action.Parameters = []harness.KeyValue{{Key: "AT_INIT", Value: map[string]int{"a": 1}, Init: true}, {Key: "plain", Value: 1}}
			n.PutAction(t, "t7"+language, action)
			first := n.Invoke(t, "t7"+language, `{}`).Is(t, 200)
			second := n.Invoke(t, "t7"+language, `{}`).Is(t, 200)
			id := "__OW_ACTIVATION_ID"
			require.Equal(t, first.ActivationID(), first.Field("response.result.init."+id).String(), "at init")
			require.Equal(t, first.ActivationID(), first.Field("response.result.run."+id).String(), "first run")
			require.Equal(t, first.ActivationID(), second.Field("response.result.init."+id).String(), "kept from init")
			require.Equal(t, second.ActivationID(), second.Field("response.result.run."+id).String(), "second run")
			require.Equal(t, `{"a":1}`, first.Field("response.result.init.AT_INIT").String(), "init parameter")
		}
	})

	t.Run("trap_08_duration_includes_init", func(t *testing.T) {
		n.PutAction(t, "t8", harness.Node(`for (const end = Date.now() + 300; Date.now() < end;);
function main() { return {} }`))
		cold := n.Invoke(t, "t8", `{}`).Is(t, 200)
		annotations := cold.Field("annotations")
		initTime := harness.Annotation(annotations, "initTime").Int()
		require.GreaterOrEqual(t, initTime, int64(300), "initTime")
		require.GreaterOrEqual(t, cold.Field("duration").Int(), initTime, "duration")
		require.Equal(t, cold.Field("end").Int()-cold.Field("start").Int(), cold.Field("duration").Int())
		warm := n.Invoke(t, "t8", `{}`).Is(t, 200)
		require.False(t, isCold(warm.JSON()), "a warm run has no initTime")
		require.True(t, harness.Annotation(warm.Field("annotations"), "waitTime").Exists())
	})

	t.Run("trap_09_init_and_run_have_the_whole_timeout_each", func(t *testing.T) {
		busy := func(ms int) string {
			return fmt.Sprintf("for (const end = Date.now() + %d; Date.now() < end;);", ms)
		}
		n.PutAction(t, "t9", harness.Node(busy(3500)+`
function main() { `+busy(3500)+` return {} }`).With(harness.Limits{Timeout: 6000}))
		r := n.Invoke(t, "t9", `{}`).Is(t, 200)
		require.Greater(t, r.Field("duration").Int(), int64(6000))

		n.PutAction(t, "t9init", harness.Node(busy(20000)+`
function main() { return {} }`).With(harness.Limits{Timeout: 1000}))
		r = n.Invoke(t, "t9init", `{}`)
		endsWith(t, r, developerError, "The action exceeded its time limits of 1000 milliseconds during initialization.")
		require.Equal(t, gjson.True, harness.Annotation(r.Field("annotations"), "timeout").Type)
	})

	t.Run("trap_10_logs_are_collected_after_the_answer", func(t *testing.T) {
		const lines = 400
		n.PutAction(t, "t10", harness.Node(`function main({n}) {
  for (let i = 0; i < `+strconv.Itoa(lines)+`; i++) console.log("call", n, "line", i)
  return {}
}`))
		for call := range 10 {
			r := n.Invoke(t, "t10", fmt.Sprintf(`{"n":%d}`, call)).Is(t, 200)
			require.Equal(t, "[]", r.Field("logs").Raw, "logs of the answer")
			logs := n.Activation(t, r.ActivationID()).Get("logs").Array()
			require.Len(t, logs, lines)
			for i, line := range logs {
				require.Truef(t, strings.HasSuffix(line.String(), fmt.Sprintf("stdout: call %d line %d", call, i)), "line %d of call %d: %s", i, call, line)
			}
		}
	})

	t.Run("trap_22_source_that_looks_like_base64", func(t *testing.T) {
		r := n.PutAction(t, "t22", harness.Node("abcd"))
		require.Equal(t, "true", r.Field("exec.binary").Raw)
		endsWith(t, n.Invoke(t, "t22", `{}`), developerError)
	})

	t.Run("trap_25_lists_and_default_parameters", func(t *testing.T) {
		action := harness.Node(`function main(args) { return args }`)
		action.Parameters = []harness.KeyValue{{Key: "default", Value: 1}}
		n.PutAction(t, "t25", action)
		// REST takes objects only (openwhisk-rest-api.md 9.1): a list is refused,
		// never merged.
		n.Post(t, "_/actions/t25?blocking=true", `[1,2]`).Is(t, 400)
		r := n.Invoke(t, "t25", `{"list":[1,2]}`).Is(t, 200)
		require.True(t, harness.SameJSON(`{"default":1,"list":[1,2]}`, r.Field("response.result").Raw))
	})
}

func TestTrap13StemCellsUseMemory(t *testing.T) {
	plain := harness.Start(t, harness.Options{})
	kind := plain.Guest().PutAction(t, "kind", harness.Node("")).Field("exec.kind").String()
	plain.Stop(t)

	// The stem cell takes all the memory there is, and still nobody is refused.
	s := harness.Start(t, harness.Options{Flags: []string{"--memory", "256", "--max-memory", "256", "--stem-cells", kind + "=1"}})
	guest := s.Guest()
	for _, memory := range []int{128, 256} {
		guest.PutAction(t, "m"+strconv.Itoa(memory), harness.Node(`function main() { return {} }`).With(harness.Limits{Memory: memory}))
	}
	for range 3 {
		guest.Invoke(t, "m128", `{}`).Is(t, 200)
		guest.Invoke(t, "m256", `{}`).Is(t, 200)
	}
	// What could never run is refused when it is made, not when it is called.
	guest.Put(t, "_/actions/m512", harness.Node("").With(harness.Limits{Memory: 512})).Is(t, 400)
}

func TestLogLimitZero(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	guest := s.Guest()
	for language, action := range map[string]harness.Action{
		"node":   harness.Node(`function main({n}) { console.log("line"); console.error("line"); return {n} }`),
		"python": harness.Python("def main(args):\n    print('line')\n    return {'n': args['n']}\n"),
	} {
		guest.PutAction(t, language, action.With(harness.Limits{Logs: new(0)}))
		for i := range 3 {
			r := guest.Invoke(t, language, fmt.Sprintf(`{"n":%d}`, i)).Is(t, 200)
			require.Equal(t, strconv.Itoa(i), r.Field("response.result.n").Raw)
			require.Equal(t, "[]", guest.Activation(t, r.ActivationID()).Get("logs").Raw)
		}
	}
}
