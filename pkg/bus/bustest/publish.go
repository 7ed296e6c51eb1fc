package bustest

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/bus"
)

func runPublish(t *testing.T, open func(t *testing.T) Bus) {
	t.Run("AcceptedWaitsForItsInvoker", func(t *testing.T) {
		b := open(t)
		sent := publish(t, b, 3, 2)
		q := queue(t, b, 3)
		require.Empty(t, recovered(t, q))
		requireBacklog(t, q, 2)
		requireMessages(t, sent, claim(t, q, 2))
		requireBacklog(t, q, 0)
	})

	t.Run("AllFieldsArrive", func(t *testing.T) {
		for name, waits := range map[string]bool{"ClaimWaits": true, "ClaimComesLater": false} {
			t.Run(name, func(t *testing.T) {
				b := open(t)
				m := fullMessage()
				q := queue(t, b, 0)
				got := make(chan []bus.Delivery, 1)
				claimOne := func() {
					list, err := q.Claim(deadline(t), 1)
					if err != nil {
						t.Error(err)
					}
					got <- list
				}
				if waits {
					go claimOne()
				}
				require.NoError(t, b.Publish(deadline(t), 0, m))
				if !waits {
					go claimOne()
				}
				requireMessages(t, []*bus.ActivationMessage{m}, <-got)
			})
		}
	})

	t.Run("LargePayload", func(t *testing.T) {
		b := open(t)
		m := Message()
		m.Content = payload(1 << 20)
		require.NoError(t, b.Publish(deadline(t), 0, m))
		requireMessages(t, []*bus.ActivationMessage{m}, claim(t, queue(t, b, 0), 1))
	})

	t.Run("TooLargeIsRefused", func(t *testing.T) {
		b := open(t)
		m := Message()
		m.Content = payload(b.MaxMessage)
		require.ErrorIs(t, b.Publish(deadline(t), 0, m), bus.ErrTooLarge)
		requireBacklog(t, queue(t, b, 0), 0)
	})

	t.Run("DuplicateIsRefused", func(t *testing.T) {
		b := open(t)
		if !b.RefusesDuplicates {
			return // such a bus leaves it to the record's id
		}
		m := publish(t, b, 0, 1)[0]
		require.ErrorIs(t, b.Publish(deadline(t), 0, m), bus.ErrDuplicate)
		require.NoError(t, b.Publish(deadline(t), 1, m), "another queue is another matter")
		q := queue(t, b, 0)
		d := claim(t, q, 1)[0]
		require.ErrorIs(t, b.Publish(deadline(t), 0, m), bus.ErrDuplicate, "claimed is in the queue")
		require.NoError(t, q.Settle(deadline(t), bus.Settlement{Delivery: d, Record: Record(m)}))
		requireBacklog(t, q, 0)
	})

	t.Run("EndedContextPublishesNothing", func(t *testing.T) {
		b := open(t)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		require.ErrorIs(t, b.Publish(ctx, 0, Message()), context.Canceled)
		requireBacklog(t, queue(t, b, 0), 0)
	})
}

// payload is a JSON object of n bytes.
func payload(n int) []byte {
	return append(append([]byte(`{"x":"`), bytes.Repeat([]byte("x"), n-8)...), `"}`...)
}
