package compose

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

func TestParseDirective(t *testing.T) {
	for _, c := range []struct{ name, result, action, params, state string }{
		{"all", `{"action":"a","params":{"n":1.50},"state":{"s":"<&>"}}`, `"a"`, `{"n":1.50}`, `{"s":"<&>"}`},
		{"nothing", `{"x":1}`, ``, ``, ``},
		{"an end with params", `{"params":{"n":1e400},"x":1}`, ``, `{"n":1e400}`, ``},
		{"boxes", `{"action":1,"params":[ 1 ],"state":null}`, `1`, `{"value":[ 1 ]}`, `{"state":null}`},
		{"null is an action, too", `{"action":null}`, `null`, ``, ``},
		{"an escaped name is the same name", `{"\u0061ction":"a"}`, `"a"`, ``, ``},
		{"the last of two counts", `{"action":"a","action":"b","state":{},"state":7}`, `"b"`, ``, `{"state":7}`},
		{"not nested", `{"o":{"action":"a"}}`, ``, ``, ``},
		{"an array", `[{"action":"a"}]`, ``, ``, ``},
		{"a string", `"action"`, ``, ``, ``},
		{"nothing at all", ``, ``, ``, ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := parseDirective(json.RawMessage(c.result))
			require.Equal(t, c.action != "", d.goesOn)
			require.Equal(t, c.action, d.action.Raw)
			require.Equal(t, c.params, string(d.params))
			require.Equal(t, c.state, string(d.state))
		})
	}
}

// openwhisk-rest-api.md section 12.
func TestParseComponent(t *testing.T) {
	for name, want := range map[string]string{
		`"a"`: "ns/a", `"p/a"`: "ns/p/a", `"/other/a"`: "other/a", `"/other/p/a"`: "other/p/a", `"other/p/a"`: "other/p/a",
		`"/_/a"`: "ns/a", `"/_/p/a"`: "ns/p/a", `"_/p/a"`: "ns/p/a", `"\u0061"`: "ns/a",
		`"a/"`: "ns/a", // empty parts are none, as in OpenWhisk
		`"/a"`: "", `"/"`: "", `""`: "", `"/a/b/c/d"`: "", `"a/b/c/d"`: "", `" "`: "", `"a,b"`: "",
		`1`: "", `null`: "", `["a"]`: "", `{"name":"a"}`: "", `true`: "",
	} {
		address, ok := parseComponent(gjson.Parse(name), "ns")
		require.Equal(t, want != "", ok, name)
		if ok {
			require.Equal(t, want, address.String(), name)
		}
	}
}

func TestOverlay(t *testing.T) {
	for _, c := range []struct{ name, result, state, want string }{
		{"nothing", ``, ``, `{}`},
		{"no state", `{"n":1.50, "s" : "<&>"}`, ``, `{"n":1.50,"s":"<&>"}`},
		{"an empty state", `{"n":1.50}`, `{}`, `{"n":1.50}`},
		{"state alone", ``, `{"n":1.50}`, `{"n":1.50}`},
		{"the state wins", `{"a":1,"b":2}`, `{"b":{"c":[ ]},"d":4}`, `{"a":1,"b":{"c":[ ]},"d":4}`},
		{"by the name, not its spelling", `{"\u0061":1,"b":2}`, `{"a":3}`, `{"b":2,"a":3}`},
		{"names keep their spelling", `{"\ud800":1,"\u00e9":2}`, `{"\/":3}`, `{"\ud800":1,"\u00e9":2,"\/":3}`},
		{"an array is boxed", `[1,2]`, `{"s":1}`, `{"value":[1,2],"s":1}`},
		{"null is boxed", `null`, `{"s":1}`, `{"value":null,"s":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, string(overlay(json.RawMessage(c.result), json.RawMessage(c.state))))
		})
	}
}

// TestOverlayOfManyFields: a megabyte holds a hundred thousand. To copy them all for
// each would take minutes.
func TestOverlayOfManyFields(t *testing.T) {
	const n = 100_000
	result := "{" + strings.Repeat(`"a":1,`, n) + `"b":1}`
	var distinct strings.Builder
	for i := range n {
		distinct.WriteString(`,"` + time.Duration(i).String() + `":1`)
	}
	state := "{" + distinct.String()[1:] + "}"
	require.Equal(t, result[:len(result)-1]+","+state[1:], string(overlay(json.RawMessage(result), json.RawMessage(state))))
	require.Equal(t, state, string(overlay(json.RawMessage(state), nil)))
	require.Equal(t, state, string(overlay(json.RawMessage(state), json.RawMessage(state))))
}

func TestRuleLine(t *testing.T) {
	rule := firedRule{Rule: entity.FQN{Path: "ns", Name: "r"}, Action: entity.FQN{Path: "other/p", Name: "a"}}
	require.Equal(t, `{"statusCode":0,"success":true,"activationId":"0123","rule":"ns/r","action":"other/p/a"}`, ruleLine{rule: rule, id: "0123"}.String())
	require.Equal(t, `{"statusCode":3,"success":false,"error":"a \"b\" <c>\n","rule":"ns/r","action":"other/p/a"}`,
		ruleLine{rule: rule, id: "0123", status: entity.StatusWhiskError, text: "a \"b\" <c>\n"}.String())
}

// tasks are one of each kind, with JSON that must keep its spelling.
func tasks() []*task {
	const odd = `{"n":1.50,"big":123456789012345678901234567890,"e":1e400,"s":"<&>\u2028\ud800\u0061é","a":1,"a":2,"":{}}`
	head := func(k Kind) task {
		return task{
			Kind: k, ID: entity.NewActivationID(), Start: 1732176000123, Transid: wireTransid{"mine", 1732176000100, true},
			Subject: "alice", Namespace: "ns", UUID: "u", Life: entity.NewActivationID(), Version: entity.FirstVersion,
		}
	}
	sequence := head(Sequence)
	sequence.Payload, sequence.Action, sequence.Binding = json.RawMessage(odd), entity.FQN{Path: "other/p", Name: "s"}, "ns/b"
	sequence.Limits, sequence.Components = entity.DefaultLimitRanges().Std(), []entity.FQN{{Path: "ns", Name: "a"}, {Path: "other/p", Name: "a b"}}
	composition := head(Composition)
	composition.Payload, composition.Action, composition.Unrecorded = json.RawMessage(`[1.0,"<&>"]`), entity.FQN{Path: "ns", Name: "c"}, true
	fire := head(TriggerFire)
	fire.Trigger, fire.Payload = "t", json.RawMessage(odd)
	fire.Parameters = entity.Parameters{{Key: "p", Value: json.RawMessage(`{"n":1.50,"s":"<&>\u2028"}`)}}
	fire.Rules = []firedRule{{entity.FQN{Path: "ns", Name: "r"}, entity.FQN{Path: "ns", Name: "a"}, entity.RuleInactive}}
	return []*task{&sequence, &composition, &fire}
}

func TestTaskKeepsItsSpellingInTheJournal(t *testing.T) {
	for _, want := range tasks() {
		t.Run(string(want.Kind), func(t *testing.T) {
			e, err := want.entry()
			require.NoError(t, err)
			got, err := parseTask(e)
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.Equal(t, want.transid(), got.transid())
		})
	}
}

func TestParseTaskRefuses(t *testing.T) {
	e, err := tasks()[0].entry()
	require.NoError(t, err)
	for name, change := range map[string]func(*bus.Entry){
		"another id":        func(e *bus.Entry) { e.ID = entity.NewActivationID() },
		"another namespace": func(e *bus.Entry) { e.Namespace = "other" },
		"an unknown kind":   func(e *bus.Entry) { e.Body = []byte(strings.Replace(string(e.Body), `"sequence"`, `"dance"`, 1)) },
		"no JSON":           func(e *bus.Entry) { e.Body = e.Body[1:] },
		"nothing":           func(e *bus.Entry) { e.Body = nil },
	} {
		changed := e
		change(&changed)
		_, err := parseTask(changed)
		require.ErrorContains(t, err, "journal entry "+string(changed.ID), name)
	}
}

// FuzzParseTask: whatever lies in the journal is refused or understood, and what is
// understood is written as it was read.
func FuzzParseTask(f *testing.F) {
	for _, t := range tasks() {
		e, err := t.entry()
		require.NoError(f, err)
		f.Add(string(e.ID), string(e.Namespace), e.Body)
	}
	f.Fuzz(func(t *testing.T, id, namespace string, body []byte) {
		read, err := parseTask(bus.Entry{ID: entity.ActivationID(id), Namespace: entity.Path(namespace), Body: body})
		if err != nil {
			return
		}
		e, err := read.entry()
		require.NoError(t, err)
		again, err := parseTask(e)
		require.NoError(t, err)
		second, err := again.entry()
		require.NoError(t, err)
		require.Equal(t, string(e.Body), string(second.Body))
		require.Equal(t, read.ID, read.failure("given up").ActivationID)
	})
}

// FuzzDirective: whatever a conductor answers, what goes on from it is JSON.
func FuzzDirective(f *testing.F) {
	f.Add(`{"action":"/_/p/a","params":{"n":1.50},"state":{"s":"<&>"}}`, `{"s":1}`)
	f.Add(`{"action":["a"],"params":[1],"state":null}`, `[1,2]`)
	f.Add(`{"\u0061ction":"\ud800","state":{"":{}}}`, `{"a":1,"a":2}`)
	f.Fuzz(func(t *testing.T, answer, result string) {
		if !json.Valid([]byte(answer)) || !json.Valid([]byte(result)) {
			return // runs that answer this have no result
		}
		d := parseDirective(json.RawMessage(answer))
		for _, object := range []json.RawMessage{d.params, d.state, overlay(json.RawMessage(result), d.state)} {
			var fields map[string]json.RawMessage
			require.True(t, object == nil || json.Unmarshal(object, &fields) == nil, "%s", object)
		}
		if address, ok := parseComponent(d.action, "ns"); ok {
			_, err := entity.ParseFQN(address.String())
			require.NoError(t, err)
		}
		require.True(t, json.Valid(problem("about %s", d.action.Raw)))
	})
}
