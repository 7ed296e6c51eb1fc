package server

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/adrg/xdg"

	"github.com/gowhisk/gowhisk/invoker/container/engine"
)

// Config is the configuration of the standalone server; each field is a flag, an
// environment variable and a key of the configuration file.
type Config struct {
	Addr        string `koanf:"addr" usage:"address and port of the API"`
	MetricsAddr string `koanf:"metrics-addr" usage:"address and port for Prometheus metrics, profiles and operators' questions; empty serves none. Keep it private"`
	AdminFile   string `koanf:"admin-credentials" usage:"file with the user:password that may disable the server on the metrics address; empty lets nobody"`
	APIHost     string `koanf:"api-host" usage:"URL at which actions reach the API (__OW_API_HOST); empty takes the address"`

	DataDir       string        `koanf:"data-dir" usage:"directory of the database and of the containers' files"`
	Ephemeral     bool          `koanf:"ephemeral" usage:"keep nothing: the database lives in memory, files in a temporary directory"`
	Synchronous   string        `koanf:"synchronous" usage:"normal survives the death of the process, full also a power loss, at a tenth of the speed"`
	ParameterKeys string        `koanf:"parameter-keys" usage:"file of the keys that parameters of actions and packages are encrypted with; empty keeps them as they are sent"`
	Retention     time.Duration `koanf:"activation-retention" usage:"how long activation records are kept; 0 keeps them for ever"`

	Engine engine.Settings `koanf:",squash"`

	Memory        int           `koanf:"memory" usage:"memory for action containers together, in MB"`
	CPUs          int           `koanf:"cpus" usage:"how many CPUs the server itself uses; 0 is half of them, for actions need the others"`
	Manifest      string        `koanf:"runtimes-manifest" usage:"file of a runtimes manifest in OpenWhisk's form; empty takes the built-in one, with the languages of this machine as the defaults"`
	StemCells     []string      `koanf:"stem-cells" usage:"containers kept started for a kind, as kind=count[:MB]; \"auto\" is one for each language's default, \"none\" is none"`
	StemCellRate  float64       `koanf:"stem-cell-rate" usage:"how many of them may start per second in the long run; 0 is no bound"`
	PauseGrace    time.Duration `koanf:"pause-grace" usage:"how long an idle container runs on before it is paused"`
	IdleTimeout   time.Duration `koanf:"idle-timeout" usage:"how long a paused container is kept"`
	MaxQueueAge   time.Duration `koanf:"max-queue-age" usage:"an activation that waited longer than this ends with an error instead of being run"`
	ParallelStart int           `koanf:"parallel-starts" usage:"how many containers may start at the same time"`

	InvocationsPerMinute  int           `koanf:"invocations-per-minute" usage:"invocations per minute of a namespace without limits of its own"`
	ConcurrentInvocations int           `koanf:"concurrent-invocations" usage:"invocations under way at once of a namespace without limits of its own"`
	FiresPerMinute        int           `koanf:"fires-per-minute" usage:"trigger fires per minute of a namespace without limits of its own"`
	MaxMemory             int           `koanf:"max-memory" usage:"largest memory limit of an action, in MB"`
	MaxTimeout            time.Duration `koanf:"max-timeout" usage:"longest time limit of an action"`
	MaxConcurrency        int           `koanf:"max-concurrency" usage:"most activations that may share a container at once"`

	SharedPackagesExecuteOnly bool `koanf:"shared-packages-execute-only" usage:"let others invoke and bind public packages, but not read them"`

	ShutdownTimeout time.Duration `koanf:"shutdown-timeout" usage:"how long a stop waits for activations that run"`
	LogLevel        string        `koanf:"log-level" usage:"debug, info, warn or error"`
	LogFormat       string        `koanf:"log-format" usage:"console or json"`
	LogRequests     bool          `koanf:"log-requests" usage:"log a line for each API request"`
}

// DefaultConfig is what a laptop wants.
func DefaultConfig() Config {
	return Config{
		Addr:        "127.0.0.1:3233",
		DataDir:     filepath.Join(xdg.DataHome, "gowhisk"),
		Synchronous: "normal",
		Retention:   7 * 24 * time.Hour,

		Engine:        engine.DefaultSettings(),
		Memory:        2048,
		StemCells:     []string{"auto"},
		StemCellRate:  10,
		PauseGrace:    10 * time.Second,
		IdleTimeout:   10 * time.Minute,
		MaxQueueAge:   time.Hour,
		ParallelStart: 2,

		InvocationsPerMinute:  600_000,
		ConcurrentInvocations: 10_000,
		FiresPerMinute:        600_000,
		MaxMemory:             512,
		MaxTimeout:            5 * time.Minute,
		MaxConcurrency:        1,

		ShutdownTimeout: 30 * time.Second,
		LogLevel:        "info",
		LogFormat:       "console",
	}
}

// Validate returns everything that is wrong with the configuration, each with
// what to change.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(isAddress(c.Addr), "--addr %q: give a host and a port, such as 127.0.0.1:3233", c.Addr)
	check(c.MetricsAddr == "" || isAddress(c.MetricsAddr), "--metrics-addr %q: give a host and a port, such as 127.0.0.1:9090", c.MetricsAddr)
	check(c.AdminFile == "" || c.MetricsAddr != "", "--admin-credentials is for the metrics address: give --metrics-addr too")
	check(c.Ephemeral || c.DataDir != "", "--data-dir is empty: name a directory, or use --ephemeral")
	check(c.Synchronous == "normal" || c.Synchronous == "full", "--synchronous %q: use normal or full", c.Synchronous)
	check(c.Retention >= 0, "--activation-retention %v: give a duration of at least 0", c.Retention)
	check(c.MaxMemory >= 256, "--max-memory %d: give at least 256, the default memory of an action", c.MaxMemory)
	check(c.Memory >= c.MaxMemory, "--memory %d: give at least %d (--max-memory), so that every action can run", c.Memory, c.MaxMemory)
	check(c.MaxTimeout >= time.Minute, "--max-timeout %v: give at least 1m, the default time limit of an action", c.MaxTimeout)
	check(c.MaxConcurrency >= 1, "--max-concurrency %d: give at least 1", c.MaxConcurrency)
	check(c.CPUs >= 0, "--cpus %d: give a number of CPUs, or 0 for half of them", c.CPUs)
	check(c.ParallelStart >= 1, "--parallel-starts %d: give at least 1", c.ParallelStart)
	check(c.StemCellRate >= 0, "--stem-cell-rate %v: give a number of at least 0", c.StemCellRate)
	check(c.PauseGrace > 0 && c.IdleTimeout > 0 && c.MaxQueueAge > 0 && c.ShutdownTimeout > 0,
		"--pause-grace, --idle-timeout, --max-queue-age and --shutdown-timeout: give durations above 0")
	check(c.InvocationsPerMinute >= 0 && c.ConcurrentInvocations >= 0 && c.FiresPerMinute >= 0,
		"--invocations-per-minute, --concurrent-invocations and --fires-per-minute: give numbers of at least 0")
	if err := c.Engine.Validate(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.stemCells(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func isAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	n, err := strconv.Atoi(port)
	return err == nil && n >= 0 && n <= 65535
}

// stemCell is one entry of --stem-cells.
type stemCell struct {
	kind   string
	count  int
	memory int // MB
}

// stemCells parses --stem-cells; nil means one for each language's default.
func (c *Config) stemCells() ([]stemCell, error) {
	switch {
	case len(c.StemCells) == 1 && c.StemCells[0] == "auto":
		return nil, nil
	case len(c.StemCells) == 0, len(c.StemCells) == 1 && c.StemCells[0] == "none":
		return []stemCell{}, nil
	}
	out := []stemCell{}
	for _, s := range c.StemCells {
		cell := stemCell{memory: 256}
		kind, amount, ok := strings.Cut(s, "=")
		count, memory, sized := strings.Cut(amount, ":")
		var err, memoryErr error
		cell.kind = kind
		cell.count, err = strconv.Atoi(count)
		if sized {
			cell.memory, memoryErr = strconv.Atoi(memory)
		}
		if !ok || kind == "" || err != nil || memoryErr != nil || cell.count < 1 || cell.memory < 1 {
			return nil, fmt.Errorf("--stem-cells %q: give kind=count or kind=count:MB, such as nodejs:20=2 or nodejs:20=2:256", s)
		}
		out = append(out, cell)
	}
	return out, nil
}

// DatabasePath is the database of a data directory.
func DatabasePath(dataDir string) string { return filepath.Join(dataDir, "gowhisk.db") }
