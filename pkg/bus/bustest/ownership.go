package bustest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

func runOwnership(t *testing.T, open func(t *testing.T) Bus) {
	t.Run("OneOwnerAtATime", func(t *testing.T) {
		b := open(t)
		q := queue(t, b, 0)
		_, err := b.Queue(0)
		require.Error(t, err)
		require.NoError(t, q.Close())
		queue(t, b, 0)
	})

	t.Run("CloseEndsWaitingClaims", func(t *testing.T) {
		b := open(t)
		q := queue(t, b, 0)
		failed := make(chan error)
		for range 3 {
			go func() {
				_, err := q.Claim(deadline(t), 1)
				failed <- err
			}()
		}
		require.NoError(t, q.Close())
		for range 3 {
			require.ErrorIs(t, <-failed, bus.ErrClosed)
		}
		_, err := q.Claim(deadline(t), 1)
		require.ErrorIs(t, err, bus.ErrClosed)
		require.NoError(t, q.Close(), "closing twice is harmless")
	})

	t.Run("MessagesStayWhenTheQueueCloses", func(t *testing.T) {
		b := open(t)
		q := queue(t, b, 0)
		sent := publish(t, b, 0, 3)
		claim(t, q, 1)
		require.NoError(t, q.Close())
		q = queue(t, b, 0)
		requireMessages(t, sent[:1], recovered(t, q))
		requireMessages(t, sent[1:], claim(t, q, 2))
	})
}

func runCompletions(t *testing.T, open func(t *testing.T) Bus) {
	t.Run("ReachTheirController", func(t *testing.T) {
		b := open(t)
		got := make(chan string, 10)
		for _, c := range []entity.ControllerID{"0", "1"} {
			stop := b.HandleCompletions(c, func(done *bus.Completion) { got <- string(c) + " " + string(done.ActivationID) })
			defer stop()
		}
		for _, c := range []entity.ControllerID{"1", "0"} {
			m := fullMessage()
			done := &bus.Completion{Kind: bus.Combined, Transid: m.Transid, ActivationID: m.ActivationID, Record: Record(m), Invoker: 7}
			require.NoError(t, b.Complete(deadline(t), c, done))
			require.Equal(t, string(c)+" "+string(m.ActivationID), <-got)
		}
	})

	t.Run("AllFieldsArrive", func(t *testing.T) {
		b := open(t)
		got := make(chan *bus.Completion, 1)
		defer b.HandleCompletions("0", func(c *bus.Completion) { got <- c })()
		m := fullMessage()
		for _, sent := range []*bus.Completion{
			{Kind: bus.ResultReady, Transid: m.Transid, ActivationID: m.ActivationID, Record: Record(m), Invoker: 2},
			{Kind: bus.SlotFree, Transid: m.Transid, ActivationID: m.ActivationID, IsSystemError: true, Invoker: 2},
			{Kind: bus.Combined, Transid: m.Transid, ActivationID: m.ActivationID, Record: Record(m), Invoker: 0},
		} {
			require.NoError(t, b.Complete(deadline(t), "0", sent))
			c := <-got
			require.Equal(t, sent.Kind, c.Kind)
			require.Equal(t, sent.ActivationID, c.ActivationID)
			require.Equal(t, sent.Transid.ID, c.Transid.ID)
			require.Equal(t, sent.IsSystemError, c.IsSystemError)
			if sent.Kind != bus.ResultReady { // the wire form of a result names no invoker
				require.Equal(t, sent.Invoker, c.Invoker)
			}
			if sent.Record != nil {
				require.Equal(t, string(sent.Record.AppendJSON(nil, true)), string(c.Record.AppendJSON(nil, true)))
			}
		}
	})

	t.Run("ForNobodyAreDropped", func(t *testing.T) {
		b := open(t)
		stop := b.HandleCompletions("0", func(*bus.Completion) { t.Error("called after stop") })
		stop()
		done := &bus.Completion{Kind: bus.SlotFree, ActivationID: entity.NewActivationID()}
		require.NoError(t, b.Complete(deadline(t), "0", done))
		require.NoError(t, b.Complete(deadline(t), "nobody", done))
	})
}
