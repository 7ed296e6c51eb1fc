package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/client"
)

// ErrNoEngine: no Docker engine answers.
var ErrNoEngine = errors.New("no Docker engine answers")

const (
	// callTimeout bounds the engine's answers to small questions.
	callTimeout = 30 * time.Second
	// removeTimeout bounds one removal (openwhisk-invoker.md 4.1).
	removeTimeout = time.Minute
	// pingTimeout bounds the first contact.
	pingTimeout = 10 * time.Second
)

// connect returns a client of the engine at host that speaks a version of the API
// that both know.
func connect(ctx context.Context, host string) (*client.Client, error) {
	options := []client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}
	if host != "" {
		options = append(options, client.WithHost(host))
	}
	api, err := client.NewClientWithOpts(options...)
	if err != nil {
		return nil, fmt.Errorf("the address of the Docker engine: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if _, err := api.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrNoEngine, explain(err)), api.Close())
	}
	return api, nil
}

// explain adds to the engine's errors what an operator can do about them.
func explain(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "permission denied") && client.IsErrConnectionFailed(err):
		return fmt.Errorf("this user may not use the Docker engine's socket; make the user a member of its group (usually docker), or run as root: %w", err)
	case client.IsErrConnectionFailed(err):
		return fmt.Errorf("the Docker engine cannot be reached; start it, or name its address: %w", err)
	case strings.Contains(text, "no space left on device"):
		return fmt.Errorf("the Docker engine's disk is full; make room, for example with docker system prune: %w", err)
	}
	return err
}

// isGone: the engine does not have the object (any more).
func isGone(err error) bool { return cerrdefs.IsNotFound(err) }

// isMissingExecutable reports whether the engine could not start a container
// because its image lacks the program that it names (openwhisk-invoker.md 1.3).
func isMissingExecutable(err error) bool {
	if err == nil {
		return false
	}
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "no command specified") || strings.Contains(text, `exec: "`) &&
		(strings.Contains(text, "executable file not found") || strings.Contains(text, "no such file or directory"))
}
