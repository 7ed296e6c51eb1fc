package bustest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

func runSettle(t *testing.T, open func(t *testing.T) Bus) {
	read := func(t *testing.T, b Bus, m *bus.ActivationMessage) *entity.Activation {
		t.Helper()
		a, err := b.Activations.Activation(deadline(t), entity.Path(m.User.Namespace), m.ActivationID)
		require.NoError(t, err)
		return a
	}

	t.Run("StoresTheRecordAndForgetsTheMessage", func(t *testing.T) {
		b := open(t)
		q := queue(t, b, 0)
		publish(t, b, 0, 3)
		for _, d := range claim(t, q, 3) {
			r := Record(d.Message)
			require.NoError(t, q.Settle(deadline(t), bus.Settlement{Delivery: d, Record: r}))
			require.Equal(t, string(r.AppendJSON(nil, true)), string(read(t, b, d.Message).AppendJSON(nil, true)))
		}
		again := queue(t, b.Reopen(), 0)
		require.Empty(t, recovered(t, again))
		requireBacklog(t, again, 0)
	})

	t.Run("TheFirstRecordStays", func(t *testing.T) {
		b := open(t)
		q := queue(t, b, 0)
		m := publish(t, b, 0, 1)[0]
		d := claim(t, q, 1)[0]
		first := Record(m)
		stored, err := b.Activations.Record(deadline(t), first)
		require.NoError(t, err)
		require.True(t, stored)
		second := Record(m)
		second.Response = entity.ErrorResponse(entity.StatusWhiskError, "late")
		require.NoError(t, q.Settle(deadline(t), bus.Settlement{Delivery: d, Record: second}))
		require.Equal(t, string(first.AppendJSON(nil, true)), string(read(t, b, m).AppendJSON(nil, true)))
		require.Empty(t, recovered(t, queue(t, b.Reopen(), 0)))
	})

	t.Run("TwiceDoesNothing", func(t *testing.T) {
		b := open(t)
		q := queue(t, b, 0)
		publish(t, b, 0, 2)
		d := claim(t, q, 1)[0]
		for range 3 {
			require.NoError(t, q.Settle(deadline(t), bus.Settlement{Delivery: d, Record: Record(d.Message)}))
		}
		requireBacklog(t, q, 1)
		n, err := b.Activations.Count(deadline(t), store.ActivationQuery{Namespace: "guest"})
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})

	t.Run("SettledDoesNotTouchItsSuccessor", func(t *testing.T) {
		b := open(t)
		q := queue(t, b, 0)
		m := publish(t, b, 0, 1)[0]
		old := claim(t, q, 1)[0]
		require.NoError(t, q.Settle(deadline(t), bus.Settlement{Delivery: old}))
		require.NoError(t, b.Publish(deadline(t), 0, m), "a settled id is free again")
		require.NoError(t, q.Settle(deadline(t), bus.Settlement{Delivery: old}))
		require.NoError(t, q.Release(deadline(t), []bus.Delivery{old}))
		requireMessages(t, []*bus.ActivationMessage{m}, claim(t, q, 1))
	})

	t.Run("NilStoresNoRecord", func(t *testing.T) {
		b := open(t)
		q := queue(t, b, 0)
		m := publish(t, b, 0, 1)[0]
		require.NoError(t, q.Settle(deadline(t), bus.Settlement{Delivery: claim(t, q, 1)[0]}))
		_, err := b.Activations.Activation(deadline(t), "guest", m.ActivationID)
		require.ErrorIs(t, err, store.ErrNotFound)
		require.Empty(t, recovered(t, queue(t, b.Reopen(), 0)))
	})
}

func runRecovery(t *testing.T, open func(t *testing.T) Bus) {
	t.Run("ClaimedComeBackAcceptedWait", func(t *testing.T) {
		b := open(t)
		q := queue(t, b, 0)
		sent := publish(t, b, 0, 6)
		sent = append(sent, fullMessage())
		require.NoError(t, b.Publish(deadline(t), 0, sent[6]))
		got := claim(t, q, 4)
		require.NoError(t, q.Settle(deadline(t), bus.Settlement{Delivery: got[1], Record: Record(sent[1])}))

		b = b.Reopen()
		q = queue(t, b, 0)
		back := recovered(t, q)
		requireMessages(t, []*bus.ActivationMessage{sent[0], sent[2], sent[3]}, back)
		requireBacklog(t, q, 3)
		for _, d := range back {
			require.NoError(t, q.Settle(deadline(t), bus.Settlement{Delivery: d, Record: Record(d.Message)}))
		}
		requireMessages(t, sent[4:], claim(t, q, 3))

		q = queue(t, b.Reopen(), 0)
		require.Len(t, recovered(t, q), 3)
	})

	t.Run("HandedOverWhileWaitingIsClaimed", func(t *testing.T) {
		b := open(t)
		q := queue(t, b, 0)
		got := make(chan []bus.Delivery, 1)
		go func() {
			list, err := q.Claim(deadline(t), 4)
			if err != nil {
				t.Error(err)
			}
			got <- list
		}()
		sent := publish(t, b, 0, 1)
		requireMessages(t, sent, <-got)
		requireMessages(t, sent, recovered(t, queue(t, b.Reopen(), 0)))
	})

	t.Run("RecoveredCanBeReleased", func(t *testing.T) {
		b := open(t)
		sent := publish(t, b, 0, 2)
		claim(t, queue(t, b, 0), 2)
		q := queue(t, b.Reopen(), 0)
		require.NoError(t, q.Release(deadline(t), recovered(t, q)))
		requireMessages(t, sent, claim(t, q, 2))
	})

	t.Run("NewMessagesComeBehindOldOnes", func(t *testing.T) {
		b := open(t)
		sent := publish(t, b, 0, 2)
		b = b.Reopen()
		sent = append(sent, publish(t, b, 0, 2)...)
		requireMessages(t, sent, claim(t, queue(t, b, 0), 4))
	})
}
