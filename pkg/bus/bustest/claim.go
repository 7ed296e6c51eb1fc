package bustest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

func runClaim(t *testing.T, open func(t *testing.T) Bus) {
	t.Run("OldestFirstAndAtMostMax", func(t *testing.T) {
		b := open(t)
		sent := publish(t, b, 0, 10)
		q := queue(t, b, 0)
		var got []bus.Delivery
		for len(got) < 10 {
			list, err := q.Claim(deadline(t), 3)
			require.NoError(t, err)
			require.LessOrEqual(t, len(list), 3)
			got = append(got, list...)
		}
		requireMessages(t, sent, got)
		for i := range got[1:] {
			require.Less(t, got[i].Offset, got[i+1].Offset, "offsets follow the order")
		}
	})

	t.Run("WaitsForAMessage", func(t *testing.T) {
		b := open(t)
		q := queue(t, b, 0)
		got := make(chan []bus.Delivery)
		go func() {
			for range 5 {
				list, err := q.Claim(deadline(t), 8)
				if err != nil {
					t.Error(err)
				}
				got <- list
			}
		}()
		for range 5 {
			sent := publish(t, b, 0, 1)
			requireMessages(t, sent, <-got)
		}
		requireBacklog(t, q, 0)
	})

	t.Run("EndsWithItsContext", func(t *testing.T) {
		b := open(t)
		q := queue(t, b, 0)
		ctx, cancel := context.WithCancel(context.Background())
		failed := make(chan error, 1)
		go func() {
			_, err := q.Claim(ctx, 1)
			failed <- err
		}()
		cancel()
		require.ErrorIs(t, <-failed, context.Canceled)
		sent := publish(t, b, 0, 1) // goes to nobody who has left
		requireMessages(t, sent, claim(t, q, 1))
	})

	t.Run("NoMessageIsLostToAnEndedContext", func(t *testing.T) {
		b := open(t)
		q := queue(t, b, 0)
		var got []bus.Delivery
		for range 50 {
			ctx, cancel := context.WithCancel(context.Background())
			claimed := make(chan []bus.Delivery, 1)
			go func() {
				list, _ := q.Claim(ctx, 1)
				claimed <- list
			}()
			go cancel() // at any point of the Publish
			publish(t, b, 0, 1)
			got = append(got, <-claimed...)
		}
		if missing := 50 - len(got); missing > 0 {
			got = append(got, claim(t, q, missing)...)
		}
		requireDistinct(t, got)
		requireBacklog(t, q, 0)
	})

	t.Run("QueuesAreSeparate", func(t *testing.T) {
		b := open(t)
		q0, q1 := queue(t, b, 0), queue(t, b, 1)
		for0, for1 := publish(t, b, 0, 2), publish(t, b, 1, 3)
		requireBacklog(t, q0, 2)
		requireMessages(t, for1, claim(t, q1, 3))
		requireMessages(t, for0, claim(t, q0, 2))
	})

	t.Run("ReleasedComeBackInTheirOrder", func(t *testing.T) {
		b := open(t)
		sent := publish(t, b, 0, 5)
		q := queue(t, b, 0)
		got := claim(t, q, 4)
		require.NoError(t, q.Settle(deadline(t), bus.Settlement{Delivery: got[1], Record: Record(got[1].Message)}))
		require.NoError(t, q.Release(deadline(t), []bus.Delivery{got[3], got[2]}))
		requireBacklog(t, q, 3)
		requireMessages(t, sent[2:], claim(t, q, 3))
	})

	t.Run("ReleasedWakeAWaitingClaim", func(t *testing.T) {
		b := open(t)
		q := queue(t, b, 0)
		publish(t, b, 0, 1)
		first := claim(t, q, 1)
		got := make(chan []bus.Delivery, 1)
		go func() {
			list, err := q.Claim(deadline(t), 1)
			if err != nil {
				t.Error(err)
			}
			got <- list
		}()
		require.NoError(t, q.Release(deadline(t), first))
		require.Equal(t, first[0].Message.ActivationID, (<-got)[0].Message.ActivationID)
	})
}

func requireDistinct(t *testing.T, list []bus.Delivery) {
	t.Helper()
	seen := make(map[entity.ActivationID]bool, len(list))
	for _, d := range list {
		require.NotNil(t, d.Message, "%v", d.Err)
		require.False(t, seen[d.Message.ActivationID], "activation %s was claimed twice", d.Message.ActivationID)
		seen[d.Message.ActivationID] = true
	}
}
