// Package datadir owns the directory in which a process keeps what must outlive it:
// it is private to its user and locked against a second process.
package datadir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Dir is an open data directory.
type Dir struct {
	path string
	lock *flock.Flock
	// temporary directories go with the process.
	temporary bool
}

// lockPatience is how long Open waits for the directory's lock.
const lockPatience = 2 * time.Second

// Temporary makes a directory that Close removes.
func Temporary() (*Dir, error) {
	path, err := os.MkdirTemp("", "gowhisk-")
	if err != nil {
		return nil, fmt.Errorf("making a temporary directory: %w; set TMPDIR to a directory that can be written", err)
	}
	return &Dir{path: path, temporary: true}, nil
}

// Open makes the directory, if there is none, and locks it. Its errors say what to
// do.
func Open(ctx context.Context, name string) (*Dir, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("--data-dir %s: %w", name, err)
	}
	// What is in it may hold keys: others must not read it.
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory cannot be made: %w; name another with --data-dir", err)
	}
	lock := flock.New(filepath.Join(path, "lock"))
	// A child that a killed process was just starting can hold the lock for a moment.
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	locked, err := lock.TryLockContext(ctx, 20*time.Millisecond)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("the data directory %s cannot be written: %w; name another with --data-dir", path, err)
	}
	if !locked {
		return nil, errors.New("another server runs on the data directory " + path + "; stop it, or name another directory with --data-dir")
	}
	return &Dir{path: path, lock: lock}, nil
}

// Path is the absolute path.
func (d *Dir) Path() string { return d.path }

// Once does what belongs to a new directory. It is done again if the process died
// before it was complete, so it must bear repetition.
func (d *Dir) Once(name string, do func() error) error {
	mark := filepath.Join(d.path, name)
	if _, err := os.Stat(mark); err == nil {
		return nil
	}
	if err := do(); err != nil {
		return err
	}
	return os.WriteFile(mark, nil, 0o600)
}

// Name returns a name of the directory's own, drawn when it is asked for first: it
// tells a process that comes back from another one.
func (d *Dir) Name() (string, error) {
	file := filepath.Join(d.path, "name")
	content, err := os.ReadFile(file)
	if name := strings.TrimSpace(string(content)); err == nil && name != "" {
		return name, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the name of the data directory: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("asking for the host's name: %w", err)
	}
	name := host + "-" + strings.ToLower(rand.Text()[:8])
	// By renaming, so that a name is whole or not there.
	if err := os.WriteFile(file+".new", []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("naming the data directory: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return "", fmt.Errorf("naming the data directory: %w", err)
	}
	return name, nil
}

// Close unlocks the directory, and removes it if it is temporary.
func (d *Dir) Close() error {
	if d.temporary {
		return os.RemoveAll(d.path)
	}
	return d.lock.Unlock()
}
