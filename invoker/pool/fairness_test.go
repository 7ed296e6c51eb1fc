package pool

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// streams are clients that each have one job in the pool all the time.
type streams struct {
	rig     *rig
	ctx     context.Context
	clients sync.WaitGroup
	lastID  atomic.Int64
	// pause is how long clients wait between jobs.
	pause time.Duration
	// runs counts by action.
	mu   sync.Mutex
	runs map[string]int
}

func newStreams(t *testing.T, r *rig) (s *streams, stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	s = &streams{rig: r, ctx: ctx, runs: map[string]int{}}
	return s, func() {
		cancel()
		s.clients.Wait()
	}
}

func (s *streams) add(t *testing.T, action string, memory entity.Megabytes, duration time.Duration) {
	s.clients.Go(func() {
		for s.ctx.Err() == nil {
			done := make(chan struct{})
			j := job(fmt.Sprint(action, s.lastID.Add(1)), action, func(ctx context.Context) Outcome {
				defer close(done)
				return takes(duration)(ctx)
			})
			j.Memory = memory
			if err := s.rig.Submit(j); err != nil {
				t.Error(err)
				return
			}
			<-done
			_ = pass(s.ctx, s.pause)
			s.mu.Lock()
			s.runs[action]++
			s.mu.Unlock()
		}
	})
}

// A big job gets its memory although small ones of more actions than fit never
// cease to come.
func TestBigJobIsNotStarved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, DefaultConfig(1024), &fakeFactory{startTakes: 100 * time.Millisecond, engineTakes: 10 * time.Millisecond})
		s, stop := newStreams(t, r)
		defer stop()
		for i := range 8 {
			s.add(t, fmt.Sprint("small", i), 256, 50*time.Millisecond)
		}
		elapse(5 * time.Second)
		big := job("big", "big", nil)
		big.Memory = 1024
		r.submit(t, big)
		elapse(10 * time.Second)
		r.runner.mu.Lock()
		defer r.runner.mu.Unlock()
		require.Equal(t, 1, r.runner.ended["big"])
	})
}

// Two actions that both could use the only container all the time share it in
// slices that make the starts between them a small part of the time.
func TestTwoStreamsShareOneContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, DefaultConfig(256), &fakeFactory{startTakes: 100 * time.Millisecond, engineTakes: 10 * time.Millisecond})
		s, stop := newStreams(t, r)
		defer stop()
		for range 4 {
			s.add(t, "one", 256, 10*time.Millisecond)
			s.add(t, "two", 256, 10*time.Millisecond)
		}
		elapse(time.Minute)
		started, _ := r.factory.counts()
		s.mu.Lock()
		defer s.mu.Unlock()
		total := s.runs["one"] + s.runs["two"]
		require.Less(t, started, 60, "starts in a minute")
		require.Greater(t, total, 4500, "of 6000 that one container could run in a minute")
		require.Greater(t, s.runs["one"]*3, total, "%v", s.runs)
		require.Greater(t, s.runs["two"]*3, total, "%v", s.runs)
	})
}

// The same holds for two clients that call one after the other, so that the
// container falls idle after every call.
func TestTwoSequentialClientsShareOneContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, DefaultConfig(256), &fakeFactory{startTakes: 100 * time.Millisecond, engineTakes: 10 * time.Millisecond})
		s, stop := newStreams(t, r)
		defer stop()
		s.pause = time.Millisecond
		s.add(t, "one", 256, 10*time.Millisecond)
		s.add(t, "two", 256, 10*time.Millisecond)
		elapse(time.Minute)
		started, _ := r.factory.counts()
		s.mu.Lock()
		defer s.mu.Unlock()
		total := s.runs["one"] + s.runs["two"]
		require.Less(t, started, 80, "starts in a minute")
		require.Greater(t, total, 4000, "of 5454 that one container could run in a minute")
		require.Greater(t, s.runs["one"]*3, total, "%v", s.runs)
		require.Greater(t, s.runs["two"]*3, total, "%v", s.runs)
	})
}

// An action with many clients does not keep others from their first container.
func TestFloodLeavesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, DefaultConfig(1024), &fakeFactory{startTakes: 100 * time.Millisecond, engineTakes: 10 * time.Millisecond})
		s, stop := newStreams(t, r)
		defer stop()
		for range 50 {
			s.add(t, "flood", 256, 200*time.Millisecond)
		}
		elapse(5 * time.Second)
		require.Equal(t, 4, r.Snapshot().Running, "alone it has all the memory")
		r.submit(t, job("a1", "small", nil))
		elapse(500 * time.Millisecond)
		r.runner.mu.Lock()
		defer r.runner.mu.Unlock()
		require.Equal(t, 1, r.runner.ended["a1"], "after one run of the flood and one start")
	})
}

// TestParallelSubmitters drives a loop from many goroutines on the real clock, for
// the race detector.
func TestParallelSubmitters(t *testing.T) {
	cfg := DefaultConfig(2048)
	cfg.StemCells = []StemCellConfig{{Kind: "nodejs:20", Memory: 256, InitialCount: 2}}
	cfg.PauseGrace = time.Millisecond
	factory, runner := &fakeFactory{}, newFakeRunner()
	l := NewLoop(cfg, factory, runner, SystemClock{}, zap.NewNop())
	const submitters, each = 8, 300
	var submitting sync.WaitGroup
	for s := range submitters {
		submitting.Go(func() {
			for i := range each {
				j := job(fmt.Sprintf("a%d-%d", s, i), fmt.Sprint("action", (s+i)%10), nil)
				j.Concurrency = 1 + (s+i)%10%3
				if i%50 == 0 {
					j.Payload = yields(Destroy)
				}
				if err := l.Submit(j); err != nil {
					t.Error(err)
				}
				_ = l.Snapshot()
			}
		})
	}
	submitting.Wait()
	runner.wait(submitters * each)
	require.NoError(t, l.Close(t.Context()))
	require.Empty(t, factory.faults)
	require.Empty(t, runner.abandoned)
	require.LessOrEqual(t, factory.peak, cfg.Memory)
	_, live := factory.counts()
	require.Zero(t, live)
}
