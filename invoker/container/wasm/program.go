package wasm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// program is a compiled module, ready to make instances. It is safe for concurrent
// use until it is closed.
type program struct {
	cache    wazero.CompilationCache
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	// memory is what an instance has from the start, in bytes.
	memory int64
}

// load makes a program of a module. The machine code comes from dir if it is there;
// if not, it is made here.
func load(ctx context.Context, m module, dir string) (p *program, err error) {
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open a compiled module: %w", err)
	}
	p = &program{cache: cache, memory: m.memory}
	defer func() {
		if fault := recover(); fault != nil {
			err = badf("cannot be loaded: %v", fault)
		}
		if err != nil {
			p.close()
			p = nil
		}
	}()
	p.runtime = wazero.NewRuntimeWithConfig(ctx, runtimeConfig(cache))
	host, err := system(ctx, p.runtime)
	if err != nil {
		return p, fmt.Errorf("prepare the system interface: %w", err)
	}
	if p.compiled, err = p.runtime.CompileModule(ctx, m.code); err != nil {
		return p, badf("is not valid: %v", err)
	}
	return p, checkImports(p.compiled, host)
}

// close frees everything; no instance may be left.
func (p *program) close() {
	ctx := context.Background()
	if p.runtime != nil {
		_ = p.runtime.Close(ctx) // memory and nothing else
	}
	_ = p.cache.Close(ctx)
}

// system defines WASI preview 1 in a runtime.
func system(ctx context.Context, r wazero.Runtime) (api.Module, error) {
	b := r.NewHostModuleBuilder(wasi_snapshot_preview1.ModuleName)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(b)
	// There are no files but the three streams. A renumbered one could have any
	// number, and the table that holds it would become as long.
	const errnoNotSupported = 58
	b.NewFunctionBuilder().WithFunc(func(context.Context, uint32, uint32) uint32 { return errnoNotSupported }).Export("fd_renumber")
	return b.Instantiate(ctx)
}

// checkImports returns a badModule if the module wants more than there is.
func checkImports(compiled wazero.CompiledModule, host api.Module) error {
	there := host.ExportedFunctionDefinitions()
	for _, f := range compiled.ImportedFunctions() {
		from, name, _ := f.Import()
		definition, ok := there[name]
		switch {
		case from != wasi_snapshot_preview1.ModuleName:
			return badf("imports %q from %q: only %s can be imported from", name, from, wasi_snapshot_preview1.ModuleName)
		case !ok:
			return badf("imports %q, which %s does not have", name, from)
		case !slices.Equal(definition.ParamTypes(), f.ParamTypes()), !slices.Equal(definition.ResultTypes(), f.ResultTypes()):
			return badf("imports %q with other types than it has", name)
		}
	}
	if len(compiled.ImportedMemories()) > 0 {
		return badModule("imports a memory: it must have its own")
	}
	return nil
}

// Functions that mean something by their names.
const (
	functionStart      = "_start"
	functionInitialize = "_initialize"
)

// defaultMain is what the platform says for an action that names no entry point.
const defaultMain = "main"

// entry returns the functions that an activation calls, one after the other.
func (p *program) entry(main string) ([]string, error) {
	exported := p.compiled.ExportedFunctions()
	if main == "" || main == defaultMain {
		if f, ok := exported[functionStart]; ok && isEntry(f) {
			return []string{functionStart}, nil
		}
		main = defaultMain
	}
	f, ok := exported[main]
	switch {
	case !ok && main == defaultMain:
		return nil, badModule("exports no function _start; build it as a WASI command, or name an exported function as the action's main")
	case !ok:
		return nil, badf("exports no function '%s'", main)
	case !isEntry(f):
		return nil, badf("exports '%s', but not as a function without arguments that returns nothing or a status", main)
	}
	if _, ok := exported[functionInitialize]; ok {
		return []string{functionInitialize, main}, nil
	}
	return []string{main}, nil
}

// isEntry: no parameters, and at most an exit status.
func isEntry(f api.FunctionDefinition) bool {
	results := f.ResultTypes()
	return len(f.ParamTypes()) == 0 && (len(results) == 0 || len(results) == 1 && results[0] == api.ValueTypeI32)
}

// isCompiled reports whether machine code for this version of the runtime is in dir.
func isCompiled(dir, version string) bool {
	files, err := os.ReadDir(filepath.Join(dir, version))
	return err == nil && len(files) > 0
}

// runtimeVersion is the name that the runtime gives to directories of its machine
// code, which no other version can use.
func runtimeVersion(scratch string) (string, error) {
	dir, err := os.MkdirTemp(scratch, "version-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }() // empty
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = cache.Close(context.Background()) }()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "wazero-") {
			return e.Name(), nil
		}
	}
	return "", fmt.Errorf("the WebAssembly runtime made no directory in %s", dir)
}
