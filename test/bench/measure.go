package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/gowhisk/gowhisk/test/harness"
)

// language is a runtime with the least that an action can do.
type language struct {
	name   string
	action harness.Action
}

var languages = []language{
	{"node", harness.Node(`function main(args) { return {hello: args.name} }`)},
	{"python", harness.Python("def main(args):\n    return {'hello': args['name']}\n")},
}

// measureStart starts servers on new directories: how long until one answers,
// and how much memory it holds before anybody calls it.
func measureStart(ctx context.Context, p plan, scratch string, results *report) error {
	var starts, memory []float64
	for i := range 5 {
		begin := time.Now()
		s, err := startServer(ctx, p.gowhisk, filepath.Join(scratch, fmt.Sprintf("start%d", i)))
		if err != nil {
			return err
		}
		r, err := s.api.Try(ctx, http.MethodGet, "/api/v1/namespaces", nil)
		took := time.Since(begin)
		if err == nil && r.Status != http.StatusOK {
			err = fmt.Errorf("GET /api/v1/namespaces: status %d", r.Status)
		}
		rss, errRSS := residentMB(s.pid())
		if err := errors.Join(err, errRSS, s.stop()); err != nil {
			return err
		}
		starts, memory = append(starts, took.Seconds()), append(memory, rss)
	}
	results.atMost("start to first answered request", median(starts), "s", 1)
	results.atMost("memory of the idle server", median(memory), "MB", 60)
	return nil
}

// measureLanguage compares /run with an invocation, in interleaved rounds.
func measureLanguage(ctx context.Context, p plan, s *server, l language, scratch string, results *report) error {
	kind, err := s.put(ctx, l.name, l.action)
	if err != nil {
		return err
	}
	if err := measureCold(ctx, s, l, results); err != nil {
		return err
	}
	for _, concurrency := range []int{1, 8} {
		if err := compare(ctx, p, s, l, kind, concurrency, scratch, results); err != nil {
			return fmt.Errorf("at concurrency %d: %w", concurrency, err)
		}
	}
	open, err := openLoop(ctx, 64, p.rate, p.openLoop, func(ctx context.Context, _ int) error { return s.invoke(ctx, l.name) })
	if err != nil {
		return fmt.Errorf("open loop: %w", err)
	}
	for _, q := range quantiles {
		results.add(fmt.Sprintf("%s, open loop at %d/s, %s", l.name, p.rate, q.name), milliseconds(open.quantile(q.at)), "ms")
	}
	return nil
}

var quantiles = []struct {
	name string
	at   float64
}{{"p50", 50}, {"p90", 90}, {"p99", 99}}

// measureCold calls actions that nobody called before.
func measureCold(ctx context.Context, s *server, l language, results *report) error {
	var took []float64
	for i := range 10 {
		name := fmt.Sprintf("%s-cold-%d", l.name, i)
		if _, err := s.put(ctx, name, l.action); err != nil {
			return err
		}
		begin := time.Now()
		if err := s.invoke(ctx, name); err != nil {
			return err
		}
		took = append(took, milliseconds(time.Since(begin)))
	}
	results.add(l.name+", first call of an action, p50", median(took), "ms")
	return nil
}

// figures of one mode, a value per round.
type figures struct {
	quantile   map[string][]float64 // milliseconds
	throughput []float64            // requests per second
}

func (f *figures) add(s sample) {
	if f.quantile == nil {
		f.quantile = map[string][]float64{}
	}
	for _, q := range quantiles {
		f.quantile[q.name] = append(f.quantile[q.name], milliseconds(s.quantile(q.at)))
	}
	f.throughput = append(f.throughput, s.throughput())
}

func compare(ctx context.Context, p plan, s *server, l language, kind string, concurrency int, scratch string, results *report) (err error) {
	// A container takes one call at a time, so each worker has a runtime of its own.
	runtimes := make([]*direct, concurrency)
	for i := range runtimes {
		dir := filepath.Join(scratch, fmt.Sprintf("%s-%d-%d", l.name, concurrency, i))
		if runtimes[i], err = startDirect(ctx, p.gowhisk, kind, l.action.Exec.Code, dir); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, runtimes[i].stop()) }()
	}
	run := func(ctx context.Context, worker int) error { return runtimes[worker].run(ctx) }
	invoke := func(ctx context.Context, _ int) error { return s.invoke(ctx, l.name) }

	// Everything warm before the first round that counts.
	for _, send := range []call{run, invoke} {
		if _, err := closedLoop(ctx, concurrency, p.requests/4+concurrency, send); err != nil {
			return err
		}
	}
	var floor, whole figures
	var cpu []float64
	for range p.rounds {
		low, err := closedLoop(ctx, concurrency, p.requests, run)
		if err != nil {
			return err
		}
		before, err := cpuTime(s.pid())
		if err != nil {
			return err
		}
		high, err := closedLoop(ctx, concurrency, p.requests, invoke)
		if err != nil {
			return err
		}
		after, err := cpuTime(s.pid())
		if err != nil {
			return err
		}
		floor.add(low)
		whole.add(high)
		cpu = append(cpu, float64((after-before).Microseconds())/float64(high.latencies.TotalCount()))
	}
	summarise(fmt.Sprintf("%s, c=%d, ", l.name, concurrency), s.bar, concurrency, floor, whole, cpu, results)
	return nil
}

func summarise(prefix string, bar float64, concurrency int, floor, whole figures, cpu []float64, results *report) {
	for _, q := range quantiles {
		low, high := median(floor.quantile[q.name]), median(whole.quantile[q.name])
		results.add(prefix+"direct /run, "+q.name, low, "ms")
		results.add(prefix+"invocation, "+q.name, high, "ms")
		if q.name == "p50" && concurrency == 1 {
			results.atMost(prefix+"added by the platform, "+q.name, high-low, "ms", bar)
		} else {
			results.add(prefix+"added by the platform, "+q.name, high-low, "ms")
		}
	}
	results.add(prefix+"direct /run, throughput", median(floor.throughput), "1/s")
	results.add(prefix+"invocation, throughput", median(whole.throughput), "1/s")
	results.add(prefix+"CPU of the server per invocation", median(cpu), "µs")
}

// measureManyActions compares the throughput of many warm actions with that of one.
func measureManyActions(ctx context.Context, p plan, s *server, prefix string, results *report) error {
	const workers = 8
	python := languages[1]
	name := func(i int) string { return fmt.Sprintf("many-%d", i) }
	for i := range p.actions {
		if _, err := s.put(ctx, name(i), python.action.With(harness.Limits{Memory: 128})); err != nil {
			return err
		}
		if err := s.invoke(ctx, name(i)); err != nil {
			return err
		}
	}
	turn := make([]int, workers) // each worker goes through actions of its own
	many := func(ctx context.Context, worker int) error {
		turn[worker] += workers
		return s.invoke(ctx, name((worker+turn[worker])%p.actions))
	}
	one := func(ctx context.Context, _ int) error { return s.invoke(ctx, prefix+python.name) }
	var ofOne, ofMany []float64
	for range p.rounds {
		single, err := closedLoop(ctx, workers, p.requests, one)
		if err != nil {
			return err
		}
		several, err := closedLoop(ctx, workers, p.requests, many)
		if err != nil {
			return err
		}
		ofOne, ofMany = append(ofOne, single.throughput()), append(ofMany, several.throughput())
	}
	results.atLeast(prefix+fmt.Sprintf("throughput of %d actions, relative to one", p.actions), median(ofMany)/median(ofOne), "", 0.8)
	return nil
}

// measureManyRuntimes is measureManyActions without a platform: what the machine makes
// of many processes that take turns.
func measureManyRuntimes(ctx context.Context, p plan, scratch string, results *report) (err error) {
	const workers = 8
	python := languages[1]
	runtimes := make([]*direct, p.actions)
	for i := range runtimes {
		if runtimes[i], err = startDirect(ctx, p.gowhisk, "python:default", python.action.Exec.Code, filepath.Join(scratch, fmt.Sprintf("direct-%d", i))); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, runtimes[i].stop()) }()
	}
	turn := make([]int, workers)
	many := func(ctx context.Context, worker int) error {
		turn[worker]++ // a runtime takes one call at a time: each worker has its own
		return runtimes[worker+workers*(turn[worker]%(p.actions/workers))].run(ctx)
	}
	few := func(ctx context.Context, worker int) error { return runtimes[worker].run(ctx) }
	var ofFew, ofMany []float64
	for range p.rounds {
		several, err := closedLoop(ctx, workers, p.requests, few)
		if err != nil {
			return err
		}
		all, err := closedLoop(ctx, workers, p.requests, many)
		if err != nil {
			return err
		}
		ofFew, ofMany = append(ofFew, several.throughput()), append(ofMany, all.throughput())
	}
	results.add(fmt.Sprintf("direct /run, throughput of %d runtimes, relative to %d", p.actions, workers), median(ofMany)/median(ofFew), "")
	return nil
}
