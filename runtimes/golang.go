package runtimes

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed launchers/go/launcher.go.txt
var goLauncher string

// GoLauncher is the source file that makes a program of a package main whose
// entry point is a function of the given name.
func GoLauncher(entry string) string { return strings.ReplaceAll(goLauncher, "ENTRY", entry) }

// goPackages are compiled ahead, so that an action with the usual imports waits
// for no more than its own code.
var goPackages = []string{
	"bufio", "bytes", "context", "crypto/hmac", "crypto/sha256", "encoding/base64", "encoding/hex", "encoding/json",
	"errors", "fmt", "io", "log", "maps", "math", "math/rand", "net/http", "net/url", "os", "path/filepath", "regexp",
	"runtime/debug", "slices", "sort", "strconv", "strings", "sync", "time", "unicode/utf8",
}

// inspectGo reads the version of the toolchain whose command executable is. The command
// itself would write to the user's configuration directory.
func inspectGo(executable string) (string, error) {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(executable)), "VERSION"))
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	version := strings.TrimPrefix(strings.TrimSpace(line), "go")
	if strings.Count(version, ".") == 1 { // the first release of a version, once
		version += ".0"
	}
	return version, nil
}

// GoBuild returns the command that compiles the package pkg below dir to
// program. The toolchain is command, or go on PATH. home is a directory that it
// may write to; cache has compiled packages and need not be writable. PATH and
// what the environment says of module proxies are kept.
func GoBuild(command, dir, pkg, program, home, cache string) *exec.Cmd {
	if command == "" {
		command = "go"
	}
	c := exec.Command(command, "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", program, pkg)
	c.Dir = dir
	c.Env = append(goEnvironment(home, cache), "GOPATH="+filepath.Join(home, "go"))
	// Without vendored packages, go.sum need not be complete.
	if _, err := os.Stat(filepath.Join(dir, "vendor")); errors.Is(err, fs.ErrNotExist) {
		c.Env = append(c.Env, "GOFLAGS=-mod=mod")
	}
	return c
}

func goEnvironment(home, cache string) []string {
	env := []string{
		"HOME=" + home, "GOCACHE=" + cache, "CGO_ENABLED=0", "GOTOOLCHAIN=local", "GOENV=off", "GO111MODULE=on", "GOWORK=off", "GOTELEMETRY=off",
		// The index of the standard library is kept in the cache; where that cannot
		// be written to, packages that it lacks would not be found at all.
		"GODEBUG=goindex=0",
	}
	for _, name := range []string{"PATH", "TMPDIR", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOSUMCHECK", "GOPRIVATE", "GONOPROXY", "SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// GoCache is where Prepare puts compiled packages below the directory of the
// launchers.
func GoCache(launchers string) string { return filepath.Join(launchers, "go", "cache") }

// prepareGo fills the cache of compiled packages.
func prepareGo(ctx context.Context, command, dir string, packages []string) error {
	work, err := os.MkdirTemp("", "gowhisk-go")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // left-overs of a temporary directory do no harm
	var source strings.Builder
	source.WriteString("package main\n\nimport (\n")
	for _, p := range packages {
		fmt.Fprintf(&source, "\t_ %q\n", p)
	}
	source.WriteString(")\n\nfunc main() {}\n")
	err = errors.Join(
		os.WriteFile(filepath.Join(work, "main.go"), []byte(source.String()), 0o600),
		os.WriteFile(filepath.Join(work, "go.mod"), []byte("module prepare\n"), 0o600))
	if err != nil {
		return err
	}
	build := GoBuild(command, work, ".", os.DevNull, work, GoCache(dir))
	return runTool(ctx, build)
}
