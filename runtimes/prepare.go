package runtimes

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// Prepare compiles, below dir, where Install was called, what containers of the
// interpreter's family need beside its launcher. For most families there is
// nothing to do; for Go it takes half a minute of CPU time, the first time. What
// is there from an earlier call with the same interpreter is used again. It is safe
// for concurrent use, also by several processes. Errors say what could not be
// compiled.
func Prepare(ctx context.Context, i Interpreter, dir string) error {
	prepare := families[i.Family].prepare
	if prepare == nil {
		return nil
	}
	family := filepath.Join(dir, i.Family)
	stamp := filepath.Join(family, "prepared")
	done := []byte(i.Path + " " + i.Version + "\n")
	isDone := func() bool {
		there, err := os.ReadFile(stamp)
		return err == nil && bytes.Equal(there, done)
	}
	if isDone() {
		return nil
	}
	if err := installDirectory(family); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(family, "lock"))
	if _, err := lock.TryLockContext(ctx, lockPoll); err != nil {
		return fmt.Errorf("wait for another preparation of %s: %w", i.Kind, err)
	}
	defer func() { _ = lock.Close() }()
	if isDone() {
		return nil
	}
	if err := prepare(ctx, i.Path, dir); err != nil {
		return fmt.Errorf("prepare %s for actions: %w", i.Kind, err)
	}
	if err := makeReadable(family); err != nil {
		return err
	}
	return installFile(stamp, done)
}

// lockPoll is how often a lock that another process holds is looked at.
const lockPoll = 50 * time.Millisecond

// makeReadable undoes the umask: actions run as other users.
func makeReadable(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		want := info.Mode().Perm() | 0o444
		if entry.IsDir() {
			want |= 0o111
		}
		if want == info.Mode().Perm() || entry.Type()&fs.ModeSymlink != 0 {
			return nil
		}
		return os.Chmod(path, want)
	})
}

// runTool runs a compiler; its output is the error's text.
func runTool(ctx context.Context, command *exec.Cmd) error {
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = command.Process.Kill() })
	defer stop()
	if err := command.Wait(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(command.Path), err, bytes.TrimSpace(output.Bytes()))
	}
	return nil
}
