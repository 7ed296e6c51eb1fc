package wasm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Family is that of the kinds that a Factory starts; Kind is the one there is.
const (
	Family = "wasm"
	Kind   = "wasm:wasi"
)

// Config of a Factory. The zero value of every field but Dir has a meaning.
type Config struct {
	// Dir holds compiled modules. It is created, and nobody else may write there:
	// what it holds is run as it is.
	Dir string
	// Compiler is the command that calls CompileMain with the arguments that follow;
	// by default this binary with Command.
	Compiler []string
	// ParallelCompilers bounds how many modules are compiled at once, by default half
	// of the CPUs and at least 1.
	ParallelCompilers int
	// CompileTimeout bounds how long one takes, by default a minute.
	CompileTimeout time.Duration
	// CompileMemory bounds what compiling one takes, by default 1 GB.
	CompileMemory entity.Megabytes
	// UnusedModules bounds the modules in memory that no container uses, by the size
	// of their files; by default 64 MB. Machine code takes about three times as much.
	UnusedModules entity.Megabytes
	// CompiledModules bounds the machine code on disk, by default 1 GB.
	CompiledModules entity.Megabytes
	// MaxLogs is the largest log limit of any action, by default 10 MB: what is kept
	// of a container's output until it is collected.
	MaxLogs entity.Megabytes
	// Log, by default none.
	Log *zap.Logger
}

// withDefaults returns the configuration with everything filled in.
func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("WebAssembly containers need a directory for compiled modules")
	}
	var err error
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return c, err
	}
	if len(c.Compiler) == 0 {
		self, err := os.Executable()
		if err != nil {
			return c, fmt.Errorf("find this program's own file: %w", err)
		}
		c.Compiler = []string{self, Command}
	}
	if c.ParallelCompilers == 0 {
		c.ParallelCompilers = max(1, runtime.NumCPU()/2)
	}
	if c.CompileTimeout == 0 {
		c.CompileTimeout = time.Minute
	}
	if c.CompileMemory == 0 {
		c.CompileMemory = 1024
	}
	if c.UnusedModules == 0 {
		c.UnusedModules = 64
	}
	if c.CompiledModules == 0 {
		c.CompiledModules = 1024
	}
	if c.MaxLogs == 0 {
		c.MaxLogs = 10
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return c, nil
}

// Factory starts containers for WebAssembly modules; see container.Factory.
type Factory struct {
	config  Config
	library *library

	mu         sync.Mutex // guards what follows
	containers map[*Container]struct{}
	closed     bool
}

var _ container.Factory = (*Factory)(nil)

// Open returns a factory. Close releases it.
func Open(config Config) (*Factory, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	c := compiler{
		command: config.Compiler, timeout: config.CompileTimeout, memory: config.CompileMemory,
		turns: make(chan struct{}, config.ParallelCompilers),
	}
	l, err := openLibrary(config.Dir, c, config.UnusedModules, config.CompiledModules, config.Log)
	if err != nil {
		return nil, err
	}
	return &Factory{config: config, library: l, containers: make(map[*Container]struct{})}, nil
}

// Start implements container.Factory. It takes microseconds: there is nothing to
// start before there is code.
func (f *Factory) Start(ctx context.Context, spec container.Spec) (container.Container, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if spec.Kind != Kind && spec.Kind != Family+":default" {
		return nil, &container.StartError{Text: fmt.Sprintf("The runtime '%s' is not available on this server.", spec.Kind)}
	}
	c := newContainer(f, spec)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errClosed
	}
	f.containers[c] = struct{}{}
	return c, nil
}

func (f *Factory) forget(c *Container) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.containers, c)
}

// Sweep implements container.Factory: instances end with their server.
func (f *Factory) Sweep(context.Context) error { return nil }

// closePatience bounds how long Close waits for instances to end.
const closePatience = 10 * time.Second

// Close implements container.Factory.
func (f *Factory) Close() error {
	f.mu.Lock()
	f.closed = true
	left := make([]*Container, 0, len(f.containers))
	for c := range f.containers {
		left = append(left, c)
	}
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	for _, c := range left {
		c.end() // all at once
	}
	var errs []error
	for _, c := range left {
		errs = append(errs, c.Destroy(ctx))
	}
	f.library.close()
	return errors.Join(errs...)
}
