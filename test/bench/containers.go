package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// coldCalls is how many actions are called that nobody called before, one after the
// other.
const coldCalls = 10

// modes of containers that are compared.
var modes = []string{"process", "docker"}

// measureContainers compares processes and Docker containers: warm calls, and the first
// call of an action, in a stem cell and without one. The engine has the images.
func measureContainers(ctx context.Context, p plan, scratch string, results *report) error {
	if err := measureWarm(ctx, p, scratch, results); err != nil {
		return fmt.Errorf("warm calls: %w", err)
	}
	for _, mode := range modes {
		if err := measureStemCells(ctx, p, filepath.Join(scratch, mode+"-stem"), mode, results); err != nil {
			return fmt.Errorf("stem cells, %s: %w", mode, err)
		}
	}
	return measureWithoutStemCells(ctx, p, filepath.Join(scratch, "docker-cold"), results)
}

// measureWarm compares warm calls of both modes in interleaved rounds.
func measureWarm(ctx context.Context, p plan, scratch string, results *report) (err error) {
	servers := map[string]*server{}
	for _, mode := range modes {
		s, err := startServer(ctx, p.gowhisk, filepath.Join(scratch, mode+"-warm"), "--containers", mode)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.stop()) }()
		servers[mode] = s
	}
	for _, l := range languages {
		found := map[string]*figures{}
		for _, mode := range modes {
			found[mode] = new(figures)
			if _, err := servers[mode].put(ctx, l.name, l.action); err != nil {
				return err
			}
		}
		for round := range p.rounds + 1 {
			for _, mode := range modes {
				s := servers[mode]
				sample, err := closedLoop(ctx, 1, p.requests, func(ctx context.Context, _ int) error { return s.invoke(ctx, l.name) })
				if err != nil {
					return err
				}
				if round > 0 { // everything is warm
					found[mode].add(sample)
				}
			}
		}
		process, docker := median(found["process"].quantile["p50"]), median(found["docker"].quantile["p50"])
		results.add(l.name+", c=1, processes, p50", process, "ms")
		results.add(l.name+", c=1, Docker, p50", docker, "ms")
		results.atMost(l.name+", c=1, added by Docker, p50", docker-process, "ms", 0.1)
	}
	return nil
}

// stemBars are what the first call of an action may take in a stem cell, in ms.
var stemBars = map[string]float64{"node": 50, "python": 30}

func measureStemCells(ctx context.Context, p plan, dir, mode string, results *report) (err error) {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	s, err := startServer(ctx, p.gowhisk, dir, "--containers", mode, "--metrics-addr", address,
		"--stem-cells", fmt.Sprintf("nodejs:20=%d,python:3.11=%[1]d", coldCalls))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	for _, l := range languages {
		l.action.Exec.Kind = stemKinds[l.name]
		// Calls take the cells one after the other; each is made up for meanwhile.
		took, err := firstCalls(ctx, s, l, func() error { return awaitStemCells(ctx, address, 2*coldCalls) })
		if err != nil {
			return err
		}
		results.atMost(fmt.Sprintf("%s, %s, first call of an action in a stem cell, p50", l.name, mode), median(took), "ms", stemBars[l.name])
	}
	return nil
}

var stemKinds = map[string]string{"node": "nodejs:20", "python": "python:3.11"}

func measureWithoutStemCells(ctx context.Context, p plan, dir string, results *report) (err error) {
	s, err := startServer(ctx, p.gowhisk, dir, "--containers", "docker", "--stem-cells", "none")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	images := map[string]string{"node": "gowhisk/action-nodejs-v20:1", "python": "gowhisk/action-python-v3.11:1"}
	for _, l := range languages {
		l.action.Exec.Kind = stemKinds[l.name]
		var direct []float64
		took, err := firstCalls(ctx, s, l, func() error {
			begin := time.Now()
			id, err := exec.CommandContext(ctx, "docker", "run", "--detach", "--network", "gowhisk-actions", images[l.name]).Output()
			direct = append(direct, milliseconds(time.Since(begin)))
			if err != nil {
				return fmt.Errorf("docker run: %w", err)
			}
			return exec.CommandContext(ctx, "docker", "rm", "--force", strings.TrimSpace(string(id))).Run()
		})
		if err != nil {
			return err
		}
		run, call := median(direct), median(took)
		results.add(l.name+", docker run --detach, p50", run, "ms")
		results.add(l.name+", docker, first call of an action without a stem cell, p50", call, "ms")
		results.atMost(l.name+", docker, the same over docker run", call-run, "ms", 60)
	}
	return nil
}

// firstCalls measures calls of new actions, in ms; before is called before each.
func firstCalls(ctx context.Context, s *server, l language, before func() error) (took []float64, err error) {
	for i := range coldCalls {
		name := fmt.Sprintf("%s-first-%d", l.name, i)
		if _, err := s.put(ctx, name, l.action); err != nil {
			return nil, err
		}
		if err := before(); err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := s.invoke(ctx, name); err != nil {
			return nil, err
		}
		took = append(took, milliseconds(time.Since(begin)))
	}
	return took, nil
}

// awaitStemCells waits until a server with metrics at address has so many.
func awaitStemCells(ctx context.Context, address string, want int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		n, err := stemCells(ctx, address)
		if err != nil || n >= want {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d stem cells, not %d: %w", n, want, ctx.Err())
		}
	}
}

func stemCells(ctx context.Context, address string) (n int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), `gowhisk_invoker_containers{state="stem cell"} `); ok {
			_, err := fmt.Sscan(value, &n)
			return n, err
		}
	}
	return 0, nil
}

// freeAddress is one that nobody listens on at present.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
