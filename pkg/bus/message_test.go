package bus_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

const id = "0efe54d8fb96486bbe54d8fb96d86bbe"

func full() *bus.ActivationMessage {
	rate := 7
	return &bus.ActivationMessage{
		Transid: bus.Transid{ID: "tid\"1", Start: time.UnixMilli(1700000000123), Extra: true},
		Action:  entity.FQN{Path: "whisk.system/tools", Name: "a b"}, Binding: "guest/mine", Version: entity.Version{Major: 1, Minor: 2, Patch: 3}, Revision: "4-abc",
		User: entity.Identity{Subject: "Jürgen", Namespace: "guest", Key: entity.AuthKey{UUID: "23bc46b1-71f6-4ed5-8c54-816aa4f8c502", Key: "secret:with:colons"},
			Limits: entity.UserLimits{InvocationsPerMinute: &rate}},
		ActivationID: id, Controller: "1", Blocking: true,
		Content:  json.RawMessage(`{"b":1e400,"a":123456789012345678901234567890,"c":0.10,"s":"\u0000\ud800€"}`),
		InitArgs: []string{"a"}, LockedArgs: map[string]string{"b": "aes-128", "a": "aes-256"},
		Cause: "aaaa54d8fb96486bbe54d8fb96d86bbe", Republished: true, Trace: map[string]string{"traceparent": "00-1"},
	}
}

func TestMessageIsOpenWhisks(t *testing.T) {
	require.JSONEq(t, `{"transid":["tid\"1",1700000000123,true],
		"action":{"path":"whisk.system/tools","name":"a b","version":"1.2.3","binding":"guest/mine"},"revision":"4-abc",
		"user":{"subject":"Jürgen","namespace":{"name":"guest","uuid":"23bc46b1-71f6-4ed5-8c54-816aa4f8c502"},
			"authkey":{"api_key":"23bc46b1-71f6-4ed5-8c54-816aa4f8c502:secret:with:colons"},"rights":["READ","PUT","DELETE","ACTIVATE"],"limits":{"invocationsPerMinute":7}},
		"activationId":"`+id+`","rootControllerIndex":{"asString":"1","instanceType":"controller"},"blocking":true,
		"content":{"s":1},"initArgs":["a"],"lockedArgs":{"a":"aes-256","b":"aes-128"},"cause":"aaaa54d8fb96486bbe54d8fb96d86bbe","republished":true,"traceContext":{"traceparent":"00-1"}}`,
		string(func() []byte { m := full(); m.Content = json.RawMessage(`{"s":1}`); return m.AppendJSON(nil) }()))
}

func TestMessageRoundTrip(t *testing.T) {
	bare := &bus.ActivationMessage{Action: entity.FQN{Path: "guest", Name: "a"}, ActivationID: id}
	for name, m := range map[string]*bus.ActivationMessage{"Full": full(), "Bare": bare} {
		t.Run(name, func(t *testing.T) {
			text := m.AppendJSON(nil)
			got, err := bus.ParseActivationMessage(text)
			require.NoError(t, err)
			require.Equal(t, string(text), string(got.AppendJSON(nil)))
			require.Equal(t, string(m.Content), string(got.Content), "to the letter")
			require.Equal(t, m.User, got.User)
			require.Equal(t, m.Version, got.Version)
		})
	}
}

func TestSecretsTravelOnlyIfNeeded(t *testing.T) {
	m := full()
	m.User.Key.Key = ""
	text := string(m.AppendJSON(nil))
	require.NotContains(t, text, "api_key")
	got, err := bus.ParseActivationMessage([]byte(text))
	require.NoError(t, err)
	require.Equal(t, m.User.Key, got.User.Key)
}

func TestForeignMessages(t *testing.T) {
	for name, text := range map[string]string{
		"NullRevision": `{"transid":["x",1],"action":{"path":"guest","name":"a"},"revision":null,"user":{},"activationId":"` + id + `","content":null}`,
		"OddTransid":   `{"transid":[7,"x"],"action":{"path":"guest","name":"a"},"activationId":"` + id + `"}`,
		"OtherKey":     `{"user":{"namespace":{"name":"guest","uuid":"u"},"authkey":{"api_key":"v:secret"}},"action":{"path":"guest","name":"a"},"activationId":"` + id + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			m, err := bus.ParseActivationMessage([]byte(text))
			require.NoError(t, err)
			require.Empty(t, m.Revision)
			require.Nil(t, m.Content)
			require.Empty(t, m.User.Key.Key)
		})
	}
}

func TestUnreadableMessages(t *testing.T) {
	good := string(full().AppendJSON(nil))
	for name, text := range map[string]string{
		"Empty": ``, "Cut": good[:len(good)-1], "Array": `[]`, "Null": `null`,
		"NoID":      strings.ReplaceAll(good, id, ""),
		"NoAction":  strings.Replace(good, `"name":"a b"`, `"name":""`, 1),
		"SlashName": strings.Replace(good, `"name":"a b"`, `"name":"a/b"`, 1),
		"BadCause":  strings.Replace(good, `"cause":"aaaa`, `"cause":"\"},{`, 1),
		"BadLimits": strings.Replace(good, `"invocationsPerMinute":7`, `"invocationsPerMinute":"7"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			require.NotEqual(t, good, text)
			_, err := bus.ParseActivationMessage([]byte(text))
			require.ErrorContains(t, err, "activation message")
		})
	}
}

func FuzzParseActivationMessage(f *testing.F) {
	f.Add(string(full().AppendJSON(nil)))
	f.Add(`{"transid":["x",1],"action":{"path":"guest","name":"a"},"revision":null,"user":{},"activationId":"` + id + `","content":[1]}`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := bus.ParseActivationMessage([]byte(text))
		if err != nil {
			return
		}
		out := m.AppendJSON(nil)
		again, err := bus.ParseActivationMessage(out)
		if err != nil {
			t.Fatalf("%q gives %q: %v", text, out, err)
		}
		if string(again.AppendJSON(nil)) != string(out) {
			t.Errorf("%q is %q, then %q", text, out, again.AppendJSON(nil))
		}
	})
}
