package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gowhisk/gowhisk/controller/balancer"
	"github.com/gowhisk/gowhisk/controller/service"
	"github.com/gowhisk/gowhisk/pkg/bus/kafka"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/pkg/store/couchdb"
)

// Config is the configuration of a controller; each field is a flag, an environment
// variable and a key of the configuration file.
type Config struct {
	Addr        string `koanf:"addr" usage:"address and port of the API"`
	MetricsAddr string `koanf:"metrics-addr" usage:"address and port for metrics, health and operators; keep it private"`
	ID          string `koanf:"id" usage:"number of this controller; \"ordinal\" takes it from the end of the host's name, as in a StatefulSet"`
	UniqueName  string `koanf:"unique-name" usage:"name that no other controller has, and that this one keeps when it is started again; empty takes the host's name and the API's port"`
	AdminFile   string `koanf:"admin-credentials" usage:"file with the user:password that may disable the controller on the metrics address; empty lets nobody"`

	ParameterKeys string        `koanf:"parameter-keys" usage:"file of the keys that parameters of actions and packages are encrypted with; empty keeps them as they are sent"`
	Manifest      string        `koanf:"runtimes-manifest" usage:"file of the runtimes manifest; empty takes the built-in one"`
	Retention     time.Duration `koanf:"activation-retention" usage:"how long activation records are kept; 0 keeps them for ever"`
	Events        bool          `koanf:"user-events" usage:"send an event for each refusal by a throttle to the topic events"`

	InvocationsPerMinute  int           `koanf:"invocations-per-minute" usage:"invocations per minute of a namespace without limits of its own"`
	ConcurrentInvocations int           `koanf:"concurrent-invocations" usage:"invocations under way at once of a namespace without limits of its own"`
	FiresPerMinute        int           `koanf:"fires-per-minute" usage:"trigger fires per minute of a namespace without limits of its own"`
	MaxMemory             int           `koanf:"max-memory" usage:"largest memory limit of an action, in MB"`
	MaxTimeout            time.Duration `koanf:"max-timeout" usage:"longest time limit of an action"`
	MaxConcurrency        int           `koanf:"max-concurrency" usage:"most activations that may share a container at once"`
	MaxQueueAge           time.Duration `koanf:"max-queue-age" usage:"an activation that waited longer than this ends with an error instead of being run; the invokers' own"`
	MaxWaiting            int           `koanf:"max-waiting" usage:"how many activations may wait in this controller's overflow queue until more are refused with 503"`
	MaxCompositions       int           `koanf:"max-compositions" usage:"how many sequences, compositions and trigger fires may be under way in this controller"`

	ManagedFraction  float64       `koanf:"managed-fraction" usage:"part of the invokers, the first of them, that run actions of the platform's images"`
	BlackboxFraction float64       `koanf:"blackbox-fraction" usage:"part of the invokers, the last of them, that run actions of users' images"`
	ColdStart        time.Duration `koanf:"cold-start" usage:"what it costs to start a container: an activation waits for a warm one as long as that is quicker"`

	SharedPackagesExecuteOnly bool `koanf:"shared-packages-execute-only" usage:"let others invoke and bind public packages, but not read them"`

	IdentityTTL     time.Duration `koanf:"identity-ttl" usage:"how long a changed key or limit may stay unseen if nobody announces it"`
	Drain           time.Duration `koanf:"drain" usage:"how long a stopping controller takes requests as before, until a load balancer that asks /ready has noticed"`
	LameDuck        time.Duration `koanf:"lame-duck" usage:"how long it then answers on connections that exist; longer than a proxy keeps idle ones"`
	ShutdownTimeout time.Duration `koanf:"shutdown-timeout" usage:"how long a stop waits for requests under way"`
	LogLevel        string        `koanf:"log-level" usage:"debug, info, warn or error"`
	LogFormat       string        `koanf:"log-format" usage:"console or json"`
	LogRequests     bool          `koanf:"log-requests" usage:"log a line for each API request"`

	CouchDB couchdb.Config `koanf:",squash"`
	Kafka   kafka.Config   `koanf:",squash"`
}

// byOrdinal is the id of a controller whose number its host's name ends with.
const byOrdinal = "ordinal"

// DefaultConfig is what a controller of a small cluster wants; it needs addresses.
func DefaultConfig() Config {
	d, b := service.Default(), balancer.DefaultConfig()
	return Config{
		Addr:        "127.0.0.1:3233",
		MetricsAddr: "127.0.0.1:8084",
		ID:          "0",

		InvocationsPerMinute:  d.Throttle.InvocationsPerMinute,
		ConcurrentInvocations: d.Throttle.ConcurrentInvocations,
		FiresPerMinute:        d.Throttle.FiresPerMinute,
		MaxMemory:             int(d.Actions.MaxMemory),
		MaxTimeout:            d.Actions.MaxTimeout,
		MaxConcurrency:        d.Actions.MaxConcurrency,
		MaxQueueAge:           d.Times.Resume,
		MaxWaiting:            d.Overflow.Max,
		MaxCompositions:       d.Actions.MaxCompositions,

		ManagedFraction:  b.ManagedFraction,
		BlackboxFraction: b.BlackboxFraction,
		ColdStart:        b.ColdStart,

		IdentityTTL:     5 * time.Second,
		Drain:           2 * time.Second,
		LameDuck:        3 * time.Second,
		ShutdownTimeout: d.Times.Shutdown,
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
	for flag, addr := range map[string]string{"--addr": c.Addr, "--metrics-addr": c.MetricsAddr} {
		_, _, err := net.SplitHostPort(addr)
		check(err == nil, "%s %q: give a host and a port, such as 127.0.0.1:3233", flag, addr)
	}
	n, err := strconv.Atoi(c.ID)
	check(c.ID == byOrdinal || err == nil && n >= 0, "--id %q: give a number from 0, or ordinal", c.ID)
	check(c.ManagedFraction >= 0 && c.ManagedFraction <= 1 && c.BlackboxFraction >= 0 && c.BlackboxFraction <= 1,
		"--managed-fraction %v and --blackbox-fraction %v: give parts from 0 to 1", c.ManagedFraction, c.BlackboxFraction)
	check(c.MaxWaiting >= 0 && c.MaxCompositions >= 1, "--max-waiting and --max-compositions: give at least 0 and 1")
	check(c.Drain >= 0 && c.LameDuck >= 0 && c.ColdStart > 0, "--drain and --lame-duck: give durations of at least 0, and --cold-start one above 0")
	check(c.Retention >= 0, "--activation-retention %v: give a duration of at least 0", c.Retention)
	check(c.IdentityTTL > 0 && c.ShutdownTimeout > 0 && c.MaxQueueAge > 0, "--identity-ttl, --shutdown-timeout and --max-queue-age: give durations above 0")
	return errors.Join(append(errs, c.CouchDB.Validate(), c.Kafka.Validate())...)
}

// controller is this controller's id.
func (c *Config) controller() (entity.ControllerID, error) {
	if c.ID != byOrdinal {
		return entity.ControllerID(c.ID), nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("asking for the host's name: %w", err)
	}
	return ordinalOf(host)
}

func ordinalOf(host string) (entity.ControllerID, error) {
	short, _, _ := strings.Cut(host, ".")
	n, err := strconv.Atoi(short[strings.LastIndexByte(short, '-')+1:])
	if err != nil || n < 0 {
		return "", fmt.Errorf("--id ordinal: the host is called %q, which does not end with - and a number; give a number", host)
	}
	return entity.ControllerID(strconv.Itoa(n)), nil
}

// uniqueName tells this controller from any other process with its id.
func (c *Config) uniqueName() (string, error) {
	if c.UniqueName != "" {
		return c.UniqueName, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("asking for the host's name: %w; give --unique-name", err)
	}
	_, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return "", err
	}
	return host + "-" + port, nil
}

func (c *Config) balancer(m *runtimes.Manifest) balancer.Config {
	b := balancer.DefaultConfig()
	b.ManagedFraction, b.BlackboxFraction, b.ColdStart = c.ManagedFraction, c.BlackboxFraction, c.ColdStart
	b.IsManaged = func(text string) bool {
		image, err := entity.ParseImage(text)
		return err == nil && m.IsManagedImage(image)
	}
	return b
}

func (c *Config) service(id entity.ControllerID) service.Config {
	s := service.Default()
	s.Address, s.Controller, s.AdminCredentials = c.Addr, string(id), c.AdminFile
	s.SharedPackagesExecuteOnly = c.SharedPackagesExecuteOnly
	s.Throttle = service.Throttle{
		InvocationsPerMinute: c.InvocationsPerMinute, ConcurrentInvocations: c.ConcurrentInvocations, FiresPerMinute: c.FiresPerMinute,
	}
	s.Actions.MaxMemory, s.Actions.MaxTimeout, s.Actions.MaxConcurrency = entity.Megabytes(c.MaxMemory), c.MaxTimeout, c.MaxConcurrency
	s.Actions.MaxCompositions = c.MaxCompositions
	s.Overflow.Max, s.Overflow.MaxAge = c.MaxWaiting, c.MaxQueueAge
	s.Times.Drain, s.Times.Lame = c.Drain, c.LameDuck
	s.Times.Shutdown, s.Times.Resume = c.ShutdownTimeout, c.MaxQueueAge
	if c.Retention > 0 {
		// The records of its steps say what must not run again: what is older has none.
		s.Times.Resume = min(s.Times.Resume, c.Retention)
	}
	s.Caches.IdentityTTL = c.IdentityTTL
	s.Build = service.Build{Date: built, Number: version}
	return s
}
