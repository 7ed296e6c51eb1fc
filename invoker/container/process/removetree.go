package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// removeTree removes a directory that an action may have written to, also when
// it took the permissions away. It follows no links.
func removeTree(dir string) error {
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if entry == nil || !entry.IsDir() {
			return nil // what cannot be removed is reported below
		}
		if err != nil {
			return fs.SkipDir
		}
		return os.Chmod(path, 0o700) // before it is read
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open %s for removal: %w", dir, err)
	}
	return os.RemoveAll(dir)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// isHome reports whether a directory is somebody's home or above all homes,
// which must not be shown to actions as a whole.
func isHome(dir string) bool {
	if home, err := os.UserHomeDir(); err == nil && within(home, dir) {
		return true
	}
	return dir == "/" || filepath.Dir(dir) == "/home" || filepath.Dir(dir) == "/Users" || dir == "/root"
}
