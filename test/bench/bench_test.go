package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClosedLoopSendsEachRequestOnce(t *testing.T) {
	var calls [4]int
	s, err := closedLoop(t.Context(), 4, 100, func(_ context.Context, worker int) error { calls[worker]++; return nil })
	require.NoError(t, err)
	require.Equal(t, 100, calls[0]+calls[1]+calls[2]+calls[3])
	require.Equal(t, int64(100), s.latencies.TotalCount())
}

func TestOpenLoopChargesAStallToAllItDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		// One worker, ten requests a second; the first stalls for a second.
		s, err := openLoop(t.Context(), 1, 10, 2*time.Second, func(context.Context, int) error {
			if calls++; calls == 1 {
				time.Sleep(time.Second) // in the bubble: a clock, not a wait
			}
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, 20, calls)
		// Requests 1 to 10 were due 100 ms apart and all answered a second after the first was due.
		require.InDelta(t, 500, milliseconds(s.quantile(75)), 100)
		require.InDelta(t, 1000, milliseconds(s.quantile(100)), 5)
		require.Zero(t, s.quantile(10).Round(time.Millisecond))
	})
}

func TestLoopsReportErrors(t *testing.T) {
	broken := errors.New("broken")
	send := func(context.Context, int) error { return broken }
	_, err := closedLoop(t.Context(), 2, 10, send)
	require.ErrorIs(t, err, broken)
	_, err = openLoop(t.Context(), 2, 1000, time.Millisecond*10, send)
	require.ErrorIs(t, err, broken)
}

func TestReport(t *testing.T) {
	var r report
	r.add("plain", 1, "ms")
	r.atMost("low enough", 1, "ms", 1)
	r.atLeast("too low", 1, "ms", 2)
	path := filepath.Join(t.TempDir(), "new", "bench.json")
	require.NoError(t, r.write(path))
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	var got []map[string]any
	require.NoError(t, json.Unmarshal(content, &got))
	require.Equal(t, []map[string]any{
		{"name": "plain", "value": 1.0, "unit": "ms", "bar": nil, "holds": nil},
		{"name": "low enough", "value": 1.0, "unit": "ms", "bar": 1.0, "holds": true},
		{"name": "too low", "value": 1.0, "unit": "ms", "bar": 2.0, "holds": false},
	}, got)
}

func TestMedian(t *testing.T) {
	require.Equal(t, 2.0, median([]float64{3, 1, 2}))
	require.Equal(t, 2.5, median([]float64{4, 1, 2, 3}))
	require.Zero(t, median(nil))
}
