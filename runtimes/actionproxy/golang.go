package actionproxy

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gowhisk/gowhisk/runtimes"
)

// golang runs Go actions: what is an executable runs as native code does, and
// sources are compiled into one first (openwhisk-invoker.md 1.9).
type golang struct {
	native
	compiler processSlot
}

func newGolang(o options, c *children) *golang {
	return &golang{native: native{options: o, children: c, acknowledges: true}}
}

func (g *golang) init(u upload) error {
	isProgram, err := g.isProgram(u)
	if err != nil {
		return err
	}
	if isProgram {
		return g.native.init(u)
	}
	program, dir, err := g.compile(u)
	if err != nil {
		return err
	}
	u.dir = dir
	return g.startProgram(program, u)
}

// isProgram reports whether the upload needs no compiler.
func (g *golang) isProgram(u upload) (bool, error) {
	if !u.archive {
		return isExecutable(u.text), nil
	}
	content, err := os.ReadFile(filepath.Join(u.dir, "exec"))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && isExecutable(content), err
}

// compile makes a program of the upload's sources and returns it, and the
// directory that it should run in.
func (g *golang) compile(u upload) (program, dir string, err error) {
	dir = u.dir
	if !u.archive {
		dir = filepath.Join(g.options.dir, "action")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", "", fmt.Errorf("create the directory for the code: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, "action.go"), u.text, 0o644); err != nil {
			return "", "", fmt.Errorf("write the action's source: %w", err)
		}
	}
	pkg, err := g.complete(dir, u.main)
	if err != nil {
		return "", "", err
	}
	home := filepath.Join(g.options.dir, ".go") // go ignores names that begin with a dot
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", "", fmt.Errorf("create the compiler's directory: %w", err)
	}
	program = filepath.Join(home, "exec")
	return program, dir, g.build(dir, pkg, program, home)
}

var (
	goMain  = regexp.MustCompile(`(?m)^func\s+main\s*\(\s*\)`)
	goEntry = regexp.MustCompile(`^\p{Lu}[\p{L}\p{Nd}_]*$`)
)

// complete adds to the sources in dir what makes a program of them, and returns
// the package to build: that of dir, or of its directory main.
func (g *golang) complete(dir, entry string) (pkg string, err error) {
	pkg, sources := ".", goFiles(dir)
	if len(sources) == 0 {
		pkg, sources = "./main", goFiles(filepath.Join(dir, "main"))
	}
	if len(sources) == 0 {
		return "", &failure{http.StatusBadGateway, "Initialization has failed due to: the archive has neither Go sources, at its root or in main/, nor an executable 'exec'"}
	}
	if module := filepath.Join(dir, "go.mod"); !isFile(module) {
		_, version, _ := strings.Cut(g.options.kind, ":")
		if err := os.WriteFile(module, []byte("module exec\n\ngo "+version+"\n"), 0o644); err != nil {
			return "", fmt.Errorf("write go.mod: %w", err)
		}
	}
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("read the action's source: %w", err)
		}
		if goMain.Match(text) { // the program speaks the protocol itself
			return pkg, nil
		}
	}
	first, size := utf8.DecodeRuneInString(entry)
	entry = string(unicode.ToUpper(first)) + entry[size:]
	if !goEntry.MatchString(entry) {
		return "", &failure{http.StatusBadGateway, fmt.Sprintf("Initialization has failed due to: '%s' cannot be the name of a Go function", entry)}
	}
	launcher := filepath.Join(dir, pkg, "gowhisk_launcher.go")
	if err := os.WriteFile(launcher, []byte(runtimes.GoLauncher(entry)), 0o644); err != nil {
		return "", fmt.Errorf("write the launcher: %w", err)
	}
	return pkg, nil
}

func goFiles(dir string) []string {
	files, _ := filepath.Glob(filepath.Join(dir, "*.go")) // fails for bad patterns only
	return files
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// build runs the compiler; what it says of the code is the author's.
func (g *golang) build(dir, pkg, program, home string) error {
	cache := runtimes.GoCache(g.options.launchers)
	if _, err := os.Stat(cache); err != nil || g.options.launchers == "" {
		cache = filepath.Join(home, "cache") // slow: everything is compiled
	}
	command := runtimes.GoBuild(g.options.interpreter, dir, pkg, program, home, cache)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	process, err := g.children.start(command)
	if err != nil {
		return fmt.Errorf("start the Go compiler; install it or name it with --interpreter: %w", err)
	}
	g.compiler.set(process)
	status := process.wait()
	g.compiler.set(nil)
	if status.ExitStatus() == 0 {
		return nil
	}
	said := strings.TrimSpace(output.String())
	if status.Signaled() {
		said = strings.TrimSpace(fmt.Sprintf("%s\nthe compiler was ended by a signal (%v); does it need more memory?", said, status.Signal()))
	}
	writeLog(stderr, []byte(said+"\n"))
	return &failure{http.StatusBadGateway, "Initialization has failed due to: the code does not compile: " + said}
}

func (g *golang) stop() {
	g.compiler.stop()
	g.native.stop()
}
