// Package engine opens what the actions of this machine run in, as its operator
// chose: containers of a Docker engine, or processes; and WebAssembly actions in the
// invoker itself.
package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/container/docker"
	"github.com/gowhisk/gowhisk/invoker/container/kinds"
	"github.com/gowhisk/gowhisk/invoker/container/process"
	"github.com/gowhisk/gowhisk/invoker/container/wasm"
	"github.com/gowhisk/gowhisk/pkg/entity"
	manifest "github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/runtimes"
)

// What actions run in.
const (
	Auto    = "auto"
	Docker  = "docker"
	Process = "process"
)

// families are the languages that a platform has: Docker is chosen by itself where
// it has the images of both.
var families = []string{"nodejs", "python"}

// Settings are what operators choose.
type Settings struct {
	Containers string          `koanf:"containers" usage:"what actions run in: docker, process, or auto, which is docker where an engine answers that has the images of Node.js and Python"`
	Docker     docker.Settings `koanf:",squash"`
}

// DefaultSettings is what holds where an operator says nothing.
func DefaultSettings() Settings {
	return Settings{Containers: Auto, Docker: docker.DefaultSettings()}
}

// Validate returns what is wrong with the settings, and how to put it right.
func (s Settings) Validate() error {
	if !slices.Contains([]string{Auto, Docker, Process}, s.Containers) {
		return fmt.Errorf("--containers %q: give auto, docker or process", s.Containers)
	}
	return s.Docker.Check()
}

// Config of an Engine.
type Config struct {
	Settings

	// Dir is the data directory of the process; each kind of containers has a
	// directory of its own in it.
	Dir string
	// Owner names the invoker in the labels of its containers.
	Owner string
	// Manifest says which images are the platform's.
	Manifest *manifest.Manifest
	// PoolMemory is the memory of all containers together.
	PoolMemory entity.Megabytes
	// MaxLogs is the largest log limit of any action.
	MaxLogs entity.Megabytes
	// ParallelStarts bounds the containers that start at the same time.
	ParallelStarts int
	// FirstUID and UIDs are the users of processes; see process.Config.
	FirstUID, UIDs int
	// Registry takes the metrics.
	Registry prometheus.Registerer
	Log      *zap.Logger
}

// Engine is a factory of containers, and what their owner has to know of them.
type Engine struct {
	container.Factory
	// Interpreters are the languages of this machine, where actions run in its
	// processes; nil where images bring them.
	Interpreters []runtimes.Interpreter
	// Gateway is the address at which containers reach this machine; the zero Addr
	// where they have its own network.
	Gateway netip.Addr
	// IsRemote: containers reach this machine by no address of its own, as those of
	// an engine in a virtual machine.
	IsRemote bool
	// StartCost is about how long a container takes to start.
	StartCost time.Duration
	// Kinds are the families' default kinds that can run.
	Kinds []string
}

// Open opens the containers that the settings choose, and logs which they are. Its
// errors say what to change. Close releases them.
func Open(ctx context.Context, c Config) (*Engine, error) {
	e, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	modules, err := wasm.Open(wasm.Config{Dir: filepath.Join(c.Dir, "wasm"), MaxLogs: c.MaxLogs, Log: c.Log.Named("wasm")})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("preparing WebAssembly actions: %w", err), e.Close())
	}
	e.Factory = kinds.Route(e.Factory, map[string]container.Factory{wasm.Family: modules})
	return e, nil
}

func (c *Config) open(ctx context.Context) (*Engine, error) {
	switch c.Containers {
	case Process:
		return c.processes(ctx)
	case Docker:
		there, err := c.imagesThere(ctx)
		if err != nil {
			return nil, fmt.Errorf("--containers docker: %w", err)
		}
		e, err := c.docker(ctx, there)
		if err != nil {
			return nil, fmt.Errorf("--containers docker: %w", err)
		}
		return e, nil
	}
	there, err := c.imagesThere(ctx)
	switch {
	case errors.Is(err, docker.ErrNoEngine):
		c.Log.Info("no Docker engine answers: actions run in processes", zap.NamedError("reason", err))
	case err != nil:
		c.Log.Warn("the Docker engine is of no use: actions run in processes", zap.Error(err))
	case len(there) < len(families):
		c.Log.Info("a Docker engine answers, but lacks images: actions run in processes. Build the images with: make images")
	default:
		e, err := c.docker(ctx, there)
		if err == nil {
			return e, nil
		}
		c.Log.Warn("the Docker engine is of no use: actions run in processes", zap.Error(err))
	}
	return c.processes(ctx)
}

// imagesThere are the families' default kinds whose images the engine has.
func (c *Config) imagesThere(ctx context.Context) (there []string, err error) {
	for _, family := range families {
		r, err := c.Manifest.Resolve(family + ":default")
		if err != nil {
			continue // an operator's manifest need not have it
		}
		missing, err := docker.Missing(ctx, c.Docker, r.Image.String())
		if err != nil {
			return nil, err
		}
		if len(missing) == 0 {
			there = append(there, r.Kind)
			continue
		}
		if c.Containers == Docker && c.Docker.PullManaged == docker.PullNever {
			c.Log.Warn("the Docker engine lacks an image: actions of its kinds will fail", zap.String("kind", r.Kind), zap.String("image", missing[0]),
				zap.String("advice", "build the images with make images, or let them be pulled with --docker-pull-managed missing"))
		}
	}
	return there, nil
}

func (c *Config) docker(ctx context.Context, there []string) (*Engine, error) {
	var pool entity.Megabytes // containers weigh as processes do
	if c.Docker.CPUs > 0 {
		pool = c.PoolMemory // the CPUs are shared in proportion
	}
	f, err := docker.Open(ctx, docker.Config{
		Settings: c.Docker, Dir: filepath.Join(c.Dir, "docker"), Owner: c.Owner, PoolMemory: pool, MaxLogs: c.MaxLogs,
		ParallelStarts: c.ParallelStarts, IsManagedImage: c.isManaged, Registry: c.Registry, Log: c.Log,
	})
	if err != nil {
		return nil, err
	}
	c.Log.Info("actions run in containers of a Docker engine", zap.Strings("kinds", there))
	gateway := f.Gateway()
	return &Engine{Factory: f, Gateway: gateway, IsRemote: !gateway.IsValid(), StartCost: 400 * time.Millisecond, Kinds: there}, nil
}

func (c *Config) isManaged(text string) bool {
	image, err := entity.ParseImage(text)
	return err == nil && c.Manifest.IsManagedImage(image)
}

func (c *Config) processes(ctx context.Context) (*Engine, error) {
	found, err := runtimes.Detect(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking for language interpreters: %w", err)
	}
	f, err := process.Open(ctx, process.Config{
		Dir: filepath.Join(c.Dir, "containers"), Interpreters: found, MaxLogs: c.MaxLogs, ParallelStarts: c.ParallelStarts,
		FirstUID: c.FirstUID, UIDs: c.UIDs, Log: c.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("preparing action containers: %w", err)
	}
	c.Log.Info("actions run in " + f.Isolation().String())
	e := &Engine{Factory: f, Interpreters: found, StartCost: 80 * time.Millisecond}
	for _, i := range found {
		e.Kinds = append(e.Kinds, i.Kind)
	}
	return e, nil
}

// Runs reports whether actions of the kind's family can run.
func (e *Engine) Runs(kind string) bool {
	family, _, _ := strings.Cut(kind, ":")
	return slices.ContainsFunc(e.Kinds, func(k string) bool { return strings.HasPrefix(k, family+":") })
}
