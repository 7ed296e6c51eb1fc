package docker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// Labels of containers and networks.
const (
	// ownerLabel is the identity of the factory that a container belongs to.
	ownerLabel = "org.gowhisk.owner"
	// keyLabel tells apart the containers of an owner, for all time.
	keyLabel = "org.gowhisk.container"
	// directoryLabel and hostLabel say where an owner has its state directory, so that
	// others on the same machine can tell whether it lives.
	directoryLabel = "org.gowhisk.directory"
	hostLabel      = "org.gowhisk.host"
	// The others are for people.
	invokerLabel = "org.gowhisk.invoker"
	kindLabel    = "org.gowhisk.kind"
	nameLabel    = "org.gowhisk.name"
	imageLabel   = "org.gowhisk.image"
)

// ErrInUse: another factory uses the state directory.
var ErrInUse = errors.New("the state directory is in use by another server")

// lockPatience is how long an opening factory waits for the directory's lock.
const lockPatience = 2 * time.Second

// takeDir makes the state directory, keeps others from using it and reads the
// identity that stays with it.
func (f *Factory) takeDir(ctx context.Context) error {
	if err := os.MkdirAll(f.config.Dir, 0o700); err != nil {
		return fmt.Errorf("create the state directory of Docker containers: %w", err)
	}
	lock := flock.New(filepath.Join(f.config.Dir, "lock"))
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	taken, err := lock.TryLockContext(ctx, 20*time.Millisecond)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("lock the state directory %s: %w", f.config.Dir, err)
	}
	if !taken {
		return fmt.Errorf("%w: %s; stop that server or give this one a directory of its own", ErrInUse, f.config.Dir)
	}
	f.lock = lock
	if f.host, err = hostIdentity(); err != nil {
		return err
	}
	f.owner, err = identity(filepath.Join(f.config.Dir, "owner"))
	return err
}

// identity reads the text that identifies a state directory, or makes one.
func identity(path string) (string, error) {
	known, err := os.ReadFile(path)
	if text := strings.TrimSpace(string(known)); err == nil && text != "" {
		return text, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the identity of Docker containers: %w", err)
	}
	text := rand.Text()
	if err := writeFile(path, []byte(text+"\n")); err != nil {
		return "", fmt.Errorf("keep the identity of Docker containers: %w", err)
	}
	return text, nil
}

// hostIdentity tells apart machines, and containers and services with mounts of their
// own, that use one engine: paths mean the same to those with the same text.
func hostIdentity() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("identify this machine: %w", err)
	}
	root, err := os.Stat("/")
	if err != nil {
		return "", fmt.Errorf("identify this machine: %w", err)
	}
	s, ok := root.Sys().(*syscall.Stat_t)
	if !ok {
		return "", errors.New("identify this machine: its files have no numbers")
	}
	mounts, _ := os.Readlink("/proc/self/ns/mnt") // "" on systems that have none
	return fmt.Sprintf("%s/%d/%d/%s", name, s.Dev, s.Ino, mounts), nil
}

// isAbandoned reports whether no server uses a state directory.
func isAbandoned(directory string) bool {
	path := filepath.Join(directory, "lock")
	if _, err := os.Stat(path); err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	lock := flock.New(path, flock.SetFlag(os.O_RDWR)) // never made here
	taken, err := lock.TryLock()
	return err == nil && taken && lock.Unlock() == nil
}

// writeFile replaces a file in one step.
func writeFile(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
