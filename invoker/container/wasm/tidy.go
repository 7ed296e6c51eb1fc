package wasm

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// kept is a compiled module on disk.
type kept struct {
	path  string
	bytes int64
	used  time.Time
}

// tidy removes the modules that were not used for longest until the others fit, and
// everything that this version cannot use. A module that is in memory does not need
// its file.
func (l *library) tidy() error {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return err
	}
	var modules []kept
	var total int64
	var errs []error
	for _, e := range entries {
		path := filepath.Join(l.dir, e.Name())
		if strings.HasPrefix(e.Name(), "compiling-") && l.isBusy() {
			continue
		}
		if !strings.HasPrefix(e.Name(), edition+"-") || !isCompiled(path, l.version) {
			errs = append(errs, os.RemoveAll(path))
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // gone already
		}
		k := kept{path, size(path), info.ModTime()}
		modules, total = append(modules, k), total+k.bytes
	}
	slices.SortFunc(modules, func(a, b kept) int { return cmp.Compare(a.used.UnixNano(), b.used.UnixNano()) })
	for len(modules) > 0 && total > l.disk {
		errs = append(errs, os.RemoveAll(modules[0].path))
		total, modules = total-modules[0].bytes, modules[1:]
	}
	return errors.Join(errs...)
}

// isBusy reports whether modules are being loaded, and perhaps compiled.
func (l *library) isBusy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.volumes) > 0
}

// size is that of the files in a directory.
func size(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // gone already
		}
		if info, err := d.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}
