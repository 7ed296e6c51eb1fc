package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/config"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/test/docs"
)

func TestDocsListEveryOption(t *testing.T) {
	c := DefaultConfig()
	var b strings.Builder
	require.NoError(t, config.Document(&b, &c))
	docs.Check(t, "..", "configuration.md", "controller", b.String())
}

func TestDefaultConfigIsValid(t *testing.T) {
	c := DefaultConfig()
	require.NoError(t, c.Validate())
	s := c.service("0")
	require.NoError(t, s.Validate())
}

func TestFaultsSayWhatToChange(t *testing.T) {
	for want, spoil := range map[string]func(*Config){
		`--addr "x"`:        func(c *Config) { c.Addr = "x" },
		"--metrics-addr":    func(c *Config) { c.MetricsAddr = "" },
		`--id "-1"`:         func(c *Config) { c.ID = "-1" },
		"--managed-fractio": func(c *Config) { c.ManagedFraction = 2 },
		"--max-waiting":     func(c *Config) { c.MaxWaiting = -1 },
		"--lame-duck":       func(c *Config) { c.LameDuck = -1 },
		"--identity-ttl":    func(c *Config) { c.IdentityTTL = 0 },
		"--couchdb-url":     func(c *Config) { c.CouchDB.URL = "" },
		"--kafka-brokers":   func(c *Config) { c.Kafka.Brokers = nil },
		"--kafka-min-insyn": func(c *Config) { c.Kafka.MinInSync = 3 },
		"give --kafka-tls":  func(c *Config) { c.Kafka.TLSCA = "x" },
		"use plain, scram-": func(c *Config) { c.Kafka.SASLMechanism = "x" },
		"give --kafka-sasl": func(c *Config) { c.Kafka.SASLMechanism = "plain" },
	} {
		c := DefaultConfig()
		spoil(&c)
		require.ErrorContains(t, c.Validate(), want)
	}
}

func TestOrdinals(t *testing.T) {
	for host, want := range map[string]entity.ControllerID{"controller-0": "0", "gw-controller-12.gw.svc": "12", "a-b-3": "3"} {
		got, err := ordinalOf(host)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, host := range []string{"", "controller", "controller-", "controller-x"} {
		_, err := ordinalOf(host)
		require.ErrorContains(t, err, "give a number")
	}
}
