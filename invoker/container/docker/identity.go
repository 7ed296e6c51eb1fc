package docker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Labels of containers and networks.
const (
	// ownerLabel is the identity of the factory that a container belongs to.
	ownerLabel = "org.gowhisk.owner"
	// keyLabel tells apart the containers of an owner, for all time.
	keyLabel = "org.gowhisk.container"
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

// writeFile replaces a file in one step.
func writeFile(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
