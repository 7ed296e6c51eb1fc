// Package actionproxy is the HTTP server of an action container: it takes code
// by POST /init once and runs it by POST /run for each activation. The same
// proxy runs in container images and, re-executed from the server's own binary,
// in process containers.
//
// How code runs depends on the kind. Most languages are interpreters with a
// launcher, started before /init so that a stem cell is warm (launcher.go);
// native:* executables speak the ActionLoop protocol (native.go), and what Go
// sources are compiled to does too (golang.go); shell:* and blackbox run a program
// per activation, as OpenWhisk's dockerskeleton does (oneshot.go). Standard output
// and error of the user's code are the proxy's own, never copied through it but for
// the one-shot kinds, and in images (relay_linux.go).
//
// Contract: openwhisk-invoker.md section 1. /run passes payload and result
// through as bytes; nothing here decodes them.
package actionproxy

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/gowhisk/gowhisk/runtimes"
)

// version is what actions see as __OW_PROXY_VERSION.
const version = "1.0.0"

// Main is the proxy's command line; see options for the flags. It returns the
// process's exit status when it was told to stop or could not start.
func Main(args []string) int { return run(args, nil) }

// ImageMain is Main for container images, where the user's output goes through the
// proxy. Nothing may have been printed or started before.
func ImageMain(args []string) int {
	r, err := openRelay()
	if err != nil {
		fmt.Fprintf(os.Stderr, "actionproxy: %v\n", err)
		return 1
	}
	if r != nil {
		defer r.close()
	}
	return run(args, r)
}

func run(args []string, r *relay) int {
	// The proxy passes lines between two pipes and a socket: with one thread for
	// that, none has to be woken for another, which takes a quarter off a warm run.
	runtime.GOMAXPROCS(1)
	o, err := parseOptions(args, os.Stderr)
	o.relay = r
	switch {
	case err != nil:
	case o.prepare:
		err = prepare(o)
	default:
		err = serve(o)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "actionproxy: %v\n", err)
		return 1
	}
	return 0
}

// prepare compiles what the kind needs.
func prepare(o options) error {
	if o.launchers == "" {
		return errors.New("--prepare needs --launchers")
	}
	if err := runtimes.Install(o.launchers); err != nil {
		return err
	}
	return runtimes.Prepare(context.Background(), runtimes.Interpreter{Family: o.family(), Kind: o.kind, Path: o.interpreter}, o.launchers)
}

// serve runs the proxy until SIGTERM or SIGINT.
func serve(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	if err := prepareDirectories(&o); err != nil {
		return err
	}
	children := newChildren()
	defer children.close()
	listener, err := listen(o.listen)
	if err != nil {
		return err
	}
	run, err := newRunner(o, children)
	if err != nil {
		return err
	}
	s := newServer(o, run)
	web := &http.Server{Handler: s, ErrorLog: log.New(os.Stderr, "actionproxy: ", 0)}

	// Connections are taken while the interpreter starts; /init waits for it, so
	// that a platform without readiness signal need not poll.
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	warmed := make(chan error, 1)
	go func() { warmed <- s.warm() }()

	err = waitForEnd(ctx, o, warmed, served)
	s.stop()
	// Connections first: a run that is cut off here must look like a container
	// that went away, not like a mistake of the action.
	_ = web.Close()
	run.stop()
	return err
}

// waitForEnd returns nil when the proxy was told to stop.
func waitForEnd(ctx context.Context, o options, warmed, served <-chan error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-served:
			return fmt.Errorf("serve HTTP: %w", err)
		case err := <-warmed:
			if err != nil {
				return fmt.Errorf("start the runtime of %s: %w", o.kind, err)
			}
			if err := o.announceReady(); err != nil {
				return err
			}
			warmed = nil
		}
	}
}

// prepareDirectories makes the scratch directory, and the launchers when the
// caller did not install them.
func prepareDirectories(o *options) error {
	var err error
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return fmt.Errorf("find the scratch directory: %w", err)
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return fmt.Errorf("create the scratch directory; choose another with --dir: %w", err)
	}
	if o.builtIn == "" {
		o.builtIn = o.dir
	}
	if o.launchers != "" || runtimes.Launcher(o.family()) == "" || o.launcherFDs.set {
		return nil
	}
	o.launchers = filepath.Join(o.dir, ".launchers")
	return runtimes.Install(o.launchers)
}

func listen(address string) (net.Listener, error) {
	network, where, err := splitAddress(address)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		// A socket file that an earlier proxy left would be in the way.
		if err := os.Remove(where); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("remove the old socket: %w", err)
		}
	}
	l, err := net.Listen(network, where)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}
