package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/adrg/xdg"

	"github.com/gowhisk/gowhisk/invoker/activation"
	"github.com/gowhisk/gowhisk/invoker/container/engine"
	"github.com/gowhisk/gowhisk/invoker/pool"
	"github.com/gowhisk/gowhisk/invoker/service"
	"github.com/gowhisk/gowhisk/pkg/bus/kafka"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/pkg/store/couchdb"
)

// Config is the configuration of an invoker; each field is a flag, an environment
// variable and a key of the configuration file.
type Config struct {
	ID            string `koanf:"id" usage:"number of this invoker; \"ordinal\" takes it from the end of the host's name, as in a StatefulSet; \"claim\" lets the cluster give one to the unique name"`
	UniqueName    string `koanf:"unique-name" usage:"name that no other invoker has, and that this one keeps when it is started again; empty draws one for the data directory"`
	DisplayedName string `koanf:"displayed-name" usage:"name for people; empty takes the unique name"`
	Addr          string `koanf:"addr" usage:"address and port for metrics, health and operators; keep it private"`
	AdminFile     string `koanf:"admin-credentials" usage:"file with the user:password that may disable and enable the invoker; empty lets nobody"`
	APIHost       string `koanf:"api-host" usage:"URL at which actions reach the API (__OW_API_HOST)"`

	DataDir       string `koanf:"data-dir" usage:"directory of the containers' files"`
	ParameterKeys string `koanf:"parameter-keys" usage:"file of the keys that parameters of actions and packages are encrypted with, the controllers' own; empty decrypts none"`
	Manifest      string `koanf:"runtimes-manifest" usage:"file of the runtimes manifest, the controllers' own; empty takes the built-in one"`
	Events        bool   `koanf:"user-events" usage:"send an event for each activation to the topic events"`

	Engine engine.Settings `koanf:",squash"`

	Memory        int           `koanf:"memory" usage:"memory for action containers together, in MB"`
	CPUs          int           `koanf:"cpus" usage:"how many CPUs the invoker itself uses; 0 is half of them, for actions need the others"`
	StemCells     bool          `koanf:"stem-cells" usage:"keep the containers started that the runtimes manifest asks for"`
	StemCellRate  float64       `koanf:"stem-cell-rate" usage:"how many of them may start per second in the long run; 0 is no bound"`
	StemCellCheck time.Duration `koanf:"stem-cell-check" usage:"how often their number follows the demand, where the manifest says that it does"`
	PauseGrace    time.Duration `koanf:"pause-grace" usage:"how long an idle container runs on before it is paused"`
	IdleTimeout   time.Duration `koanf:"idle-timeout" usage:"how long a paused container is kept"`
	MaxQueueAge   time.Duration `koanf:"max-queue-age" usage:"an activation that waited longer than this ends with an error instead of being run"`
	ParallelStart int           `koanf:"parallel-starts" usage:"how many containers may start at the same time"`
	FirstUID      int           `koanf:"first-uid" usage:"first of the 512 user ids of its containers; 0 takes a range by its number. Invokers that share a machine must not share user ids"`

	MaxMemory      int           `koanf:"max-memory" usage:"largest memory limit of an action, in MB; the controllers' own"`
	MaxTimeout     time.Duration `koanf:"max-timeout" usage:"longest time limit of an action; the controllers' own"`
	MaxConcurrency int           `koanf:"max-concurrency" usage:"most activations that may share a container at once; the controllers' own"`

	ShutdownTimeout time.Duration `koanf:"shutdown-timeout" usage:"how long a stop waits for activations that run"`
	LogLevel        string        `koanf:"log-level" usage:"debug, info, warn or error"`
	LogFormat       string        `koanf:"log-format" usage:"console or json"`

	CouchDB couchdb.Config `koanf:",squash"`
	Kafka   kafka.Config   `koanf:",squash"`
}

// ids of invokers that are not numbers.
const (
	byOrdinal = "ordinal"
	byClaim   = "claim"
)

// DefaultConfig is what an invoker of a small cluster wants; it needs addresses.
func DefaultConfig() Config {
	return Config{
		ID:      byClaim,
		Addr:    "127.0.0.1:8085",
		DataDir: filepath.Join(xdg.DataHome, "gowhisk-invoker"),

		Engine:        engine.DefaultSettings(),
		Memory:        2048,
		StemCells:     true,
		StemCellRate:  10,
		StemCellCheck: time.Minute,
		PauseGrace:    10 * time.Second,
		IdleTimeout:   10 * time.Minute,
		MaxQueueAge:   time.Hour,
		ParallelStart: 2,

		MaxMemory:      512,
		MaxTimeout:     5 * time.Minute,
		MaxConcurrency: 1,

		ShutdownTimeout: 30 * time.Second,
		LogLevel:        "info",
		LogFormat:       "json",

		CouchDB: couchdb.DefaultConfig(),
		Kafka:   kafka.DefaultConfig(),
	}
}

// Validate returns everything that is wrong with the configuration, each with what to
// change.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	n, err := strconv.Atoi(c.ID)
	check(c.ID == byOrdinal || c.ID == byClaim || err == nil && n >= 0, "--id %q: give a number from 0, ordinal or claim", c.ID)
	_, _, err = net.SplitHostPort(c.Addr)
	check(err == nil, "--addr %q: give a host and a port, such as 127.0.0.1:8085", c.Addr)
	check(c.DataDir != "", "--data-dir is empty: name a directory")
	check(c.MaxMemory >= 256, "--max-memory %d: give at least 256, the default memory of an action", c.MaxMemory)
	check(c.Memory >= c.MaxMemory, "--memory %d: give at least %d (--max-memory), so that every action can run", c.Memory, c.MaxMemory)
	check(c.MaxTimeout >= time.Minute, "--max-timeout %v: give at least 1m, the default time limit of an action", c.MaxTimeout)
	check(c.MaxConcurrency >= 1, "--max-concurrency %d: give at least 1", c.MaxConcurrency)
	check(c.CPUs >= 0, "--cpus %d: give a number of CPUs, or 0 for half of them", c.CPUs)
	check(c.ParallelStart >= 1, "--parallel-starts %d: give at least 1", c.ParallelStart)
	check(c.StemCellRate >= 0, "--stem-cell-rate %v: give a number of at least 0", c.StemCellRate)
	check(c.StemCellCheck >= time.Second, "--stem-cell-check %v: give at least 1s", c.StemCellCheck)
	check(c.FirstUID >= 0, "--first-uid %d: give a number from 0", c.FirstUID)
	check(c.PauseGrace > 0 && c.IdleTimeout > 0 && c.MaxQueueAge > 0 && c.ShutdownTimeout > 0,
		"--pause-grace, --idle-timeout, --max-queue-age and --shutdown-timeout: give durations above 0")
	return errors.Join(append(errs, c.Engine.Validate(), c.CouchDB.Validate(), c.Kafka.Validate())...)
}

// ordinal is the number at the end of a host's name, such as 3 for invoker-3.
func ordinal() (entity.InvokerID, error) {
	host, err := os.Hostname()
	if err != nil {
		return 0, fmt.Errorf("asking for the host's name: %w", err)
	}
	return ordinalOf(host)
}

func ordinalOf(host string) (entity.InvokerID, error) {
	short, _, _ := strings.Cut(host, ".")
	n, err := strconv.Atoi(short[strings.LastIndexByte(short, '-')+1:])
	if err != nil || n < 0 {
		return 0, fmt.Errorf("--id ordinal: the host is called %q, which does not end with - and a number; give a number or claim", host)
	}
	return entity.InvokerID(n), nil
}

func (c *Config) limits() entity.LimitRanges {
	r := entity.DefaultLimitRanges()
	r.Memory.Max = entity.Megabytes(c.MaxMemory)
	r.Timeout.Max = c.MaxTimeout.Milliseconds()
	r.Concurrency.Max = c.MaxConcurrency
	return r
}

func (c *Config) pool(m *runtimes.Manifest, startCost time.Duration) pool.Config {
	p := pool.DefaultConfig(entity.Megabytes(c.Memory))
	p.PauseGrace, p.IdleTimeout = c.PauseGrace, c.IdleTimeout
	p.MaxParallelStarts, p.StemCellRate = c.ParallelStart, c.StemCellRate
	p.ReactiveCheckInterval = c.StemCellCheck
	// Invokers that start together do not check together.
	p.ReactiveCheckDelay = c.StemCellCheck + rand.N(max(c.StemCellCheck/6, 1))
	p.MaxParallelUserStarts = 2 * c.ParallelStart
	p.StartCostGuess = startCost
	if c.StemCells {
		p.StemCells = service.StemCells(m, c.MaxConcurrency)
	}
	return p
}

func (c *Config) service(id entity.InvokerID, uniqueName string, m *runtimes.Manifest, startCost time.Duration) service.Config {
	displayed := c.DisplayedName
	if displayed == "" {
		displayed = uniqueName
	}
	return service.Config{
		ID: id, UniqueName: uniqueName, DisplayedName: displayed, AdminCredentials: c.AdminFile,
		Pool: c.pool(m, startCost), Activation: activation.DefaultConfig(), MaxQueueAge: c.MaxQueueAge,
		Limits: c.limits(), ContainerEnv: []string{"__OW_API_HOST=" + c.APIHost}, ShutdownTimeout: c.ShutdownTimeout,
	}
}

// uids is how many user ids an invoker's containers have.
const uids = 512

// firstUID is the first of them. Limits on a user's processes count for all that the
// user has, so that invokers on one machine must not share any.
func (c *Config) firstUID(id entity.InvokerID) int {
	if c.FirstUID > 0 {
		return c.FirstUID
	}
	const first, ranges = 61184, 8
	return first + int(id)%ranges*uids
}
