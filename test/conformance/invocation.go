package conformance

import (
	"regexp"
	"strings"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

// logLine is how clients read a log line (openwhisk-rest-api.md 10.2).
var logLine = regexp.MustCompile(`^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-6]\d:[0-6]\d.\d+Z( *(stdout|stderr):)?\s(.*)$`)

var invocation = []Case{
	{64, "invoke", func(c *Fixture) {
		c.eachRuntime(func(c *Fixture, runtime runtime) {
			c.A.PutAction(c, "echo", runtime.echo)
			r := c.A.Post(c, "_/actions/echo", `{"x":1}`).Is(c, 202)
			require.Equal(c, []string{"activationId"}, keys(r.JSON()))
			require.Regexp(c, `^[0-9a-f]{32}$`, r.ActivationID())
			require.Equal(c, r.ActivationID(), r.Header.Get("x-openwhisk-activation-id"))
			require.Equal(c, "1", c.A.Activation(c, r.ActivationID()).Get("response.result.x").Raw)
		})
	}},
	{65, "invoke_blocking", func(c *Fixture) {
		c.eachRuntime(func(c *Fixture, runtime runtime) {
			// A name that no other case uses: its container cannot be warm.
			c.A.PutAction(c, "cold", runtime.echo)
			r := c.A.Post(c, "_/actions/cold?blocking=true", `{"x":1}`).Is(c, 200)
			require.Equal(c, []string{
				"activationId", "annotations", "duration", "end", "logs", "name", "namespace",
				"publish", "response", "start", "subject", "version",
			}, keys(r.JSON()))
			require.Equal(c, r.ActivationID(), r.Header.Get("x-openwhisk-activation-id"))
			require.Equal(c, "success", r.Field("response.status").String())
			require.Equal(c, gjson.True, r.Field("response.success").Type)
			c.sameJSON(`{"x":1}`, r.Field("response.result").Raw)
			c.sameJSON(`[]`, r.Field("logs").Raw)
			annotations := r.Field("annotations")
			require.Equal(c, c.A.Name+"/cold", harness.Annotation(annotations, "path").String())
			require.True(c, strings.HasPrefix(harness.Annotation(annotations, "kind").String(), runtime.kind))
			c.sameJSON(`{"timeout":60000,"memory":256,"logs":10,"concurrency":1}`, harness.Annotation(annotations, "limits").Raw)
			require.Equal(c, gjson.False, harness.Annotation(annotations, "timeout").Type)
			require.Equal(c, gjson.Number, harness.Annotation(annotations, "waitTime").Type)
			require.Equal(c, gjson.Number, harness.Annotation(annotations, "initTime").Type, "initTime of a cold start")
		})
	}},
	{66, "invoke_for_the_result", func(c *Fixture) {
		c.eachRuntime(func(c *Fixture, runtime runtime) {
			c.A.PutAction(c, "echo", runtime.echo)
			payload := `{"x":1,"text":"<ü&\u0000>","list":[1,null,true],"nested":{"a":{}}}`
			r := c.A.Post(c, "_/actions/echo?blocking=true&result=true", payload).Is(c, 200)
			c.sameJSON(payload, string(r.Body))
			require.NotEmpty(c, r.Header.Get("x-openwhisk-activation-id"))
		})
	}},
	{67, "result_without_blocking", func(c *Fixture) {
		c.A.PutAction(c, "echo", echo)
		c.A.Post(c, "_/actions/echo?result=true", `{}`).Is(c, 202)
	}},
	{68, "application_error_is_502_without_code", func(c *Fixture) {
		c.eachRuntime(func(c *Fixture, runtime runtime) {
			c.A.PutAction(c, "err", runtime.err)
			r := c.A.Post(c, "_/actions/err?blocking=true", `{}`).Is(c, 502)
			require.Equal(c, "application error", r.Field("response.status").String())
			require.Equal(c, gjson.False, r.Field("response.success").Type)
			c.sameJSON(`{"error":"boom"}`, r.Field("response.result").Raw)
			require.False(c, r.Field("code").Exists())
			require.Equal(c, r.ActivationID(), r.Header.Get("x-openwhisk-activation-id"))
		})
	}},
	{69, "application_error_for_the_result", func(c *Fixture) {
		c.A.PutAction(c, "err", runtimes[0].err)
		r := c.A.Post(c, "_/actions/err?blocking=true&result=true", `{}`).Is(c, 502)
		c.sameJSON(`{"error":"boom"}`, string(r.Body))
	}},
	{70, "crash_is_a_developer_error", func(c *Fixture) {
		c.eachRuntime(func(c *Fixture, runtime runtime) {
			c.A.PutAction(c, "crash", runtime.crash)
			r := c.A.Post(c, "_/actions/crash?blocking=true", `{}`).Is(c, 502)
			require.Equal(c, "action developer error", r.Field("response.status").String())
			require.NotEmpty(c, r.Field("response.result.error").String())
			require.False(c, r.Field("code").Exists())
		})
	}},
	{71, "array_result_is_bare", func(c *Fixture) {
		c.eachRuntime(func(c *Fixture, runtime runtime) {
			c.A.PutAction(c, "arr", runtime.arr)
			c.sameJSON(`[1,2]`, string(c.A.Post(c, "_/actions/arr?blocking=true", `{}`).Is(c, 200).Body))
		})
	}},
	{72, "error_hides_its_siblings", func(c *Fixture) {
		c.eachRuntime(func(c *Fixture, runtime runtime) {
			c.A.PutAction(c, "mixed", runtime.mixed)
			r := c.A.Post(c, "_/actions/mixed?blocking=true", `{}`).Is(c, 502)
			require.Equal(c, "application error", r.Field("response.status").String())
			c.sameJSON(`{"error":1}`, r.Field("response.result").Raw)
		})
	}},
	{73, "result_must_be_an_object_or_array", func(c *Fixture) {
		c.eachRuntime(func(c *Fixture, runtime runtime) {
			c.A.PutAction(c, "text", runtime.text)
			r := c.A.Post(c, "_/actions/text?blocking=true", `{}`).Is(c, 502)
			require.Equal(c, "action developer error", r.Field("response.status").String())
			// The platform's own text, or the one with which runtimes refuse such a
			// result and which then stands verbatim (openwhisk-invoker.md 1.3, 1.8).
			require.Regexp(c, `did not produce a valid JSON or JSON Array response|did not return a dictionary`, r.Field("response.result.error").String())
		})
	}},
	{74, "wait_ends_first", func(c *Fixture) {
		c.A.PutAction(c, "slow", slow)
		r := c.A.Post(c, "_/actions/slow?blocking=true&timeout=1000", `{"ms":3000}`).Is(c, 202)
		require.Equal(c, []string{"activationId"}, keys(r.JSON()))
		require.Equal(c, r.ActivationID(), r.Header.Get("x-openwhisk-activation-id"))
		c.sameJSON(`{"ms":3000}`, c.A.Activation(c, r.ActivationID()).Get("response.result").Raw)
	}},
	{75, "wait_too_long", func(c *Fixture) {
		c.A.PutAction(c, "echo", echo)
		for _, timeout := range []string{"60001", "0", "-1", "x"} {
			c.isError(c.A.Post(c, "_/actions/echo?blocking=true&timeout="+timeout, `{}`), 400,
				"The query parameter 'timeout' was malformed:\nTimeout must be number of milliseconds up to 60000.")
		}
	}},
	{76, "time_limit", func(c *Fixture) {
		c.eachRuntime(func(c *Fixture, runtime runtime) {
			c.A.PutAction(c, "slow", runtime.slow.With(harness.Limits{Timeout: 1000}))
			r := c.A.Post(c, "_/actions/slow?blocking=true", `{"ms":20000}`).Is(c, 502)
			require.Equal(c, "action developer error", r.Field("response.status").String())
			c.sameJSON(`{"error":"The action exceeded its time limits of 1000 milliseconds."}`, r.Field("response.result").Raw)
			require.Equal(c, gjson.True, harness.Annotation(r.Field("annotations"), "timeout").Type)
		})
	}},
	{77, "payload_must_be_an_object", func(c *Fixture) {
		c.A.PutAction(c, "echo", echo)
		for _, payload := range []string{`[1]`, `1`, `"x"`, `{"a":`, `{} {}`} {
			c.isErrorWith(c.A.Post(c, "_/actions/echo", payload), 400, "The request content was malformed:\n")
		}
	}},
	{78, "invoke_without_a_body", func(c *Fixture) {
		c.A.PutAction(c, "echo", echo)
		c.A.Post(c, "_/actions/echo", nil).Is(c, 202)
		r := c.A.Post(c, "_/actions/echo?blocking=true&result=true", nil).Is(c, 200)
		c.sameJSON(`{}`, string(r.Body))
	}},
	{79, "invoke_nothing", func(c *Fixture) {
		c.is404(c.A.Post(c, "_/actions/none", `{}`))
		c.is404(c.A.Post(c, "_/actions/nopackage/none", `{}`))
	}},
	{80, "payload_too_large", func(c *Fixture) {
		c.A.PutAction(c, "echo", echo)
		payload := `{"x":"` + strings.Repeat("x", 1<<20) + `"}`
		c.isError(c.A.Post(c, "_/actions/echo", payload), 413, "Request larger than allowed: 1048584 > 1048576 bytes.")
	}},
	{81, "final_parameters", func(c *Fixture) {
		a := echo.Annotated("final", true)
		a.Parameters = []harness.KeyValue{{Key: "a", Value: 1}, {Key: "n", Value: nil}}
		c.A.PutAction(c, "final", a)
		c.isError(c.A.Post(c, "_/actions/final", `{"a":2}`), 400,
			"Request defines parameters that are not allowed (e.g., reserved properties).")
		r := c.A.Post(c, "_/actions/final?blocking=true&result=true", `{"n":3}`).Is(c, 200)
		c.sameJSON(`{"a":1,"n":3}`, string(r.Body))
	}},
	{82, "parameters_merge", func(c *Fixture) {
		putPackage(c, c.A, "pkg", harness.KeyValue{Key: "p", Value: "P"}, harness.KeyValue{Key: "q", Value: "P"})
		a := echo
		a.Parameters = []harness.KeyValue{{Key: "q", Value: "A"}, {Key: "r", Value: "A"}}
		c.A.PutAction(c, "pkg/echo", a)
		r := c.A.Post(c, "_/actions/pkg/echo?blocking=true&result=true", `{"r":"X"}`).Is(c, 200)
		c.sameJSON(`{"p":"P","q":"A","r":"X"}`, string(r.Body))
	}},
	{83, "result_too_large", func(c *Fixture) {
		c.eachRuntime(func(c *Fixture, runtime runtime) {
			c.A.PutAction(c, "large", runtime.large)
			r := c.A.Post(c, "_/actions/large?blocking=true", `{}`).Is(c, 502)
			require.Equal(c, "application error", r.Field("response.status").String())
			require.Contains(c, r.Field("response.result.error").String(), "The action produced a response that exceeded the allowed length: ")
			require.Contains(c, r.Field("response.result.error").String(), " > 1048576 bytes. The truncated response was: {")
			require.Greater(c, r.Field("response.size").Int(), int64(3<<19))
		})
	}},
	{84, "activation_record", func(c *Fixture) {
		c.eachRuntime(func(c *Fixture, runtime runtime) {
			c.A.PutAction(c, "logs", runtime.logs)
			id := c.A.Post(c, "_/actions/logs?blocking=true", `{}`).Is(c, 200).ActivationID()
			record := c.A.Activation(c, id)
			require.False(c, record.Get("statusCode").Exists())
			require.Equal(c, gjson.Number, record.Get("response.size").Type)
			require.Equal(c, record.Get("end").Int()-record.Get("start").Int(), record.Get("duration").Int())
			c.hasBothLogLines(record.Get("logs"))
		})
	}},
	{85, "result_and_logs_of_an_activation", func(c *Fixture) {
		c.A.PutAction(c, "logs", runtimes[0].logs)
		id := c.A.Post(c, "_/actions/logs", `{}`).Is(c, 202).ActivationID()
		c.A.Activation(c, id)
		result := c.A.Get(c, "_/activations/"+id+"/result").Is(c, 200)
		require.Equal(c, []string{"result", "size", "status", "success"}, keys(result.JSON()))
		c.sameJSON(`{}`, result.Field("result").Raw)
		logs := c.A.Get(c, "_/activations/"+id+"/logs").Is(c, 200)
		require.Equal(c, []string{"logs"}, keys(logs.JSON()))
		c.hasBothLogLines(logs.Field("logs"))
	}},
	{86, "unknown_part_of_an_activation", func(c *Fixture) {
		c.A.PutAction(c, "echo", echo)
		id := c.A.Post(c, "_/actions/echo?blocking=true", `{}`).Is(c, 200).ActivationID()
		c.isError(c.A.Get(c, "_/activations/"+id+"/bogus"), 404, "The requested resource could not be found.")
	}},
	{87, "activation_id_too_short", func(c *Fixture) {
		c.isError(c.A.Get(c, "_/activations/"+strings.Repeat("a", 31)), 400, "Activation id length is 31 but must be 32.")
	}},
	{88, "activation_id_not_hexadecimal", func(c *Fixture) {
		c.isError(c.A.Get(c, "_/activations/"+strings.Repeat("a", 31)+"z"), 400, "The activation id is not valid.")
	}},
	{89, "unknown_activation", func(c *Fixture) {
		c.is404(c.A.Get(c, "_/activations/"+strings.Repeat("a", 32)))
	}},
	{90, "activation_summaries", func(c *Fixture) {
		c.A.PutAction(c, "summary", runtimes[0].err)
		id := c.A.Post(c, "_/actions/summary?blocking=true", `{}`).Is(c, 502).ActivationID()
		c.A.Activation(c, id)
		newest := c.A.Get(c, "_/activations?limit=1").Is(c, 200).JSON()
		require.Equal(c, []string{"activationId", "annotations", "duration", "end", "name", "namespace", "publish", "start", "statusCode", "version"}, keys(newest.Get("0")))
		require.Equal(c, id, newest.Get("0.activationId").String())
		require.Equal(c, "1", newest.Get("0.statusCode").Raw)
	}},
	{91, "activations_in_full", func(c *Fixture) {
		c.A.PutAction(c, "logs", runtimes[0].logs)
		id := c.A.Post(c, "_/actions/logs?blocking=true", `{}`).Is(c, 200).ActivationID()
		record := c.A.Activation(c, id)
		full := c.A.Get(c, "_/activations?docs=true&limit=1").Is(c, 200).JSON()
		c.sameJSON(record.Raw, full.Get("0").Raw)
		c.isError(c.A.Get(c, "_/activations?docs=true&count=true"), 400, "The parameter 'docs' is not permitted with 'count'.")
		require.Equal(c, []string{"activations"}, keys(c.A.Get(c, "_/activations?count=true").Is(c, 200).JSON()))
	}},
	{92, "activations_by_name", func(c *Fixture) {
		putPackage(c, c.A, "pkg")
		c.A.PutAction(c, "named", echo)
		c.A.PutAction(c, "pkg/named", echo)
		plain := c.A.Post(c, "_/actions/named?blocking=true", `{}`).Is(c, 200).ActivationID()
		packaged := c.A.Post(c, "_/actions/pkg/named?blocking=true", `{}`).Is(c, 200).ActivationID()
		c.A.Activation(c, plain)
		c.A.Activation(c, packaged)
		require.Equal(c, []string{plain}, names(c.A.Get(c, "_/activations?name=named").Is(c, 200).JSON(), "activationId"))
		require.Equal(c, []string{packaged}, names(c.A.Get(c, "_/activations?name=pkg/named").Is(c, 200).JSON(), "activationId"))
		c.isErrorWith(c.A.Get(c, "_/activations?name=a/b/c"), 400,
			"The query parameter 'name' was malformed:\n", "Parameter may be a 'simple' name or 'package-name/simple' name: a/b/c")
	}},
	{93, "activations_by_time", func(c *Fixture) {
		c.A.PutAction(c, "echo", echo)
		id := c.A.Post(c, "_/actions/echo?blocking=true", `{}`).Is(c, 200).ActivationID()
		start := c.A.Activation(c, id).Get("start").Raw
		require.Contains(c, names(c.A.Get(c, "_/activations?since="+start+"&upto="+start).Is(c, 200).JSON(), "activationId"), id)
		c.sameJSON(`[]`, string(c.A.Get(c, "_/activations?upto=1").Is(c, 200).Body))
	}},
	{94, "malformed_time", func(c *Fixture) {
		c.isErrorWith(c.A.Get(c, "_/activations?since=abc"), 400, "Parameter is not a valid value for epoch seconds: abc")
		c.isErrorWith(c.A.Get(c, "_/activations?upto=abc"), 400, "Parameter is not a valid value for epoch seconds: abc")
	}},
	{95, "foreign_activations", func(c *Fixture) {
		c.isErrorWith(c.A.Get(c, c.B.Name+"/activations"), 403, "'"+c.B.Name+"'")
	}},
}

func (c *Fixture) hasBothLogLines(logs gjson.Result) {
	c.Helper()
	var lines []string
	for _, line := range logs.Array() {
		parts := logLine.FindStringSubmatch(line.String())
		require.NotNilf(c, parts, "log line %q", line)
		lines = append(lines, parts[2]+" "+parts[3])
	}
	require.ElementsMatch(c, []string{"stdout to stdout", "stderr to stderr"}, lines)
}
