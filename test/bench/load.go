package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// call sends one request, for the worker with the given number, and returns
// when its answer was read.
type call func(ctx context.Context, worker int) error

// sample is the outcome of one round of a load.
type sample struct {
	latencies *hdrhistogram.Histogram // nanoseconds
	elapsed   time.Duration
}

func (s sample) quantile(q float64) time.Duration {
	return time.Duration(s.latencies.ValueAtQuantile(q))
}

func (s sample) throughput() float64 {
	return float64(s.latencies.TotalCount()) / s.elapsed.Seconds()
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1_000, int64(2*time.Minute), 3)
}

// closedLoop has each of the workers send its next request when the last was
// answered, total requests in all. It finds throughput and the latency of an
// unhurried caller; what a stall does to callers who do not wait for each other
// is what openLoop shows.
func closedLoop(ctx context.Context, workers, total int, send call) (sample, error) {
	var sent atomic.Int64
	return together(workers, func(worker int, record func(time.Duration)) error {
		for sent.Add(1) <= int64(total) {
			begin := time.Now()
			if err := send(ctx, worker); err != nil {
				return err
			}
			record(time.Since(begin))
		}
		return nil
	})
}

// openLoop sends rate requests a second for the duration whether or not earlier
// ones were answered, as far as the workers reach. Latency counts from the moment
// at which a request was due, not from when a worker got round to it: a stall is
// charged to every request that it delayed (no coordinated omission).
func openLoop(ctx context.Context, workers, rate int, duration time.Duration, send call) (sample, error) {
	interval := time.Second / time.Duration(rate)
	total := int64(duration / interval)
	begin := time.Now()
	var sent atomic.Int64
	return together(workers, func(worker int, record func(time.Duration)) error {
		for {
			n := sent.Add(1)
			if n > total {
				return nil
			}
			due := begin.Add(time.Duration(n) * interval)
			timer := time.NewTimer(time.Until(due))
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return ctx.Err()
			}
			if err := send(ctx, worker); err != nil {
				return err
			}
			record(time.Since(due))
		}
	})
}

// together runs the workers, each with a histogram of its own, and merges them.
func together(workers int, work func(worker int, record func(time.Duration)) error) (sample, error) {
	histograms := make([]*hdrhistogram.Histogram, workers)
	errs := make([]error, workers)
	var group sync.WaitGroup
	begin := time.Now()
	for worker := range workers {
		histogram := newHistogram()
		histograms[worker] = histogram
		group.Go(func() {
			errs[worker] = work(worker, func(latency time.Duration) {
				// Beyond two minutes the histogram refuses; the client's timeout is shorter.
				_ = histogram.RecordValue(int64(latency))
			})
		})
	}
	group.Wait()
	merged := sample{latencies: newHistogram(), elapsed: time.Since(begin)}
	for worker, histogram := range histograms {
		if errs[worker] != nil {
			return sample{}, errs[worker]
		}
		merged.latencies.Merge(histogram)
	}
	return merged, nil
}

// post sends a JSON body on a kept-alive connection and wants status 200.
func post(ctx context.Context, client *http.Client, url, user, secret, body string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, stringReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if user != "" {
		request.SetBasicAuth(user, secret)
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: status %d: %.500s", url, answer.StatusCode, content)
	}
	return nil
}
