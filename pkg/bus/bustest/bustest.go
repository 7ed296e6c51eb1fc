// Package bustest checks that a bus keeps the promises of package bus. Every
// implementation runs it, so that callers need not know which one they have.
package bustest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Bus is one process's end of a bus under test.
type Bus struct {
	bus.Publisher
	bus.Completer
	bus.Journal
	// Queue opens the queue of an invoker of this process.
	Queue func(entity.InvokerID) (bus.Queue, error)
	// HandleCompletions takes the completions for a controller of this process.
	HandleCompletions func(entity.ControllerID, bus.CompletionHandler) (stop func())
	// Activations is where Settle stores records.
	Activations store.ActivationStore
	// Reopen returns another end of the same bus as it is found after this one
	// was killed: nothing of this end was closed or is used any more.
	Reopen func() Bus
	// MaxMessage is how many bytes of JSON a message may have.
	MaxMessage int
	// RefusesDuplicates says that Publish knows what is in the queue.
	RefusesDuplicates bool
}

// Run runs the whole suite. open returns an empty bus that lives as long as the
// test it is given.
func Run(t *testing.T, open func(t *testing.T) Bus) {
	t.Run("Publish", func(t *testing.T) { runPublish(t, open) })
	t.Run("Claim", func(t *testing.T) { runClaim(t, open) })
	t.Run("Settle", func(t *testing.T) { runSettle(t, open) })
	t.Run("Recovery", func(t *testing.T) { runRecovery(t, open) })
	t.Run("Ownership", func(t *testing.T) { runOwnership(t, open) })
	t.Run("Completions", func(t *testing.T) { runCompletions(t, open) })
	t.Run("Republish", func(t *testing.T) { runRepublish(t, open) })
	t.Run("Journal", func(t *testing.T) { runJournal(t, open) })
	t.Run("Load", func(t *testing.T) { runLoad(t, open) })
}

// patience bounds waits that end at once when all is well.
const patience = time.Minute

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// Message returns a message as a controller sends it for guest/hello.
func Message() *bus.ActivationMessage {
	return &bus.ActivationMessage{
		Transid:  bus.Transid{ID: "8HsU0jVrJdGcR2", Start: time.UnixMilli(1700000000123)},
		Action:   entity.FQN{Path: "guest", Name: "hello"},
		Version:  entity.FirstVersion,
		Revision: "1-abc",
		User: entity.Identity{
			Subject: "guest", Namespace: "guest", Key: entity.AuthKey{UUID: "23bc46b1-71f6-4ed5-8c54-816aa4f8c502"},
		},
		ActivationID: entity.NewActivationID(),
		Controller:   "0",
		Blocking:     true,
		Content:      json.RawMessage(`{"name":"world"}`),
	}
}

// fullMessage uses every field, with values that are easily damaged.
func fullMessage() *bus.ActivationMessage {
	m := Message()
	m.Transid.Extra = true
	m.Action = entity.FQN{Path: "whisk.system/my tools", Name: "a&b@c.d"}
	m.Binding = "guest/bound"
	m.Version = entity.Version{Major: 3, Minor: 2, Patch: 1}
	m.User.Key.Key = "123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP"
	rate := 0
	m.User.Limits = entity.UserLimits{InvocationsPerMinute: &rate, AllowedKinds: []string{"nodejs:20"}}
	m.Content = json.RawMessage(`{"big":123456789012345678901234567890,"far":1e400,"money":0.10,"nul":"\u0000","lone":"\ud800","text":"€😀<&>","name":"world","secret":"s"}`)
	m.InitArgs = []string{"name"}
	m.LockedArgs = map[string]string{"secret": "aes-256"}
	m.Cause = entity.NewActivationID()
	m.Republished = true
	m.Trace = map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	return m
}

// Record returns a record that the message m may end with.
func Record(m *bus.ActivationMessage) *entity.Activation {
	duration := int64(3)
	return &entity.Activation{
		Namespace: entity.Path(m.User.Namespace), Name: m.Action.Name, Version: m.Version, Subject: m.User.Subject,
		ActivationID: m.ActivationID, Cause: m.Cause, Start: 1700000000200, End: 1700000000203, Duration: &duration,
		Response:    entity.Response{Result: json.RawMessage(`{"payload":"Hello, world!"}`)},
		Annotations: entity.Parameters{{Key: "path", Value: json.RawMessage(`"` + m.Action.String() + `"`)}, {Key: "kind", Value: json.RawMessage(`"nodejs:20"`)}},
	}
}

func queue(t *testing.T, b Bus, invoker entity.InvokerID) bus.Queue {
	t.Helper()
	q, err := b.Queue(invoker)
	require.NoError(t, err)
	t.Cleanup(func() { _ = q.Close() })
	return q
}

func publish(t *testing.T, b Bus, invoker entity.InvokerID, n int) []*bus.ActivationMessage {
	t.Helper()
	list := make([]*bus.ActivationMessage, n)
	for i := range list {
		list[i] = Message()
		require.NoError(t, b.Publish(deadline(t), invoker, list[i]))
	}
	return list
}

// claim claims exactly n messages, one or more at a time.
func claim(t *testing.T, q bus.Queue, n int) []bus.Delivery {
	t.Helper()
	var list []bus.Delivery
	for len(list) < n {
		more, err := q.Claim(deadline(t), n-len(list))
		require.NoError(t, err)
		require.NotEmpty(t, more)
		list = append(list, more...)
	}
	require.Len(t, list, n)
	return list
}

func requireMessages(t *testing.T, want []*bus.ActivationMessage, got []bus.Delivery) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		require.NoError(t, got[i].Err)
		require.NotNil(t, got[i].Message)
		require.Equal(t, string(want[i].AppendJSON(nil)), string(got[i].Message.AppendJSON(nil)))
	}
}

func requireBacklog(t *testing.T, q bus.Queue, want int) {
	t.Helper()
	n, err := q.Backlog(deadline(t))
	require.NoError(t, err)
	require.Equal(t, want, n)
}

func recovered(t *testing.T, q bus.Queue) []bus.Delivery {
	t.Helper()
	list, err := q.Recover(deadline(t))
	require.NoError(t, err)
	return list
}
