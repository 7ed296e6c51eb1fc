package retention

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// shelf has things of different ages.
type shelf struct {
	mu     sync.Mutex
	things []time.Time // guarded by mu
	err    error       // guarded by mu
}

func (s *shelf) Expire(_ context.Context, before time.Time, max int) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	var left []time.Time
	for _, at := range s.things {
		if at.Before(before) && n < max {
			n++
			continue
		}
		left = append(left, at)
	}
	s.things = left
	return n, nil
}

func (s *shelf) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.things)
}

func TestOldThingsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, broken := &shelf{}, &shelf{err: errors.New("down")}
		for range 2*step + 7 {
			s.things = append(s.things, time.Now())
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			require.NoError(t, Run(ctx, time.Hour, map[string]Expirer{"things": s, "others": broken}, zap.NewNop()))
		})
		time.Sleep(30 * time.Minute)
		s.mu.Lock()
		s.things = append(s.things, time.Now())
		s.mu.Unlock()
		require.Equal(t, 2*step+8, s.count())
		time.Sleep(32 * time.Minute)
		require.Equal(t, 1, s.count())
		stop()
		running.Wait()
	})
}

func TestNothingGoesWithoutATime(t *testing.T) {
	require.NoError(t, Run(t.Context(), 0, map[string]Expirer{"things": &shelf{}}, zap.NewNop()))
}
