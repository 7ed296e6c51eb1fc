package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// Config says how a process reaches Kafka; each field is a flag, an environment
// variable and a key of the configuration file.
type Config struct {
	Brokers     []string `koanf:"kafka-brokers" usage:"addresses of Kafka brokers, host:port; one that answers is enough to find the others"`
	TopicPrefix string   `koanf:"kafka-topic-prefix" usage:"what the names of all topics and consumer groups begin with, so that several clusters can share a Kafka"`
	Replication int      `koanf:"kafka-replication-factor" usage:"on how many brokers each new topic is kept; 3 survives the loss of one"`
	MinInSync   int      `koanf:"kafka-min-insync" usage:"how many brokers must have a message before it counts as accepted"`

	TLS           bool   `koanf:"kafka-tls" usage:"speak TLS with the brokers"`
	TLSCA         string `koanf:"kafka-tls-ca" usage:"file with the certificates that brokers' certificates are checked against; empty takes the system's"`
	TLSCert       string `koanf:"kafka-tls-cert" usage:"file with this client's certificate, for brokers that ask for one"`
	TLSKey        string `koanf:"kafka-tls-key" usage:"file with the key of this client's certificate"`
	TLSServerName string `koanf:"kafka-tls-server-name" usage:"name that brokers' certificates must have; empty takes the address"`

	SASLMechanism    string `koanf:"kafka-sasl-mechanism" usage:"how to prove who this is: plain, scram-sha-256 or scram-sha-512; empty does not"`
	SASLUser         string `koanf:"kafka-sasl-user" usage:"user for SASL"`
	SASLPasswordFile string `koanf:"kafka-sasl-password-file" usage:"file with the user's password"`
}

// DefaultConfig is for one broker on this machine.
func DefaultConfig() Config {
	return Config{Brokers: []string{"127.0.0.1:9092"}, Replication: 1, MinInSync: 1}
}

// mechanisms of SASL, by their names in the configuration.
var mechanisms = map[string]sarama.SASLMechanism{
	"plain":         sarama.SASLTypePlaintext,
	"scram-sha-256": sarama.SASLTypeSCRAMSHA256,
	"scram-sha-512": sarama.SASLTypeSCRAMSHA512,
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
	check(len(c.Brokers) > 0, "--kafka-brokers is empty: give the address of a broker, such as 127.0.0.1:9092")
	for _, b := range c.Brokers {
		_, _, err := net.SplitHostPort(b)
		check(err == nil, "--kafka-brokers %q: give a host and a port, such as 127.0.0.1:9092", b)
	}
	check(validPrefix(c.TopicPrefix), "--kafka-topic-prefix %q: use at most 100 letters, digits, dots, underscores and dashes", c.TopicPrefix)
	check(c.Replication >= 1, "--kafka-replication-factor %d: give at least 1", c.Replication)
	check(c.MinInSync >= 1 && c.MinInSync <= max(1, c.Replication), "--kafka-min-insync %d: give at least 1 and at most --kafka-replication-factor, %d", c.MinInSync, c.Replication)
	check(c.TLS || c.TLSCA == "" && c.TLSCert == "" && c.TLSKey == "" && c.TLSServerName == "", "--kafka-tls-…: give --kafka-tls too")
	check((c.TLSCert == "") == (c.TLSKey == ""), "--kafka-tls-cert and --kafka-tls-key: give both or none")
	_, known := mechanisms[c.SASLMechanism]
	check(known || c.SASLMechanism == "", "--kafka-sasl-mechanism %q: use plain, scram-sha-256 or scram-sha-512", c.SASLMechanism)
	check(c.SASLMechanism == "" || c.SASLUser != "" && c.SASLPasswordFile != "", "--kafka-sasl-mechanism: give --kafka-sasl-user and --kafka-sasl-password-file too")
	check(c.SASLMechanism != "" || c.SASLUser == "" && c.SASLPasswordFile == "", "--kafka-sasl-user and --kafka-sasl-password-file: give --kafka-sasl-mechanism too")
	return errors.Join(errs...)
}

func validPrefix(s string) bool {
	return len(s) <= 100 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

// clusterVersion is the oldest Kafka that is served: it has static membership and
// flexible requests.
var clusterVersion = sarama.V2_8_0_0

// base is what all clients share; clientID shows in the brokers' logs and groups.
func (c *Config) base(clientID string) (*sarama.Config, error) {
	s := sarama.NewConfig()
	s.Version = clusterVersion
	s.ClientID = clientID
	s.Net.DialTimeout = 5 * time.Second
	s.Net.ReadTimeout, s.Net.WriteTimeout = 10*time.Second, 10*time.Second
	s.Metadata.AllowAutoTopicCreation = false
	s.Metadata.Retry.Max, s.Metadata.Retry.Backoff = 10, 50*time.Millisecond
	if err := c.security(s); err != nil {
		return nil, err
	}
	return s, nil
}

func (c *Config) security(s *sarama.Config) error {
	if c.TLS {
		t, err := c.tls()
		if err != nil {
			return err
		}
		s.Net.TLS.Enable, s.Net.TLS.Config = true, t
	}
	if c.SASLMechanism == "" {
		return nil
	}
	password, err := os.ReadFile(c.SASLPasswordFile)
	if err != nil {
		return fmt.Errorf("--kafka-sasl-password-file: %w", err)
	}
	s.Net.SASL.Enable = true
	s.Net.SASL.Mechanism = mechanisms[c.SASLMechanism]
	s.Net.SASL.User, s.Net.SASL.Password = c.SASLUser, strings.TrimRight(string(password), "\r\n")
	if s.Net.SASL.Mechanism != sarama.SASLTypePlaintext {
		s.Net.SASL.SCRAMClientGeneratorFunc = scramClient(s.Net.SASL.Mechanism)
	}
	return nil
}

func (c *Config) tls() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.TLSServerName}
	if c.TLSCA != "" {
		pem, err := os.ReadFile(c.TLSCA)
		if err != nil {
			return nil, fmt.Errorf("--kafka-tls-ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--kafka-tls-ca: %s has no certificate in PEM form", c.TLSCA)
		}
	}
	if c.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("--kafka-tls-cert and --kafka-tls-key: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// producer is the configuration of what appends. It has a client of its own: a broker
// answers one connection in order, so that an append would wait behind a consumer's
// long poll (durability.md section 4).
func (c *Config) producer(clientID string, maxMessage int) (*sarama.Config, error) {
	s, err := c.base(clientID)
	if err != nil {
		return nil, err
	}
	s.Net.MaxOpenRequests = 1
	s.Producer.Idempotent = true
	s.Producer.RequiredAcks = sarama.WaitForAll
	s.Producer.Retry.Max, s.Producer.Retry.Backoff = 100, 100*time.Millisecond // rides over a broker's restart
	s.Producer.MaxMessageBytes = maxMessage + recordOverhead
	s.Producer.Partitioner = sarama.NewManualPartitioner
	s.Producer.Return.Successes, s.Producer.Return.Errors = true, true
	s.ChannelBufferSize = maxInFlight
	return s, nil
}

// consumer is the configuration of what reads one topic, with a client of its own.
func (c *Config) consumer(clientID string, maxMessage int) (*sarama.Config, error) {
	s, err := c.base(clientID)
	if err != nil {
		return nil, err
	}
	s.Consumer.Fetch.Min = 1
	s.Consumer.Fetch.Default = int32(maxMessage + recordOverhead)
	s.Consumer.MaxWaitTime = 500 * time.Millisecond
	s.Consumer.MaxProcessingTime = time.Second
	s.Consumer.Retry.Backoff = 100 * time.Millisecond
	s.Consumer.Return.Errors = true
	s.Consumer.Offsets.AutoCommit.Enable = false
	s.Consumer.Offsets.Initial = sarama.OffsetOldest
	s.ChannelBufferSize = 64
	return s, nil
}
