package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gowhisk/gowhisk/test/harness"
)

// clusterPort is where the measured cluster has its front door; its other ports follow.
const clusterPort = 23233

// measureCluster measures a cluster of two controllers and three invokers over a real
// Kafka, through one of the controllers.
func measureCluster(ctx context.Context, p plan, scratch string, results *report) (err error) {
	s, err := startCluster(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, runCluster(context.WithoutCancel(ctx), "down")) }()
	for _, l := range languages {
		l.name = "cluster-" + l.name
		kind, err := s.put(ctx, l.name, l.action)
		if err != nil {
			return err
		}
		for _, concurrency := range []int{1, 8} {
			if err := compare(ctx, p, s, l, kind, concurrency, scratch, results); err != nil {
				return fmt.Errorf("%s at concurrency %d: %w", l.name, concurrency, err)
			}
		}
	}
	return measureManyActions(ctx, p, s, "cluster-", results)
}

// startCluster starts a cluster and returns its first controller.
func startCluster(ctx context.Context) (*server, error) {
	if err := runCluster(ctx, "up"); err != nil {
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join("build", "cluster", "pid", "controller0"))
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return nil, err
	}
	s := &server{process: pid, bar: 3, url: fmt.Sprintf("http://127.0.0.1:%d", clusterPort+10)}
	s.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}
	s.api = harness.NewClient(s.url, harness.GuestKey)
	return s, nil
}

func runCluster(ctx context.Context, what string) error {
	cmd := exec.CommandContext(ctx, "scripts/cluster", what)
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOWHISK_PORT=%d", clusterPort), "INVOKER_MEMORY=16384")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("scripts/cluster %s: %w\n%s", what, err, out)
	}
	return nil
}
