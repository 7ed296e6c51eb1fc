package activation

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

func testTask(content string, initArgs ...string) *Task {
	return &Task{
		Action: &entity.Action{
			Header: entity.Header{Namespace: "ns/pkg", Name: "hello", Version: entity.FirstVersion, Revision: "7",
				Annotations: entity.Parameters{{Key: "provide-api-key", Value: json.RawMessage("false")}}},
			Exec:   entity.Exec{Kind: "nodejs:20"},
			Limits: entity.DefaultLimitRanges().Std(),
		},
		Delivery: bus.Delivery{Message: &bus.ActivationMessage{
			Transid: bus.Transid{ID: "tid", Start: time.UnixMilli(1000)},
			Action:  entity.FQN{Path: "ns/pkg", Name: "hello"}, Version: entity.FirstVersion,
			User:         entity.Identity{Subject: "sub", Namespace: "guest", Key: entity.AuthKey{UUID: "u", Key: "k"}},
			ActivationID: "0123456789abcdef0123456789abcdef",
			Content:      json.RawMessage(content), InitArgs: initArgs,
		}},
	}
}

func TestArgumentsSplit(t *testing.T) {
	for _, c := range []struct{ name, content, run, env string }{
		{"nothing", ``, `{}`, `{}`},
		{"raw bytes pass through", `{"n":1.50e3,"s":"<\u00e9>"}`, `{"n":1.50e3,"s":"<\u00e9>"}`, `{}`},
		{"strings as they are", `{"INIT":"a\"b","x":1}`, `{"x":1}`, `{"INIT":"a\"b"}`},
		{"null is empty", `{"INIT":null}`, `{}`, `{"INIT":""}`},
		{"numbers keep their spelling", `{"INIT":1.50e3}`, `{}`, `{"INIT":"1.50e3"}`},
		{"booleans", `{"x":[],"INIT":true}`, `{"x":[]}`, `{"INIT":"true"}`},
		{"objects become compact JSON", `{"INIT":{"a": [1, 2]}}`, `{}`, `{"INIT":"{\"a\":[1,2]}"}`},
		{"arrays pass whole", `[1,"INIT"]`, `[1,"INIT"]`, `{}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			run, env := arguments(json.RawMessage(c.content), []string{"INIT"})
			require.Equal(t, c.run, string(run))
			got := map[string]string{}
			for _, e := range env {
				got[e.key] = e.value
			}
			text, err := entity.EncodeJSON(got)
			require.NoError(t, err)
			require.Equal(t, c.env, string(text))
		})
	}
}

// TestBodies holds the shapes of openwhisk-invoker.md 1.1 and 1.2, and trap 6: the
// deadline is a string, api_host is not there, the key only where it is granted.
func TestBodies(t *testing.T) {
	task := testTask(`{"a":1,"INIT":"v"}`, "INIT")
	run, env := arguments(task.Message().Content, task.Message().InitArgs)
	deadline := time.UnixMilli(1570223213407)
	require.JSONEq(t, `{"value":{"name":"hello","main":"main","code":"return 1 < 2","binary":false,"env":{
		"INIT":"v","__OW_NAMESPACE":"guest","__OW_ACTION_NAME":"/ns/pkg/hello","__OW_ACTION_VERSION":"0.0.1",
		"__OW_ACTIVATION_ID":"0123456789abcdef0123456789abcdef","__OW_TRANSACTION_ID":"tid","__OW_DEADLINE":"1570223213407"}}}`,
		string(appendInit(nil, task, "return 1 < 2", env, newContext(task, deadline))))
	require.JSONEq(t, `{"value":{"a":1},"namespace":"guest","action_name":"/ns/pkg/hello","action_version":"0.0.1",
		"activation_id":"0123456789abcdef0123456789abcdef","transaction_id":"tid","deadline":"1570223213407"}`,
		string(appendRun(nil, run, newContext(task, deadline))))
}

func TestKeyIsGrantedByAnnotationOrItsAbsence(t *testing.T) {
	for _, c := range []struct {
		name        string
		annotations entity.Parameters
		granted     bool
	}{
		{"absent: an old action", nil, true},
		{"true", entity.Parameters{{Key: "provide-api-key", Value: json.RawMessage("true")}}, true},
		{"false", entity.Parameters{{Key: "provide-api-key", Value: json.RawMessage("false")}}, false},
		{"null", entity.Parameters{{Key: "provide-api-key", Value: json.RawMessage("null")}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			task := testTask(`{}`)
			task.Action.Annotations = c.annotations
			body := string(appendRun(nil, []byte(`{}`), newContext(task, time.Now())))
			require.Equal(t, c.granted, json.Valid([]byte(body)) && contains(body, `"api_key":"u:k"`))
		})
	}
}

func contains(s, part string) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(s), &fields) != nil {
		return false
	}
	return string(fields["api_key"]) != "" && `"api_key":`+string(fields["api_key"]) == part
}

func TestBlackboxWithoutCodeSendsNone(t *testing.T) {
	task := testTask(`{}`)
	task.Action.Exec = entity.Exec{Kind: entity.KindBlackbox, Image: "me/img"}
	var body struct{ Value map[string]json.RawMessage }
	require.NoError(t, json.Unmarshal(appendInit(nil, task, "", nil, newContext(task, time.Now())), &body))
	require.NotContains(t, body.Value, "code")
}

// TestRecord holds openwhisk-invoker.md 2.8 and trap 8: duration includes init and
// excludes waiting; initTime is there for cold starts alone.
func TestRecord(t *testing.T) {
	task := testTask(`{}`)
	at := timing{
		init: &exchange{start: time.UnixMilli(1100), elapsed: 40 * time.Millisecond, timeout: time.Second},
		run:  &exchange{start: time.UnixMilli(1145), elapsed: 5 * time.Millisecond, timeout: time.Second},
	}
	a := newRecord(task, entity.Response{Result: json.RawMessage(`{}`)}, at)
	require.EqualValues(t, 1105, a.Start)
	require.EqualValues(t, 1150, a.End)
	require.EqualValues(t, 45, *a.Duration)
	require.Equal(t, `[{"key":"path","value":"ns/pkg/hello"},{"key":"kind","value":"nodejs:20"},`+
		`{"key":"limits","value":{"timeout":60000,"memory":256,"logs":10,"concurrency":1}},{"key":"timeout","value":false},`+
		`{"key":"initTime","value":40},{"key":"waitTime","value":100}]`, string(a.Annotations.AppendJSON(nil)))

	at.init = nil
	a = newRecord(task, entity.Response{}, at)
	_, cold := a.Annotations.Get("initTime")
	require.False(t, cold)
	wait, _ := a.Annotations.Get("waitTime")
	require.Equal(t, "145", string(wait))
}
