package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// dataDir is the directory of a server, locked against a second one.
type dataDir struct {
	path string
	lock *flock.Flock
	// temporary directories go with the server.
	temporary bool
}

// lockPatience is how long a start waits for the directory's lock.
const lockPatience = 2 * time.Second

// openDataDir makes the directory and locks it. Its errors say what to do.
func openDataDir(ctx context.Context, cfg Config) (*dataDir, error) {
	if cfg.Ephemeral {
		path, err := os.MkdirTemp("", "gowhisk-")
		if err != nil {
			return nil, fmt.Errorf("making a temporary directory: %w; set TMPDIR to a directory that can be written", err)
		}
		return &dataDir{path: path, temporary: true}, nil
	}
	path, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("--data-dir %s: %w", cfg.DataDir, err)
	}
	// The database holds keys: others must not read it.
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory cannot be made: %w; name another with --data-dir, or use --ephemeral", err)
	}
	lock := flock.New(filepath.Join(path, "lock"))
	// A child that a killed server was just starting can hold the lock for a moment.
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	locked, err := lock.TryLockContext(ctx, 20*time.Millisecond)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("the data directory %s cannot be written: %w; name another with --data-dir, or use --ephemeral", path, err)
	}
	if !locked {
		return nil, errors.New("another server runs on the data directory " + path + "; stop it, or name another directory with --data-dir")
	}
	return &dataDir{path: path, lock: lock}, nil
}

// once does what belongs to a new directory. It is done again if the process died
// before it was complete, so it must bear repetition.
func (d *dataDir) once(name string, do func() error) error {
	mark := filepath.Join(d.path, name)
	if _, err := os.Stat(mark); err == nil {
		return nil
	}
	if err := do(); err != nil {
		return err
	}
	return os.WriteFile(mark, nil, 0o600)
}

func (d *dataDir) close() error {
	if d.temporary {
		return os.RemoveAll(d.path)
	}
	return d.lock.Unlock()
}
