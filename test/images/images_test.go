// Package images_test runs the conformance suite of runtimes against the images
// that scripts/images builds, each in a container with nothing more than the
// platform gives it: a read-only root, small scratch directories, no
// capabilities, no network beyond its own.
package images_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/runtimes/runtimetest"
)

var (
	kinds  []string              // in the order of scripts/images
	images = map[string]string{} // by kind
)

func TestMain(m *testing.M) {
	if err := findImages(); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
	os.Exit(run(m))
}

// network is that of the tests' containers: whoever else uses the engine may
// change its default one.
var network = fmt.Sprintf("gowhisk-test-images-%d", os.Getpid())

func run(m *testing.M) int {
	if _, err := docker("network", "create", "--label", label, network); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		return 1
	}
	defer func() { _, _ = docker("network", "rm", network) }() // a test has failed already when this does
	return m.Run()
}

// label marks what the tests leave when they are killed.
const label = "org.gowhisk.test=images"

// findImages fills images, and says what to do when an image or the engine is
// missing.
func findImages() error {
	if _, err := docker("version"); err != nil {
		return fmt.Errorf("no Docker engine answers; run scripts/provision docker docker-bases: %w", err)
	}
	list, err := exec.Command("../../scripts/images", "list").Output()
	if err != nil {
		return fmt.Errorf("list the images: %w", err)
	}
	for line := range strings.Lines(string(list)) {
		kind, image, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, err := docker("image", "inspect", image); err != nil {
			return fmt.Errorf("there is no image %s; run scripts/provision docker docker-bases and then make images: %w", image, err)
		}
		images[kind] = image
		kinds = append(kinds, kind)
	}
	return nil
}

// docker runs one command of the client and returns what it printed.
func docker(args ...string) (string, error) {
	var stderr bytes.Buffer
	command := exec.Command("docker", args...)
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(output)), nil
}

func TestConformance(t *testing.T) {
	withCode := slices.DeleteFunc(slices.Clone(kinds), func(kind string) bool { return kind == "blackbox" }) // TestSkeleton
	runtimetest.Run(t, withCode, func(t testing.TB, kind string, o runtimetest.Options) *runtimetest.Client {
		return start(t, images[kind], o)
	})
}

// The skeleton runs what comes with an action, and what an image made from it has.
func TestSkeleton(t *testing.T) {
	t.Run("code of the action", func(t *testing.T) {
		c := start(t, images["blackbox"], runtimetest.Options{})
		c.MustInit(t, runtimetest.Code{Code: "#!/bin/sh\necho '{\"from\":\"action\"}'\n"})
		require.JSONEq(t, `{"from":"action"}`, c.MustRun(t, `{}`))
	})
	t.Run("code of the image", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "exec", "#!/bin/sh\necho \"{\\\"from\\\":\\\"image\\\",\\\"got\\\":$1,\\\"beside\\\":\\\"$(cat /action/data)\\\"}\"\n")
		require.NoError(t, os.Chmod(dir+"/exec", 0o755))
		write(t, dir, "data", "here")
		write(t, dir, "Dockerfile", "FROM "+images["blackbox"]+"\nCOPY exec data /action/\n")
		image := "gowhisk-test/skeleton:" + fmt.Sprint(os.Getpid())
		build := exec.Command("docker", "build", "-q", "-t", image, dir)
		build.Env = append(os.Environ(), "DOCKER_BUILDKIT=0") // needs no plugin
		output, err := build.CombinedOutput()
		require.NoError(t, err, "%s", output)
		t.Cleanup(func() { _, _ = docker("rmi", image) }) // the next run removes nothing of ours
		c := start(t, image, runtimetest.Options{})
		a := c.Post(t, "/init", []byte(`{"value":{"name":"x","main":"main","binary":false,"code":"","env":{}}}`))
		require.Equal(t, http.StatusOK, a.Status, a.Body)
		require.JSONEq(t, `{"from":"image","got":{"a":1},"beside":"here"}`, c.MustRun(t, `{"a":1}`))
	})
}

// TestDefaultManifest: what the built-in manifest names as ours, we build, perhaps
// under another prefix.
func TestDefaultManifest(t *testing.T) {
	var built []string
	for _, image := range images {
		built = append(built, "gowhisk"+image[strings.LastIndexByte(image, '/'):])
	}
	for _, r := range runtimes.Default().Runtimes() {
		if r.Image.Prefix == "gowhisk" && r.Family != "wasm" { // which runs in the invoker itself
			require.Contains(t, built, r.Image.String(), r.Kind)
		}
	}
	require.Contains(t, built, "gowhisk/dockerskeleton:1")
}

// TestLabels: what the Docker factory relies on.
func TestLabels(t *testing.T) {
	for kind, image := range images {
		t.Run(kind, func(t *testing.T) {
			said, err := docker("image", "inspect", "-f",
				`{{index .Config.Labels "org.gowhisk.proxy"}}|{{index .Config.Labels "org.gowhisk.scratch"}}|{{.Config.User}}|{{range $port, $_ := .Config.ExposedPorts}}{{$port}}{{end}}`, image)
			require.NoError(t, err)
			scratch := "/action"
			if kind == "blackbox" {
				scratch = "/scratch"
			}
			require.Equal(t, "1|"+scratch+" /tmp|65532:65532|8080/tcp", said)
		})
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(dir+"/"+name, []byte(text), 0o644))
}

const (
	// startTime bounds a start; reached only by a failure.
	startTime = time.Minute
	// tick is how often a container that starts is asked whether it listens.
	tick = 5 * time.Millisecond
)

// start runs a container, confined as the platform confines it, and removes it
// when the test ends.
func start(t testing.TB, image string, o runtimetest.Options) *runtimetest.Client {
	t.Helper()
	args := []string{"run", "-d", "-p", "127.0.0.1::8080", "--read-only", "--cap-drop", "ALL",
		"--security-opt", "no-new-privileges", "--pids-limit", "256", "--memory", "256m", "--label", label, "--network", network,
		"--tmpfs", "/tmp:size=64m,uid=65532"}
	scratch, err := docker("image", "inspect", "-f", `{{index .Config.Labels "org.gowhisk.scratch"}}`, image)
	require.NoError(t, err)
	args = append(args, "--tmpfs", strings.Fields(scratch)[0]+":exec,size=128m,uid=65532")
	if o.Concurrent {
		args = append(args, "-e", "__OW_ALLOW_CONCURRENT=true")
	}
	for _, variable := range o.Env {
		args = append(args, "-e", variable)
	}
	id, err := docker(append(args, image)...)
	require.NoError(t, err)
	client := &runtimetest.Client{HTTP: &http.Client{Transport: &http.Transport{}}, Stdout: runtimetest.NewStream(), Stderr: runtimetest.NewStream()}
	logs := exec.Command("docker", "logs", "-f", id)
	logs.Stdout, logs.Stderr = client.Stdout, client.Stderr
	t.Cleanup(func() {
		_, err := docker("rm", "-f", "-v", id)
		require.NoError(t, err)
		_ = logs.Wait() // ends with the container
		client.HTTP.CloseIdleConnections()
	})
	require.NoError(t, logs.Start())
	port, err := docker("port", id, "8080/tcp")
	require.NoError(t, err)
	client.URL = "http://" + strings.Fields(port)[0]
	require.NoError(t, listening(t.Context(), client))
	return client
}

// listening waits until the proxy answers; the engine's own forwarder takes
// connections before.
func listening(ctx context.Context, c *runtimetest.Client) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/", nil)
		if err != nil {
			return err
		}
		response, err := c.HTTP.Do(request)
		if err == nil {
			return response.Body.Close()
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-ticker.C:
		}
	}
}
