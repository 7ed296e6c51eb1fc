package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/config"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/test/docs"
)

func TestDocsListEveryOption(t *testing.T) {
	c := DefaultConfig()
	c.DataDir = "~/.local/share/gowhisk-invoker"
	var b strings.Builder
	require.NoError(t, config.Document(&b, &c))
	docs.Check(t, "..", "configuration.md", "invoker", b.String())
}

func TestDefaultConfigIsValid(t *testing.T) {
	c := DefaultConfig()
	require.NoError(t, c.Validate())
	s := c.service(3, "host", runtimes.Default(), time.Second)
	require.Equal(t, "host", s.DisplayedName)
	require.NotEmpty(t, s.Pool.StemCells)
	require.Equal(t, time.Second, s.Pool.StartCostGuess)
	c.StemCells = false
	require.Empty(t, c.pool(runtimes.Default(), time.Second).StemCells)
}

func TestFaultsSayWhatToChange(t *testing.T) {
	for want, spoil := range map[string]func(*Config){
		`--id "x"`:          func(c *Config) { c.ID = "x" },
		`--addr ""`:         func(c *Config) { c.Addr = "" },
		"--data-dir":        func(c *Config) { c.DataDir = "" },
		"--max-memory 1":    func(c *Config) { c.MaxMemory = 1 },
		"(--max-memory)":    func(c *Config) { c.Memory = 300 },
		"--max-timeout":     func(c *Config) { c.MaxTimeout = 1 },
		"--max-concurrency": func(c *Config) { c.MaxConcurrency = 0 },
		"--cpus":            func(c *Config) { c.CPUs = -1 },
		"--parallel-starts": func(c *Config) { c.ParallelStart = 0 },
		"--first-uid":       func(c *Config) { c.FirstUID = -1 },
		"--containers":      func(c *Config) { c.Engine.Containers = "vm" },
		"pull policy":       func(c *Config) { c.Engine.Docker.Pull = "x" },
		"--pause-grace":     func(c *Config) { c.PauseGrace = 0 },
		"--couchdb-prefix":  func(c *Config) { c.CouchDB.Prefix = "A" },
		"--kafka-topic-pre": func(c *Config) { c.Kafka.TopicPrefix = "a b" },
	} {
		c := DefaultConfig()
		spoil(&c)
		require.ErrorContains(t, c.Validate(), want)
	}
}

func TestNumbers(t *testing.T) {
	id, err := ordinalOf("invoker-4.invokers.svc")
	require.NoError(t, err)
	require.Equal(t, entity.InvokerID(4), id)
	_, err = ordinalOf("invoker")
	require.ErrorContains(t, err, "give a number or claim")

	c := DefaultConfig()
	ranges := map[int]bool{}
	for id := range entity.InvokerID(8) {
		first := c.firstUID(id)
		require.False(t, ranges[first], "invokers on one machine share no user ids")
		ranges[first] = true
		require.LessOrEqual(t, first+uids, 65520)
	}
	c.FirstUID = 70000
	require.Equal(t, 70000, c.firstUID(3))
}
