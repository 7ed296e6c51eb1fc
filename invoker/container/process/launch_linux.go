package process

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// levels are tried in this order.
func levels() []Level {
	if isRoot() {
		return []Level{LevelRoot, LevelPlain}
	}
	return []Level{LevelUser, LevelPlain}
}

const boxNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// userCapabilities are what a container at LevelUser needs until it is confined:
// for mounts.
var userCapabilities = []uintptr{unix.CAP_SYS_ADMIN}

// command is a container process that has yet to be started.
func (f *Factory) command(level Level) *exec.Cmd {
	c := exec.Command(f.config.Executable[0], f.config.Executable[1:]...)
	c.Env = []string{}
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	switch level {
	case LevelRoot:
		c.SysProcAttr.Cloneflags = boxNamespaces
	case LevelUser:
		uid, gid := os.Getuid(), os.Getgid()
		c.SysProcAttr.Cloneflags = boxNamespaces | unix.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		c.SysProcAttr.AmbientCaps = userCapabilities
	}
	return c
}

// openSocketDir opens the directory of the proxy's socket, which exists in the
// container's mount namespace alone. It is called while the process lives.
func (c *Container) openSocketDir() error {
	if c.factory.report.Level == LevelPlain {
		return nil
	}
	path := fmt.Sprintf("/proc/%d/root%s", c.roots()[0], boxRun)
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the container's socket directory %s: %w", path, err)
	}
	c.mu.Lock()
	c.socketDir = os.NewFile(uintptr(fd), path)
	c.mu.Unlock()
	return nil
}

// processLimit is the limit on processes of this process's own user that leaves
// a container at LevelPlain its share: the kernel counts all of the user's.
func (f *Factory) processLimit() uint64 {
	threads := 0
	for _, p := range processTable() {
		if p.uid == os.Getuid() {
			threads += p.threads
		}
	}
	return uint64(threads) + uint64(f.config.Processes)
}
