package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/runtimes"
	"go.uber.org/zap"
)

// Command is the hidden argument that makes the server's binary a container.
const Command = "action-container"

// Config of a Factory. The zero value of every field but Dir has a meaning.
type Config struct {
	// Dir is the state directory, private to this factory: containers' scratch
	// directories and the launchers. It is created.
	Dir string
	// Executable is the command that calls ContainerMain with the arguments that
	// follow; by default this binary with Command.
	Executable []string
	// Interpreters that actions may use; by default those that
	// runtimes.Detect finds.
	Interpreters []runtimes.Interpreter
	// ReadOnlyPaths are shown to actions beside system and interpreter paths.
	ReadOnlyPaths []string
	// Level forces an isolation level; by default the strongest that works.
	Level Level
	// CgroupParent is the control group below which containers' groups are made;
	// by default this process's own.
	CgroupParent string
	// NoCgroup leaves control groups alone: a watchdog bounds memory instead.
	NoCgroup bool
	// NoForkServer starts Python anew for each container.
	NoForkServer bool

	// FirstUID and UIDs are the range of user ids for containers at LevelRoot,
	// by default 61184 to 65519. Factories that share a machine should not share
	// ids: limits on a user's processes would count for both.
	FirstUID, UIDs int
	// Processes bounds a container's processes and threads, by default 1024
	// (openwhisk-invoker.md 4.1).
	Processes int64
	// OpenFiles bounds the open files of a process, by default 1024 (4.1).
	OpenFiles uint64
	// Scratch bounds a container's files, which live in memory at LevelRoot and
	// LevelUser; by default half of the container's memory.
	Scratch entity.Megabytes
	// MaxLogs is the largest log limit of any action, by default 10 MB: what is
	// kept of a container's output until it is collected.
	MaxLogs entity.Megabytes
	// ParallelStarts bounds how many containers start at once, by default one per
	// CPU and at least 2.
	ParallelStarts int
	// StartTimeout bounds one start, by default 30 s.
	StartTimeout time.Duration

	// Log, by default none.
	Log *zap.Logger
}

// withDefaults returns the configuration with everything filled in.
func (c Config) withDefaults() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("process containers need a state directory")
	}
	var err error
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return c, err
	}
	if len(c.Executable) == 0 {
		self, err := os.Executable()
		if err != nil {
			return c, fmt.Errorf("find this program's own file: %w", err)
		}
		c.Executable = []string{self, Command}
	}
	if c.FirstUID == 0 {
		c.FirstUID = 61184
	}
	if c.UIDs == 0 {
		c.UIDs = 65519 - 61184 + 1
	}
	if c.Processes == 0 {
		c.Processes = 1024
	}
	if c.OpenFiles == 0 {
		c.OpenFiles = 1024
	}
	if c.MaxLogs == 0 {
		c.MaxLogs = 10
	}
	if c.ParallelStarts == 0 {
		c.ParallelStarts = max(2, runtime.NumCPU())
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = 30 * time.Second
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return c, nil
}
