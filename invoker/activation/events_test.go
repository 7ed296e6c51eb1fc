package activation

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

func TestEventBody(t *testing.T) {
	m := &bus.ActivationMessage{Action: entity.FQN{Path: "guest/pkg", Name: "hello"}, ActivationID: "id", Cause: "outer"}
	action := &entity.Action{Exec: entity.Exec{Kind: "nodejs:20"}, Limits: entity.ActionLimits{Memory: 512}}
	size := int64(46)
	r := entity.Response{StatusCode: entity.StatusApplicationError, Result: json.RawMessage(`{"error":{"statusCode":404}}`), Size: &size}
	record := m.Record(r, time.UnixMilli(1000), time.UnixMilli(1003))
	record.Annotations = append(m.Annotations(action, false, 0), intAnnotation("waitTime", 58), intAnnotation("initTime", 7))
	require.Equal(t, `{"name":"guest/pkg/hello","activationId":"id","statusCode":1,"duration":3,"waitTime":58,"initTime":7,`+
		`"kind":"nodejs:20","conductor":false,"memory":512,"causedBy":"sequence","size":46,"userDefinedStatusCode":404}`, string(appendEvent(nil, record)))

	m.Cause = ""
	unrun := m.UnrunRecord(nil, entity.ErrorResponse(entity.StatusWhiskError, "no"), time.UnixMilli(1000))
	require.Equal(t, `{"name":"guest/pkg/hello","activationId":"id","statusCode":3,"duration":0,"waitTime":0,"initTime":0,`+
		`"kind":"unknown","conductor":false,"memory":0}`, string(appendEvent(nil, unrun)))
}

func TestUserDefinedStatusCode(t *testing.T) {
	for result, want := range map[string]int64{
		`{"statusCode":201}`: 201, `{"statusCode":"302"}`: 302, `{"statusCode":"teapot"}`: 400, `{"statusCode":null}`: 400, `{"statusCode":{}}`: 400,
		`{"error":{"statusCode":404},"statusCode":200}`: 404, `{"error":{"statusCode":"x"}}`: 400, `{"error":"no","statusCode":418}`: 418,
	} {
		got, ok := userStatus([]byte(result))
		require.True(t, ok, result)
		require.Equal(t, want, got, result)
	}
	for _, result := range []string{``, `{}`, `{"a":{"statusCode":1}}`, `["statusCode"]`, `{"error":{}}`} {
		_, ok := userStatus([]byte(result))
		require.False(t, ok, result)
	}
}

type sentEvents chan bus.Event

func (s sentEvents) Send(e bus.Event) { s <- e }

// settledQueue settles everything.
type settledQueue struct{ bus.Queue }

func (settledQueue) Settle(context.Context, ...bus.Settlement) error { return nil }

type deafCompleter struct{}

func (deafCompleter) Complete(context.Context, entity.ControllerID, *bus.Completion) error {
	return nil
}

func TestEachEndHasOneEvent(t *testing.T) {
	events := make(sentEvents, 10)
	s := NewSettler(settledQueue{}, deafCompleter{}, 4, time.Millisecond, zaptest.NewLogger(t))
	s.Report(events)
	m := &bus.ActivationMessage{
		Action: entity.FQN{Path: "guest", Name: "a"}, ActivationID: "id", Blocking: true,
		User: entity.Identity{Subject: "alice", Namespace: "guest", Key: entity.AuthKey{UUID: "u"}},
	}
	record := m.UnrunRecord(nil, entity.Response{}, time.Now())
	s.Answer(m, record)
	s.Settle(bus.Delivery{Message: m}, record, bus.SlotFree)
	require.NoError(t, s.Close(t.Context()))
	require.Len(t, events, 1, "a result is no end")
	e := <-events
	require.Equal(t, "Activation", e.EventType)
	require.Equal(t, "invoker4", e.Source)
	require.Equal(t, "alice", e.Subject)
	require.Equal(t, "guest", e.Namespace)
	require.Equal(t, "u", e.UserID)
}
