package bus_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

const record = `{"namespace":"guest","name":"a","version":"0.0.1","activationId":"` + id + `","entityType":"activation","subject":"guest","start":1,"end":2,"duration":1,` +
	`"response":{"statusCode":0,"result":{"n":0.10}},"logs":[],"updated":2,"annotations":[],"publish":false}`

// TestAcknowledgementsAreOpenWhisks: told apart by their fields.
func TestAcknowledgementsAreOpenWhisks(t *testing.T) {
	a, err := entity.ParseActivationDocument([]byte(record))
	require.NoError(t, err)
	transid := bus.Transid{ID: "t", Start: time.UnixMilli(5)}
	for name, c := range map[string]struct {
		completion *bus.Completion
		wire       string
	}{
		"combined":   {&bus.Completion{Kind: bus.Combined, Record: a, IsSystemError: true, Invoker: 3}, `{"transid":["t",5],"response":` + record + `,"isSystemError":true,"instance":{"instance":3,"instanceType":"invoker"}}`},
		"shrunk":     {&bus.Completion{Kind: bus.Combined, Invoker: 3}, `{"transid":["t",5],"response":"` + id + `","isSystemError":false,"instance":{"instance":3,"instanceType":"invoker"}}`},
		"completion": {&bus.Completion{Kind: bus.SlotFree, Invoker: 0}, `{"transid":["t",5],"activationId":"` + id + `","isSystemError":false,"instance":{"instance":0,"instanceType":"invoker"}}`},
		"result":     {&bus.Completion{Kind: bus.ResultReady, Record: a}, `{"transid":["t",5],"response":` + record + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			c.completion.Transid, c.completion.ActivationID = transid, id
			require.Equal(t, c.wire, string(c.completion.AppendJSON(nil)))
			got, err := bus.ParseCompletion([]byte(c.wire))
			require.NoError(t, err)
			require.Equal(t, c.wire, string(got.AppendJSON(nil)))
			require.Equal(t, c.completion.Kind, got.Kind)
		})
	}
	foreign := `{"activationId":"` + id + `","instance":{"instance":1,"userMemory":"2048 MB","instanceType":"invoker","tags":[],"dedicatedNamespaces":[]},"isSystemError":false,"transid":["sid_unknown",0]}`
	got, err := bus.ParseCompletion([]byte(foreign))
	require.NoError(t, err)
	require.Equal(t, bus.SlotFree, got.Kind)
	for _, text := range []string{``, `{}`, `[]`, `{"activationId":"` + id + `"}`, `{"response":"short"}`, `{"response":7}`, `{"response":{"activationId":"x"}}`, `{"instance":{"instance":0}}`} {
		_, err := bus.ParseCompletion([]byte(text))
		require.Error(t, err, text)
	}
}

func TestSignsOfLife(t *testing.T) {
	p := &bus.Ping{Invoker: 7, UniqueName: "u", DisplayedName: "d", UserMemory: 2048, BusyMemory: 256, Enabled: false, Waiting: 3, Sent: time.UnixMilli(9)}
	text, err := p.JSON()
	require.NoError(t, err)
	got, err := bus.ParsePing(text)
	require.NoError(t, err)
	require.Equal(t, p, got)
	got, err = bus.ParsePing([]byte(`{"name":{"instance":0,"userMemory":"2 GB","instanceType":"invoker","tags":[],"dedicatedNamespaces":[]}}`))
	require.NoError(t, err)
	require.True(t, got.Enabled, "as OpenWhisk's older pings mean it")
	require.Equal(t, entity.Megabytes(2048), got.UserMemory)
	for _, text := range []string{``, `{}`, `{"name":{"instance":-1,"instanceType":"invoker"}}`, `{"name":{"instance":2000000000,"instanceType":"invoker"}}`,
		`{"name":{"instance":0,"instanceType":"controller"}}`, `{"name":{"instance":0,"userMemory":"much","instanceType":"invoker"}}`} {
		_, err := bus.ParsePing([]byte(text))
		require.Error(t, err, text)
	}

	h := &bus.Heartbeat{Controller: "1", UniqueName: "u", Leaving: true, Sent: time.UnixMilli(9)}
	text, err = h.JSON()
	require.NoError(t, err)
	beat, err := bus.ParseHeartbeat(text)
	require.NoError(t, err)
	require.Equal(t, h, beat)
	for _, text := range []string{``, `{}`, `{"name":{"asString":"0"}}`} {
		_, err := bus.ParseHeartbeat([]byte(text))
		require.Error(t, err, text)
	}
}

func TestInvalidations(t *testing.T) {
	for _, i := range []*bus.Invalidation{
		{Entity: "guest/hello", From: "controller0"}, {Entity: "guest/hello", From: "controller0", Number: 4},
		{Subjects: true, From: "admin"}, {From: "controller1", AnswerTo: "controller0", Number: 4},
	} {
		text, err := i.JSON()
		require.NoError(t, err)
		got, err := bus.ParseInvalidation(text)
		require.NoError(t, err)
		require.Equal(t, i, got)
	}
	text, err := (&bus.Invalidation{Entity: "guest/hello", From: "controller0"}).JSON()
	require.NoError(t, err)
	require.Equal(t, `{"key":{"mainId":"guest/hello"},"instanceId":"controller0"}`, string(text), "OpenWhisk's")
	for _, text := range []string{``, `{}`, `{"instanceId":"x"}`, `{"key":7}`} {
		_, err := bus.ParseInvalidation([]byte(text))
		require.Error(t, err, text)
	}
}

func TestEvents(t *testing.T) {
	text, err := (&bus.Event{
		Body: json.RawMessage(`{"metricName":"ConcurrentRateLimit","metricValue":1}`), EventType: "Metric", Source: "controller0",
		Subject: "guest", Namespace: "guest", UserID: "u", Timestamp: time.UnixMilli(5),
	}).JSON()
	require.NoError(t, err)
	require.Equal(t, `{"body":{"metricName":"ConcurrentRateLimit","metricValue":1},"eventType":"Metric","source":"controller0","subject":"guest","namespace":"guest","userId":"u","timestamp":5}`, string(text))
}

func FuzzParseCompletion(f *testing.F) {
	f.Add(`{"transid":["t",5],"response":` + record + `,"isSystemError":true,"instance":{"instance":3}}`)
	f.Add(`{"transid":["t",5],"activationId":"` + id + `","instance":{"instance":0}}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := bus.ParseCompletion([]byte(text))
		if err != nil {
			return
		}
		if _, err := bus.ParseCompletion(c.AppendJSON(nil)); err != nil {
			t.Errorf("%q gives %q: %v", text, c.AppendJSON(nil), err)
		}
	})
}

func FuzzParseSigns(f *testing.F) {
	f.Add(`{"name":{"instance":0,"userMemory":"2 GB","instanceType":"invoker"},"isEnabled":true}`)
	f.Add(`{"key":{"mainId":"guest/hello"},"instanceId":"controller0"}`)
	f.Add(`{"name":{"asString":"0","instanceType":"controller"},"sent":1}`)
	f.Fuzz(func(_ *testing.T, text string) {
		// None of them may panic, whatever it is given.
		_, _ = bus.ParsePing([]byte(text))
		_, _ = bus.ParseHeartbeat([]byte(text))
		_, _ = bus.ParseInvalidation([]byte(text))
	})
}
