//go:build unix && !linux

package process

import (
	"os/exec"
	"syscall"
)

func levels() []Level { return []Level{LevelPlain} }

// command is a container process that has yet to be started.
func (f *Factory) command(Level) *exec.Cmd {
	c := exec.Command(f.config.Executable[0], f.config.Executable[1:]...)
	c.Env = []string{}
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return c
}

func (c *Container) openSocketDir() error { return nil }

// processLimit is unlimited: other systems count a user's processes in ways that
// would hit the server.
func (f *Factory) processLimit() uint64 { return 0 }
