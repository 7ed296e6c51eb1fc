package bustest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/store"
)

func runLoad(t *testing.T, open func(t *testing.T) Bus) {
	t.Run("ManyClaimersGetEachMessageOnce", func(t *testing.T) {
		const publishers, each, claimers = 8, 50, 6
		b := open(t)
		q := queue(t, b, 0)
		var mu sync.Mutex
		var got []bus.Delivery
		all := make(chan struct{})
		claiming, stop := context.WithCancel(deadline(t))
		defer stop()
		var claims, sends errgroup.Group
		for i := range claimers {
			claims.Go(func() error {
				for {
					list, err := q.Claim(claiming, 1+i*3)
					if errors.Is(err, context.Canceled) {
						return nil
					}
					if err != nil {
						return err
					}
					for _, d := range list {
						if err := q.Settle(deadline(t), bus.Settlement{Delivery: d, Record: Record(d.Message)}); err != nil {
							return err
						}
					}
					mu.Lock()
					got = append(got, list...)
					if len(got) == publishers*each {
						close(all)
					}
					mu.Unlock()
				}
			})
		}
		for range publishers {
			sends.Go(func() error {
				for range each {
					if err := b.Publish(deadline(t), 0, Message()); err != nil {
						return err
					}
				}
				return nil
			})
		}
		require.NoError(t, sends.Wait())
		select {
		case <-all:
		case <-deadline(t).Done():
			mu.Lock()
			t.Errorf("%d of %d messages were claimed", len(got), publishers*each)
			mu.Unlock()
		}
		stop()
		require.NoError(t, claims.Wait())
		requireDistinct(t, got)
		n, err := b.Activations.Count(deadline(t), store.ActivationQuery{Namespace: "guest"})
		require.NoError(t, err)
		require.Equal(t, publishers*each, n)
		q = queue(t, b.Reopen(), 0)
		require.Empty(t, recovered(t, q))
		requireBacklog(t, q, 0)
	})

	t.Run("ReleasesAndClaimsLoseNothing", func(t *testing.T) {
		const messages = 120
		b := open(t)
		q := queue(t, b, 0)
		settled := make(chan bus.Delivery, messages)
		claiming, stop := context.WithCancel(deadline(t))
		defer stop()
		var g errgroup.Group
		for i := range 4 {
			g.Go(func() error {
				for turn := 0; ; turn++ {
					list, err := q.Claim(claiming, 1+i)
					if errors.Is(err, context.Canceled) {
						return nil
					}
					if err != nil {
						return err
					}
					if turn%3 == 0 { // as a drain does
						err = q.Release(deadline(t), list)
					} else {
						err = settleAll(deadline(t), q, list, settled)
					}
					if err != nil {
						return err
					}
				}
			})
		}
		publish(t, b, 0, messages)
		var got []bus.Delivery
		for range messages {
			select {
			case d := <-settled:
				got = append(got, d)
			case <-claiming.Done():
				t.Fatalf("%d of %d messages were settled", len(got), messages)
			}
		}
		stop()
		require.NoError(t, g.Wait())
		requireDistinct(t, got)
		requireBacklog(t, q, 0)
	})
}

func settleAll(ctx context.Context, q bus.Queue, list []bus.Delivery, settled chan<- bus.Delivery) error {
	for _, d := range list {
		if err := q.Settle(ctx, bus.Settlement{Delivery: d, Record: Record(d.Message)}); err != nil {
			return err
		}
		settled <- d
	}
	return nil
}
