package wasm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Command is the hidden argument that makes the server's binary a compiler.
const Command = "wasm-compiler"

// exitBadModule is how the compiler ends when the module is to blame.
const exitBadModule = 3

// runtimeConfig is how modules are compiled and run.
func runtimeConfig(cache wazero.CompilationCache) wazero.RuntimeConfig {
	return wazero.NewRuntimeConfig().WithCloseOnContextDone(true).WithDebugInfoEnabled(false).WithCompilationCache(cache)
}

// CompileMain is the compiler: it reads a module from standard input and leaves
// machine code in the directory of its first argument, with the bytes of the second
// as its memory. What is wrong with the module it prints. It returns the exit
// status.
func CompileMain(args []string) int {
	if len(args) != 2 {
		fmt.Fprintln(os.Stderr, "this starts with the server, which knows the arguments")
		return 2
	}
	if bytes, err := strconv.ParseUint(args[1], 10, 64); err == nil {
		limit := syscall.Rlimit{Cur: bytes, Max: bytes}
		_ = syscall.Setrlimit(syscall.RLIMIT_DATA, &limit) // where there is such a limit
	}
	const courtesy = 5 // activations come first
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, courtesy)
	binary, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx := context.Background()
	cache, err := wazero.NewCompilationCacheWithDir(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = cache.Close(ctx) }() // the files are complete
	if _, err := wazero.NewRuntimeWithConfig(ctx, runtimeConfig(cache)).CompileModule(ctx, binary); err != nil {
		fmt.Print(err)
		return exitBadModule
	}
	return 0
}

// compiler compiles modules in processes of their own.
type compiler struct {
	command []string
	timeout time.Duration
	memory  entity.Megabytes
	turns   chan struct{} // a token per process
}

// compile leaves the machine code for a module in dir, or nothing.
func (c *compiler) compile(ctx context.Context, binary []byte, dir string) error {
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	// A compiler that is killed leaves parts of files.
	work, err := os.MkdirTemp(filepath.Dir(dir), "compiling-")
	if err != nil {
		return fmt.Errorf("create a directory for compiled modules: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }() // the next start of the server removes it, too
	if err := c.run(ctx, binary, work); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("replace a compiled module: %w", err)
	}
	if err := os.Rename(work, dir); err != nil {
		return fmt.Errorf("keep a compiled module: %w", err)
	}
	return nil
}

// run runs the process. Errors are a badModule unless they are the machine's.
func (c *compiler) run(ctx context.Context, binary []byte, dir string) error {
	command := exec.CommandContext(ctx, c.command[0], append(c.command[1:len(c.command):len(c.command)], dir, strconv.FormatInt(c.memory.Bytes(), 10))...)
	command.Stdin = bytes.NewReader(binary)
	said, failed := &beginning{limit: 4 << 10}, &beginning{limit: 4 << 10}
	command.Stdout, command.Stderr = said, failed
	command.WaitDelay = time.Second
	command.Env = []string{"GOMAXPROCS=1"}
	err := command.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return badf("takes longer than %v to compile", c.timeout)
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.As(err, &exit):
		return fmt.Errorf("start the compiler of WebAssembly: %w", err)
	case exit.ExitCode() == exitBadModule:
		return badf("is not valid: %s", said.text)
	case bytes.Contains(failed.text, []byte("out of memory")), bytes.Contains(failed.text, []byte("cannot allocate memory")):
		return badf("takes more than %d MB to compile", c.memory)
	case bytes.Contains(failed.text, []byte("panic:")), bytes.Contains(failed.text, []byte("fatal error:")):
		return badModule("is more than the compiler can do")
	}
	return fmt.Errorf("compile a module: %w: %s", err, failed.text)
}

// beginning keeps the beginning of what is written.
type beginning struct {
	text  []byte
	limit int
}

// Write takes output; it never fails.
func (s *beginning) Write(p []byte) (int, error) {
	s.text = append(s.text, p[:min(len(p), s.limit-len(s.text))]...)
	return len(p), nil
}
