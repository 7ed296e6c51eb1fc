// Package runtimes holds what runs actions inside a container: a launcher per
// language, written to disk by Install, and Detect, which finds the language
// interpreters of this machine. The sub-package actionproxy is the HTTP server
// that drives the launchers; README.md says how to add a language.
package runtimes

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed launchers
var launchers embed.FS

// Launcher is the path, below the directory given to Install, of the program
// that runs actions of family. It is empty for families without a launcher.
func Launcher(family string) string {
	switch family {
	case "nodejs":
		return filepath.Join("node", "launcher.js")
	case "python":
		return filepath.Join("python", "launcher.py")
	}
	return ""
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
