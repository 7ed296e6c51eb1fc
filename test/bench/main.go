// Command bench measures what the platform adds to a function: a warm blocking
// invocation through the server beside a direct /run on a runtime of its own, in
// interleaved rounds of one run, because timings of different runs on a shared
// machine do not compare. It prints tables and writes a list of
// {name, value, unit, bar, holds}; bars are reported, never asserted.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"time"
)

// plan is what to measure and for how long.
type plan struct {
	gowhisk  string
	out      string
	rounds   int
	requests int           // per round, mode and concurrency
	openLoop time.Duration // per runtime
	rate     int           // of the open loop, requests per second
	actions  int           // of the many-actions comparison
	listed   int           // records, and actions, of the namespace whose lists are asked for
	only     string        // "" or the one part to measure
}

func main() {
	runtime.GOMAXPROCS(1) // the load shares the machine with what it measures
	var p plan
	flag.StringVar(&p.gowhisk, "gowhisk", "bin/gowhisk", "the binary to measure")
	flag.StringVar(&p.out, "out", "build/bench.json", "where to write the results")
	flag.IntVar(&p.rounds, "rounds", 7, "interleaved rounds; medians over them are reported")
	flag.IntVar(&p.requests, "requests", 1500, "requests per round, mode and concurrency")
	flag.DurationVar(&p.openLoop, "open-loop", 5*time.Second, "duration of the open loop per runtime")
	flag.IntVar(&p.rate, "rate", 200, "requests per second of the open loop")
	flag.IntVar(&p.actions, "actions", 100, "different actions to compare with one")
	flag.IntVar(&p.listed, "listed", 100_000, "activation records, and actions, to list from; 0 leaves lists out")
	flag.StringVar(&p.only, "only", "", "measure this part only: calls, containers, wasm, lists or cluster")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, p); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, p plan) (err error) {
	scratch, err := os.MkdirTemp("", "gwb-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()

	var results report
	if p.only == "" || p.only == "calls" {
		if err := measureCalls(ctx, p, scratch, &results); err != nil {
			return err
		}
	}
	if p.only == "" || p.only == "containers" {
		if err := measureContainers(ctx, p, scratch, &results); err != nil {
			return fmt.Errorf("containers: %w", err)
		}
	}
	if p.only == "" || p.only == "wasm" {
		if err := measureWasm(ctx, p, scratch, &results); err != nil {
			return fmt.Errorf("wasm: %w", err)
		}
	}
	if p.only == "" || p.only == "lists" {
		if err := measureLists(ctx, p, scratch, &results); err != nil {
			return fmt.Errorf("lists: %w", err)
		}
	}
	if p.only == "" || p.only == "cluster" {
		if err := measureCluster(ctx, p, scratch, &results); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
	}
	results.print(os.Stdout)
	return results.write(p.out)
}

// measureCalls measures a server's start and what it adds to a function.
func measureCalls(ctx context.Context, p plan, scratch string, results *report) (err error) {
	if err := measureStart(ctx, p, scratch, results); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	s, err := startServer(ctx, p.gowhisk, scratch+"/data")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, s.stop())
		if err != nil {
			fmt.Fprintf(os.Stderr, "the end of the server's log:\n%s\n", s.logTail())
		}
	}()
	for _, language := range languages {
		if err := measureLanguage(ctx, p, s, language, scratch, results); err != nil {
			return fmt.Errorf("%s: %w", language.name, err)
		}
	}
	if err := measureWeb(ctx, p, s, results); err != nil {
		return fmt.Errorf("web actions: %w", err)
	}
	if err := measureManyRuntimes(ctx, p, scratch, results); err != nil {
		return fmt.Errorf("many runtimes: %w", err)
	}
	if err := measureManyActions(ctx, p, s, "", results); err != nil {
		return fmt.Errorf("many actions: %w", err)
	}
	rss, err := residentMB(s.pid())
	if err != nil {
		return err
	}
	results.add("memory of the server after the load", rss, "MB")
	return nil
}
