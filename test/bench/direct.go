package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// direct is a runtime of the benchmark's own: the product's action proxy,
// outside any server and sandbox, taking /run on a Unix socket.
type direct struct {
	cmd    *exec.Cmd
	client *http.Client
}

// startDirect starts the proxy for a kind in dir and initialises it with code.
func startDirect(ctx context.Context, gowhisk, kind, code, dir string) (*direct, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.CommandContext(ctx, gowhisk, "action-proxy", "--kind", kind, "--listen", "unix:"+socket, "--dir", filepath.Join(dir, "d"), "--ready-fd", "3")
	ready, readyWriter, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	cmd.ExtraFiles = []*os.File{readyWriter}
	err = cmd.Start()
	readyWriter.Close()
	if err != nil {
		return nil, err
	}
	d := &direct{cmd: cmd, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
	if _, err := bufio.NewReader(ready).ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("the action proxy for %s was not ready: %w", kind, err), d.stop())
	}
	init, err := json.Marshal(map[string]any{"value": map[string]any{
		"name": "bench", "main": "main", "code": code, "binary": false, "env": map[string]string{},
	}})
	if err != nil {
		return nil, errors.Join(err, d.stop())
	}
	if err := post(ctx, d.client, "http://runtime/init", "", "", string(init)); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

// run sends one /run, with the context that an invoker would send.
func (d *direct) run(ctx context.Context) error {
	return post(ctx, d.client, "http://runtime/run", "", "", `{"value":{"name":"bench"},"namespace":"guest",`+
		`"action_name":"/guest/bench","action_version":"0.0.1","activation_id":"0123456789abcdef0123456789abcdef",`+
		`"transaction_id":"bench","deadline":"4102444800000"}`)
}

func (d *direct) stop() error {
	d.client.CloseIdleConnections()
	if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	if err := d.cmd.Wait(); err != nil {
		// An interrupted proxy may well report the signal as its end.
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
			return err
		}
	}
	return nil
}
