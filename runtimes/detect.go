package runtimes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Interpreter is a language that this machine can run.
type Interpreter struct {
	// Family is the kind without its version, such as "nodejs".
	Family string
	// Kind is the runtime kind that it serves, such as "nodejs:20" or "python:3.11".
	Kind string
	// Path is the absolute path of the binary itself, never of a version
	// manager's wrapper, which would cost time at each start and needs its own
	// environment.
	Path string
	// Version is the full version, such as "20.20.2".
	Version string
}

// probeTime bounds the question to one candidate; wrappers of version managers
// take a second on a busy machine.
const probeTime = 10 * time.Second

// language says how candidates of a family are found and questioned.
type language struct {
	family string
	// names matches the names of candidates on PATH.
	names *regexp.Regexp
	// question is run by the candidate and prints its real path and version, each
	// on a line.
	question []string
	// inspect, in place of the question, learns from the files of the installation
	// that has the binary.
	inspect func(executable string) (version string, err error)
	// parts is how many numbers of the version the kind has.
	parts int
	// oldest is the first version that the launcher supports.
	oldest string
}

var known = []language{
	{family: "nodejs", names: regexp.MustCompile(`^node(js)?(-?\d+)?$`), parts: 1, oldest: "18.0.0",
		question: []string{"-p", `process.execPath+"\n"+process.versions.node`}},
	{family: "python", names: regexp.MustCompile(`^python3(\.\d+)?$`), parts: 2, oldest: "3.8.0",
		question: []string{"-I", "-S", "-c", `import sys;print(sys.executable);print("%d.%d.%d"%sys.version_info[:3])`}},
	{family: "php", names: regexp.MustCompile(`^php(\d+(\.\d+)?)?$`), parts: 2, oldest: "8.1.0",
		question: []string{"-n", "-r", `echo PHP_BINARY,"\n",PHP_MAJOR_VERSION,".",PHP_MINOR_VERSION,".",PHP_RELEASE_VERSION;`}},
	{family: "ruby", names: regexp.MustCompile(`^ruby(\d+(\.\d+)?)?$`), parts: 2, oldest: "2.7.0",
		question: []string{"--disable-gems", "-e", `require "rbconfig"; puts RbConfig.ruby, RUBY_VERSION`}},
	{family: "java", names: regexp.MustCompile(`^java$`), parts: 1, oldest: "11.0.0", inspect: inspectJava},
	{family: "go", names: regexp.MustCompile(`^go(1\.\d+)?$`), parts: 2, oldest: "1.21.0", inspect: inspectGo},
}

// Detect finds the interpreters on PATH, by asking each candidate for its own
// path and version, all at once. The first of each kind on PATH counts. The result has the families in a fixed order, each with its
// newest version first; the shell is always there. Candidates that do not answer
// or are too old for their launcher are left out. The error is ctx's.
func Detect(ctx context.Context) ([]Interpreter, error) {
	var found []Interpreter
	for _, l := range known {
		interpreters := l.detect(ctx)
		slices.SortStableFunc(interpreters, func(a, b Interpreter) int { return compareVersions(b.Version, a.Version) })
		found = append(found, interpreters...)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("look for language interpreters: %w", err)
	}
	return append(found, Interpreter{Family: "shell", Kind: "shell:1", Path: shell(), Version: "1"}), nil
}

// detect returns one interpreter per kind.
func (l language) detect(ctx context.Context) []Interpreter {
	candidates := l.candidates()
	answers := make([]*Interpreter, len(candidates))
	var group sync.WaitGroup
	for i, path := range candidates {
		group.Go(func() {
			if answer, err := l.examine(ctx, path); err == nil {
				answers[i] = answer
			}
		})
	}
	group.Wait()
	var found []Interpreter
	for _, a := range answers {
		if a != nil && compareVersions(a.Version, l.oldest) >= 0 &&
			!slices.ContainsFunc(found, func(f Interpreter) bool { return f.Kind == a.Kind }) {
			found = append(found, *a)
		}
	}
	return found
}

// candidates lists the files on PATH that may be interpreters, each file once.
func (l language) candidates() []string {
	var paths []string
	var files []os.FileInfo
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		entries, err := os.ReadDir(dir)
		if err != nil || !filepath.IsAbs(dir) {
			continue
		}
		for _, e := range entries {
			if !l.names.MatchString(e.Name()) {
				continue
			}
			for _, path := range behindWrapper(dir, e.Name()) {
				info, err := os.Stat(path)
				if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 ||
					slices.ContainsFunc(files, func(f os.FileInfo) bool { return os.SameFile(f, info) }) {
					continue
				}
				paths, files = append(paths, path), append(files, info)
			}
		}
	}
	return paths
}

// behindWrapper returns the binaries that a version manager of the rbenv family
// (pyenv, nodenv) has behind the wrapper name, newest first; asking a wrapper
// takes half a second, and it knows only the version that is chosen now. For
// other files it returns the file.
func behindWrapper(dir, name string) []string {
	if filepath.Base(dir) == "shims" {
		versions, err := filepath.Glob(filepath.Join(filepath.Dir(dir), "versions", "*", "bin", name))
		if err == nil && len(versions) > 0 {
			slices.SortFunc(versions, func(a, b string) int { return compareVersions(versionOf(b), versionOf(a)) })
			return versions
		}
	}
	return []string{filepath.Join(dir, name)}
}

// versionOf is the version in the path PREFIX/versions/VERSION/bin/NAME.
func versionOf(path string) string {
	return filepath.Base(filepath.Dir(filepath.Dir(path)))
}

// release is a version that a version manager gave a directory its name by.
var release = regexp.MustCompile(`^\d+\.\d+\.\d+$`)

// examine finds out what a candidate is, without starting it where its path says
// so already: a machine may have ten versions, and each start takes a while.
func (l language) examine(ctx context.Context, path string) (*Interpreter, error) {
	executable, err := filepath.EvalSymlinks(path)
	if version := versionOf(path); err == nil && release.MatchString(version) &&
		filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(path)))) == "versions" {
		return l.interpreter(executable, version)
	}
	if l.inspect != nil {
		if err != nil {
			return nil, err
		}
		version, err := l.inspect(executable)
		if err != nil {
			return nil, err
		}
		return l.interpreter(executable, version)
	}
	return l.ask(ctx, path)
}

// ask runs the candidate's question.
func (l language) ask(ctx context.Context, path string) (*Interpreter, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	command := exec.CommandContext(ctx, path, l.question...)
	command.Env = environment()
	command.WaitDelay = time.Second
	output, err := command.Output()
	if err != nil {
		return nil, err
	}
	executable, version, ok := strings.Cut(strings.TrimSpace(string(output)), "\n")
	if !ok {
		return nil, errors.New("the answer has no two lines")
	}
	if executable, err = filepath.EvalSymlinks(executable); err != nil {
		return nil, err
	}
	return l.interpreter(executable, version)
}

func (l language) interpreter(executable, version string) (*Interpreter, error) {
	numbers := strings.SplitN(version, ".", 3)
	if len(numbers) < 3 || !filepath.IsAbs(executable) {
		return nil, fmt.Errorf("the version %q or the path %q makes no sense", version, executable)
	}
	return &Interpreter{
		Family:  l.family,
		Kind:    l.family + ":" + strings.Join(numbers[:l.parts], "."),
		Path:    executable,
		Version: version,
	}, nil
}

// environment is ours without what makes interpreters slow or different to start.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return strings.HasPrefix(name, "NODE_") || strings.HasPrefix(name, "GO") || strings.HasPrefix(name, "PYTHON")
	})
}

func compareVersions(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(x, y string) int {
		m, _ := strconv.Atoi(x) // a part with letters counts as 0
		n, _ := strconv.Atoi(y)
		return m - n
	})
}

func shell() string {
	if bash, err := exec.LookPath("bash"); err == nil && filepath.IsAbs(bash) {
		return bash
	}
	return "/bin/sh"
}
