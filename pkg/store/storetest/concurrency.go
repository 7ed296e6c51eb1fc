package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

func runConcurrency(t *testing.T, open func(t *testing.T) Stores) {
	ctx := context.Background()

	t.Run("OneOfManyCreatorsWins", func(t *testing.T) {
		s := open(t).Entities
		for round := range 5 {
			var won atomic.Int32
			var g errgroup.Group
			for i := range 8 {
				g.Go(func() error {
					err := s.Put(ctx, withCode(action("guest", numbered("a", round), int64(i)), fmt.Sprint(i)))
					if err == nil {
						won.Add(1)
					} else if !errors.Is(err, store.ErrConflict) {
						return err
					}
					return nil
				})
			}
			require.NoError(t, g.Wait())
			require.EqualValues(t, 1, won.Load())
		}
	})

	t.Run("NoUpdateIsLost", func(t *testing.T) {
		s := open(t).Entities
		put(t, s, trigger("guest", "counter", 0))
		const writers, each = 4, 10
		var g errgroup.Group
		for range writers {
			g.Go(func() error {
				for done := 0; done < each; {
					e, err := s.Entity(ctx, "guest/counter")
					if err != nil {
						return err
					}
					e.Head().Updated++
					switch err := s.Put(ctx, e); {
					case err == nil:
						done++
					case !errors.Is(err, store.ErrConflict):
						return err
					}
				}
				return nil
			})
		}
		require.NoError(t, g.Wait())
		require.EqualValues(t, writers*each, get(t, s, "guest/counter").Head().Updated)
	})

	t.Run("OneOfManyRecordsWins", func(t *testing.T) {
		s := open(t).Activations
		var g errgroup.Group
		var stored atomic.Int32
		list := make([]*entity.Activation, 40)
		for i := range list {
			list[i] = activation("guest", "a", int64(i))
		}
		for range 6 {
			g.Go(func() error {
				for _, a := range list {
					ok, err := s.Record(ctx, a)
					if err != nil {
						return err
					}
					if ok {
						stored.Add(1)
					}
				}
				return nil
			})
		}
		require.NoError(t, g.Wait())
		require.EqualValues(t, len(list), stored.Load())
		n, err := s.Count(ctx, store.ActivationQuery{Namespace: "guest"})
		require.NoError(t, err)
		require.Equal(t, len(list), n)
	})

	t.Run("PagesStayOrderedWhileWritesGoOn", func(t *testing.T) {
		s := open(t).Activations
		for i := range int64(60) {
			record(t, s, activation("guest", "old", i))
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for w := range 2 {
			wg.Go(func() {
				for i := int64(0); ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					if _, err := s.Record(ctx, activation("guest", fmt.Sprintf("new%d", w), 1000+i)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		defer wg.Wait()
		defer close(stop)
		upto := int64(59) // a reader of pages pins the range
		for range 10 {
			seen := make(map[entity.ActivationID]bool)
			last := int64(1 << 60)
			for skip := 0; skip < 60; skip += 7 {
				page, err := s.List(ctx, store.ActivationQuery{Namespace: "guest", Upto: &upto, Skip: skip, Limit: 7})
				require.NoError(t, err)
				for _, a := range page {
					require.LessOrEqual(t, a.Start, last)
					last = a.Start
					require.False(t, seen[a.ActivationID])
					seen[a.ActivationID] = true
				}
			}
			require.Len(t, seen, 60)
		}
	})

	t.Run("EndedContextsReadAndWriteNothing", func(t *testing.T) {
		s := open(t)
		ended, cancel := context.WithCancel(ctx)
		cancel()
		_, err := s.Entities.Entity(ended, "guest/a")
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, s.Entities.Put(ended, trigger("guest", "t", 1)), context.Canceled)
		_, err = s.Activations.Record(ended, activation("guest", "a", 1))
		require.ErrorIs(t, err, context.Canceled)
		_, err = s.Entities.Entity(ctx, "guest/t")
		require.ErrorIs(t, err, store.ErrNotFound)
	})
}
