package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// changeRoot replaces this mount namespace's root by a small one: a skeleton in
// memory, the system's and interpreters' directories read-only, a private /proc,
// a minimal /dev, and one bounded file system in memory to write to, which is
// also /tmp. Nothing else of the machine exists in it.
func changeRoot(s *boxSpec) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("detach the mounts: %w", err)
	}
	if err := unix.Mount("tmpfs", s.Root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=1m,mode=755"); err != nil {
		return fmt.Errorf("mount the root: %w", err)
	}
	for _, path := range s.Show {
		if err := show(s.Root, path); err != nil {
			return fmt.Errorf("show %s: %w", path, err)
		}
	}
	if err := bind(s.Launchers, filepath.Join(s.Root, boxLaunchers), true); err != nil {
		return fmt.Errorf("show the launchers: %w", err)
	}
	for _, dir := range []string{"dev", "proc", "tmp", "run", "var/tmp", boxDir} {
		if err := os.MkdirAll(filepath.Join(s.Root, dir), 0o755); err != nil {
			return err
		}
	}
	if err := makeReadOnly(s.Root); err != nil {
		return fmt.Errorf("make the root read-only: %w", err)
	}
	if err := mountDevices(filepath.Join(s.Root, "dev")); err != nil {
		return fmt.Errorf("mount /dev: %w", err)
	}
	if err := unix.Mount("proc", filepath.Join(s.Root, "proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := mountScratch(s); err != nil {
		return fmt.Errorf("mount the scratch space: %w", err)
	}
	return pivot(s.Root)
}

// show binds a path into the new root at the same place; a symbolic link becomes
// the same link, a path that does not exist is left out.
func show(root, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	target := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		if filepath.Dir(path) == "/" { // /bin -> usr/bin
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		}
		// Such as /etc/resolv.conf, whose target is elsewhere: show what it says.
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil // dangling, as good as not there
		}
		if info, err = os.Stat(path); err != nil {
			return err
		}
	}
	return bind(path, target, info.IsDir())
}

// bind makes a path appear at target, too.
func bind(path, target string, directory bool) error {
	if directory {
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
	} else if err := touch(target); err != nil {
		return err
	}
	return unix.Mount(path, target, "", unix.MS_BIND|unix.MS_REC, "")
}

func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

// makeReadOnly makes the root and everything mounted in it so far read-only,
// without device files and without set-user-id.
func makeReadOnly(root string) error {
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOSUID}
	err := unix.MountSetattr(unix.AT_FDCWD, root, unix.AT_RECURSIVE, attr)
	if errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("%w: Linux 5.12 or later is needed", err)
	}
	return err
}

// mountDevices makes a /dev of harmless devices.
func mountDevices(dev string) error {
	if err := unix.Mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "size=64k,mode=755"); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom"} {
		target := filepath.Join(dev, name)
		if err := touch(target); err != nil {
			return err
		}
		if err := unix.Mount("/dev/"+name, target, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
		"shm": "/tmp", // shared memory counts as scratch space
	} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	return unix.Mount("", dev, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NOEXEC, "")
}

// mountScratch mounts the one file system that the container writes to.
func mountScratch(s *boxSpec) error {
	owner := os.Getuid()
	if s.Level == LevelRoot {
		owner = s.UID
	}
	inodes := max(s.ScratchBytes/4096, 1024)
	scratch := filepath.Join(s.Root, boxDir)
	options := fmt.Sprintf("size=%d,nr_inodes=%d,mode=755,uid=%d,gid=%d", s.ScratchBytes, inodes, owner, owner)
	if s.Level == LevelUser { // the only ids that exist are this process's own
		options = fmt.Sprintf("size=%d,nr_inodes=%d,mode=755", s.ScratchBytes, inodes)
	}
	if err := unix.Mount("tmpfs", scratch, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return err
	}
	for _, dir := range []string{boxWork, boxRun, boxTmp} {
		dir = filepath.Join(s.Root, dir)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if err := os.Lchown(dir, owner, -1); err != nil {
			return err
		}
		if s.Level == LevelRoot {
			if err := os.Lchown(dir, owner, owner); err != nil {
				return err
			}
		}
	}
	for _, tmp := range []string{"tmp", "var/tmp"} {
		if err := unix.Mount(filepath.Join(s.Root, boxTmp), filepath.Join(s.Root, tmp), "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

// pivot makes root the root of this mount namespace and forgets the old one.
func pivot(root string) error {
	if err := unix.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change the root: %w", err)
	}
	// The old root now lies on top of the new one.
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	return unix.Chdir(boxWork)
}
