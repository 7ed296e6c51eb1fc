// Package runtimes holds what runs actions inside a container: a launcher per
// language, written to disk by Install, and Detect, which finds the language
// interpreters of this machine. The sub-package actionproxy is the HTTP server
// that drives the launchers; README.md says how to add a language.
package runtimes

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed launchers
var launchers embed.FS

// launcher says how actions of a family are run.
type launcher struct {
	// program is the path below the directory given to Install.
	program string
	// interpreter is the command that runs it, where none is named.
	interpreter string
	flags       []string
	// arguments are what the interpreter is given in place of the program's path.
	arguments func(dir string) []string
	// prepare compiles what containers need, with interpreter, below dir.
	prepare func(ctx context.Context, interpreter, dir string) error
}

var families = map[string]launcher{
	"nodejs": {program: "node/launcher.js", interpreter: "node"},
	"python": {program: "python/launcher.py", interpreter: "python3"},
	"php": {program: "php/launcher.php", interpreter: "php",
		// The container bounds the memory; warnings are logs, not output.
		flags: []string{"-d", "memory_limit=-1", "-d", "display_errors=stderr", "-d", "log_errors=0"}},
	// RubyGems is loaded when it is needed: it is three quarters of Ruby's start.
	"ruby": {program: "ruby/launcher.rb", interpreter: "ruby", flags: []string{"--disable-gems"}},
	"java": {program: javaLauncher, interpreter: "java", flags: javaFlags, arguments: javaArguments, prepare: prepareJava},
	// No program: the launcher becomes a part of the action (golang.go).
	"go": {interpreter: "go", prepare: func(ctx context.Context, interpreter, dir string) error {
		return prepareGo(ctx, interpreter, dir, goPackages)
	}},
}

// Launcher is the path, below the directory given to Install, of the program
// that runs actions of family. It is empty for families without a launcher.
func Launcher(family string) string {
	return filepath.FromSlash(families[family].program)
}

// Command is the command line that starts the launcher of family, which was
// installed in dir. An empty interpreter is looked up on PATH.
func Command(family, interpreter, dir string) []string {
	l := families[family]
	if interpreter == "" {
		interpreter = l.interpreter
	}
	line := append([]string{interpreter}, l.flags...)
	if l.arguments != nil {
		return append(line, l.arguments(dir)...)
	}
	return append(line, filepath.Join(dir, filepath.FromSlash(l.program)))
}

// Install writes the launchers below dir, readable by everyone, since actions
// run as other users. Files that are there already and equal are left alone, so
// it may be called at every start, also by several processes at once; a changed
// file is replaced in one step and running interpreters keep the old one.
func Install(dir string) error {
	tree, err := fs.Sub(launchers, "launchers")
	if err != nil {
		return err
	}
	return fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(dir, filepath.FromSlash(name))
		if entry.IsDir() {
			return installDirectory(target)
		}
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		if err := installFile(target, content); err != nil {
			return fmt.Errorf("install the launcher %s: %w", target, err)
		}
		return nil
	})
}

func installDirectory(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("install the launchers: %w", err)
	}
	// MkdirAll is subject to the umask. Somebody else's directory is left alone.
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o055 == 0o055 {
		return nil
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("make the launchers readable for actions: %w", err)
	}
	return nil
}

func installFile(target string, content []byte) error {
	if there, err := os.ReadFile(target); err == nil && bytes.Equal(there, content) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(target), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), target)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
