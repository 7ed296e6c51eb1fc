package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gowhisk/gowhisk/test/harness"
)

// server is `gowhisk serve` under measurement.
type server struct {
	cmd *exec.Cmd
	// process is whose CPU time counts; bar is what it may add to a call, in ms.
	process int
	bar     float64
	url     string
	client  *http.Client
	api     *harness.Client
	log     *os.File
}

// startServer starts a server with room for all actions of the benchmark and
// returns when it says that it is ready. Its actions run in processes, unless flags say
// otherwise.
func startServer(ctx context.Context, gowhisk, dir string, flags ...string) (*server, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(filepath.Dir(dir), filepath.Base(dir)+".log"))
	if err != nil {
		return nil, err
	}
	// SIGTERM must reach it through stop alone, or it could not end in order.
	cmd := exec.Command(gowhisk, "serve", "--addr", "127.0.0.1:0", "--data-dir", dir, "--memory", "65536",
		"--containers", "process", "--invocations-per-minute", "100000000", "--concurrent-invocations", "100000")
	cmd.Args = append(cmd.Args, flags...)
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w; build the binary with 'make build'", err)
	}
	s := &server{cmd: cmd, process: cmd.Process.Pid, bar: 0.5, log: log}
	lines := bufio.NewReader(stdout)
	for s.url == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil, errors.Join(fmt.Errorf("the server was not ready: %w; its log is %s", err, log.Name()), s.stop())
		}
		if rest, ok := strings.CutPrefix(line, "Gowhisk is ready on "); ok {
			s.url = strings.TrimRight(strings.Fields(rest)[0], "/.,")
		}
	}
	go io.Copy(io.Discard, lines) // ends with the server
	s.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}
	s.api = harness.NewClient(s.url, harness.GuestKey)
	return s, nil
}

func (s *server) pid() int { return s.process }

func (s *server) stop() error {
	defer s.log.Close()
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("stop the server: %w", err)
	}
	return nil
}

// logTail is the last that the server logged.
func (s *server) logTail() []byte {
	content, err := os.ReadFile(s.log.Name())
	if err != nil {
		return []byte(err.Error())
	}
	return content[max(0, len(content)-4<<10):]
}

// put creates an action and returns its concrete kind.
func (s *server) put(ctx context.Context, name string, action harness.Action) (kind string, err error) {
	r, err := s.api.Try(ctx, http.MethodPut, "_/actions/"+name+"?overwrite=true", action)
	if err != nil {
		return "", err
	}
	if r.Status != http.StatusOK {
		return "", fmt.Errorf("PUT %s: status %d: %s", name, r.Status, r.Body)
	}
	return r.Field("exec.kind").String(), nil
}

// invoke runs an action and waits for its record.
func (s *server) invoke(ctx context.Context, name string) error {
	user, secret, _ := strings.Cut(harness.GuestKey, ":")
	return post(ctx, s.client, s.url+"/api/v1/namespaces/_/actions/"+name+"?blocking=true", user, secret, `{"name":"bench"}`)
}

// cpuTime is what the process itself has used, without its children
// (fields 14 and 15 of proc_pid_stat(5), in ticks of 10 ms).
func cpuTime(pid int) (time.Duration, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("CPU time is read from /proc, on Linux: %w", err)
	}
	fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// residentMB is the memory of the process itself, in MB.
func residentMB(pid int) (float64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("memory is read from /proc, on Linux: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kB, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kB / 1024, err
		}
	}
	return 0, errors.New("/proc has no VmRSS for the server")
}

func stringReader(s string) io.Reader { return strings.NewReader(s) }
