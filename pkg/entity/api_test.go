package entity

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// The answers of openwhisk-rest-api.md section 29.

func TestActionAnswer(t *testing.T) {
	exec, err := ParseExec([]byte(`{"kind":"nodejs:default","code":"function main(p){return {hi: p.name}}"}`), resolve)
	require.NoError(t, err)
	a := &Action{
		Header: Header{Namespace: "guest/tools", Name: "hi", Version: FirstVersion, Updated: 1732161600000,
			Annotations: parameters(t, `[{"key":"web-export","value":true},{"key":"provide-api-key","value":false},{"key":"exec","value":"nodejs:20"}]`)},
		Exec:       *exec,
		Parameters: parameters(t, `[{"key": "name", "value": "x"}, {"key": "TOKEN", "value": "s", "init": true}]`),
		Limits:     DefaultLimitRanges().Std(),
	}
	a.Limits.Timeout = 5000
	require.JSONEq(t, `{"namespace": "guest/tools", "name": "hi", "version": "0.0.1", "publish": false,
		"exec": {"kind": "nodejs:20", "code": "function main(p){return {hi: p.name}}", "binary": false},
		"parameters": [{"key": "name", "value": "x"}, {"key": "TOKEN", "value": "s", "init": true}],
		"limits": {"timeout": 5000, "memory": 256, "logs": 10, "concurrency": 1},
		"annotations": [{"key": "web-export", "value": true}, {"key": "provide-api-key", "value": false}, {"key": "exec", "value": "nodejs:20"}],
		"updated": 1732161600000}`, string(a.AppendJSON(nil, true)))
	require.JSONEq(t, `{"namespace": "guest/tools", "name": "hi", "version": "0.0.1", "publish": false,
		"annotations": [{"key": "web-export", "value": true}, {"key": "provide-api-key", "value": false}, {"key": "exec", "value": "nodejs:20"}],
		"limits": {"timeout": 5000, "memory": 256, "logs": 10, "concurrency": 1}, "exec": {"binary": false}, "updated": 1732161600000}`, string(a.AppendSummary(nil)))
	a.Binding = "guest/bound"
	var bare map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(a.AppendJSON(nil, false), &bare))
	require.JSONEq(t, `{"kind":"nodejs:20","binary":false}`, string(bare["exec"]))
	require.JSONEq(t, `"guest/bound"`, string(bare["binding"]))
}

func TestPackageAnswer(t *testing.T) {
	p := &Package{Header: Header{Namespace: "other", Name: "mytools", Version: FirstVersion, Updated: 1732161602000,
		Annotations: parameters(t, `[{"key": "binding", "value": {"namespace": "guest", "name": "tools"}}]`)},
		Parameters: parameters(t, `[{"key":"name","value":"z"}]`), Binding: &PackageRef{"guest", "tools"}}
	require.JSONEq(t, `{"namespace": "other", "name": "mytools", "version": "0.0.1", "publish": false, "binding": {"namespace": "guest", "name": "tools"},
		"parameters": [{"key": "name", "value": "z"}], "annotations": [{"key": "binding", "value": {"namespace": "guest", "name": "tools"}}], "updated": 1732161602000}`, string(p.AppendJSON(nil)))
	require.Equal(t, Path("guest/tools"), p.Binding.Path())
	require.Equal(t, DocID("guest/tools"), p.Binding.ID())
	p.Binding, p.Annotations, p.Parameters = nil, nil, nil
	require.JSONEq(t, `{"namespace":"other","name":"mytools","version":"0.0.1","publish":false,"binding":{},"parameters":[],"annotations":[],"updated":1732161602000}`, string(p.AppendJSON(nil)))
	require.JSONEq(t, `{"namespace":"other","name":"mytools","version":"0.0.1","publish":false,"binding":false,"annotations":[],"updated":1732161602000}`, string(p.AppendSummary(nil)))
}

func TestTriggerAndRuleAnswers(t *testing.T) {
	r := &Rule{Header: Header{Namespace: "guest", Name: "r1", Version: FirstVersion, Updated: 1732161603000}, Trigger: FQN{"guest", "t1"}, Action: FQN{"guest/tools", "hi"}}
	require.JSONEq(t, `{"namespace": "guest", "name": "r1", "status": "active", "version": "0.0.1", "publish": false, "annotations": [],
		"trigger": {"path": "guest", "name": "t1"}, "action": {"path": "guest/tools", "name": "hi"}, "updated": 1732161603000}`, string(r.AppendJSON(nil, RuleActive)))
	require.JSONEq(t, `{"namespace": "guest", "name": "r1", "version": "0.0.1", "publish": false, "annotations": [],
		"trigger": {"path": "guest", "name": "t1"}, "action": {"path": "guest/tools", "name": "hi"}, "updated": 1732161603000}`, string(r.AppendSummary(nil)))

	trigger := &Trigger{Header: Header{Namespace: "guest", Name: "t1", Version: FirstVersion, Updated: 1732161602500},
		Rules: []TriggerRule{{Rule: FQN{"guest", "r1"}, Action: FQN{"guest/tools", "hi"}, Status: RuleActive}}}
	require.JSONEq(t, `{"namespace": "guest", "name": "t1", "version": "0.0.1", "publish": false, "annotations": [], "parameters": [], "limits": {},
		"rules": {"guest/r1": {"action": {"path": "guest/tools", "name": "hi"}, "status": "active"}}, "updated": 1732161602500}`, string(trigger.AppendJSON(nil)))
	require.JSONEq(t, `{"namespace": "guest", "name": "t1", "version": "0.0.1", "publish": false, "annotations": [], "updated": 1732161602500}`, string(trigger.AppendSummary(nil)))
}

func TestActivationAnswers(t *testing.T) {
	duration, size := int64(50), int64(10)
	a := &Activation{
		Namespace: "guest", Name: "hi", Version: FirstVersion, Subject: "guest", ActivationID: "0efe54d8fb96486bbe54d8fb96d86bbe",
		Start: 1732161601000, End: 1732161601050, Duration: &duration, Response: Response{Result: json.RawMessage(`{"hi":"y"}`), Size: &size},
		Annotations: parameters(t, `[{"key":"path","value":"guest/tools/hi"},{"key":"kind","value":"nodejs:20"}]`),
		Logs:        []string{"a line"},
	}
	const head = `"namespace":"guest","name":"hi","version":"0.0.1","activationId":"0efe54d8fb96486bbe54d8fb96d86bbe","start":1732161601000,"publish":false,
		"annotations":[{"key":"path","value":"guest/tools/hi"},{"key":"kind","value":"nodejs:20"}],`
	require.JSONEq(t, `{`+head+`"subject":"guest","end":1732161601050,"duration":50,"response":{"status":"success","success":true,"size":10,"result":{"hi":"y"}},"logs":["a line"]}`, string(a.AppendJSON(nil, true)))
	require.JSONEq(t, `{`+head+`"subject":"guest","end":1732161601050,"duration":50,"response":{"status":"success","success":true,"size":10,"result":{"hi":"y"}},"logs":[]}`, string(a.AppendJSON(nil, false)))
	require.JSONEq(t, `{`+head+`"end":1732161601050,"duration":50,"statusCode":0}`, string(a.AppendSummary(nil)))
	require.Equal(t, "tools/hi", a.FilterPath())

	// A sequence's duration is the sum of its components; lists show end - start.
	duration = 20
	a.Cause = "aaaa54d8fb96486bbe54d8fb96d86bbe"
	a.Response = ErrorResponse(StatusApplicationError, `bo"om`)
	require.JSONEq(t, `{`+head+`"cause":"aaaa54d8fb96486bbe54d8fb96d86bbe","end":1732161601050,"duration":50,"statusCode":1}`, string(a.AppendSummary(nil)))
	require.JSONEq(t, `{"status":"application error","success":false,"result":{"error":"bo\"om"}}`, string(a.Response.AppendJSON(nil)))

	fired := &Activation{Namespace: "guest", Name: "t1", Version: FirstVersion, Subject: "guest", ActivationID: "f0fe54d8fb96486bbe54d8fb96d86bbe", Start: 1732161604000,
		Response: Response{Result: json.RawMessage(`{"name":"w"}`)}, Logs: []string{`{"statusCode":0}`}}
	require.JSONEq(t, `{"namespace":"guest","name":"t1","version":"0.0.1","subject":"guest","activationId":"f0fe54d8fb96486bbe54d8fb96d86bbe","start":1732161604000,
		"response":{"status":"success","success":true,"result":{"name":"w"}},"logs":["{\"statusCode\":0}"],"annotations":[],"publish":false}`, string(fired.AppendJSON(nil, true)))
	require.JSONEq(t, `{"namespace":"guest","name":"t1","version":"0.0.1","activationId":"f0fe54d8fb96486bbe54d8fb96d86bbe","start":1732161604000,"annotations":[],"publish":false}`, string(fired.AppendSummary(nil)))
}

func TestStatusTexts(t *testing.T) {
	for code, want := range map[StatusCode]string{0: "success", 1: "application error", 2: "action developer error", 3: "whisk internal error", 4: "unknown", -1: "unknown"} {
		require.Equal(t, want, code.String())
	}
}

func TestFilterPaths(t *testing.T) {
	for annotations, want := range map[string]string{
		`[]`: "a", `[{"key":"path","value":"guest/a"}]`: "a", `[{"key":"path","value":"guest/pkg/a"}]`: "pkg/a", `[{"key":"path","value":7}]`: "a",
		`[{"key":"path","value":"other/tools/a"},{"key":"binding","value":"guest/mine"}]`:    "mine/a",
		`[{"key":"path","value":"other/tools/a"},{"key":"binding","value":"guest"}]`:         "tools/a",
		`[{"key":"path","value":"other/tools/a"},{"key":"binding","value":{"name":"mine"}}]`: "tools/a",
	} {
		a := Activation{Name: "a", Annotations: parameters(t, annotations)}
		require.Equal(t, want, a.FilterPath(), annotations)
	}
}
