package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/IBM/sarama"
)

// explain says what to change after an error of connecting.
func (c *Config) explain(err error) error {
	if err == nil {
		return nil
	}
	addresses := strings.Join(c.Brokers, ", ")
	var unknown x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var record tls.RecordHeaderError
	var dns *net.DNSError
	var op *net.OpError
	var say string
	switch {
	case errors.Is(err, sarama.ErrSASLAuthenticationFailed):
		say = "refuses the user or the password: correct --kafka-sasl-user or the content of --kafka-sasl-password-file, or --kafka-sasl-mechanism"
	case errors.Is(err, sarama.ErrUnsupportedSASLMechanism):
		say = "does not offer the SASL mechanism " + c.SASLMechanism + ": correct --kafka-sasl-mechanism"
	case errors.As(err, &unknown):
		say = "has a certificate that nobody known has signed: give its authority with --kafka-tls-ca"
	case errors.As(err, &hostname):
		say = "has a certificate for another name: use that name in --kafka-brokers, or give it with --kafka-tls-server-name"
	case errors.As(err, &record), strings.Contains(err.Error(), "first record does not look like a TLS handshake"):
		say = "speaks no TLS at this address: leave --kafka-tls out, or name the port of its TLS listener in --kafka-brokers"
	case errors.As(err, &dns):
		say = "cannot be found by this name: correct --kafka-brokers"
	case errors.As(err, &op) && op.Op == "dial":
		say = "does not answer: start it, or correct --kafka-brokers"
	case c.TLS && isCutOff(err):
		say = "closes the connection: it may speak no TLS at this address, then leave --kafka-tls out or name the port of its TLS listener in --kafka-brokers; or expect SASL (--kafka-sasl-mechanism)"
	case isCutOff(err):
		say = "closes the connection: it may expect TLS (--kafka-tls) or SASL (--kafka-sasl-mechanism), or be no Kafka (--kafka-brokers)"
	case errors.Is(err, sarama.ErrOutOfBrokers):
		say = "does not answer as a Kafka broker does: start it, or correct --kafka-brokers"
	default:
		return fmt.Errorf("connect to Kafka at %s: %w", addresses, err)
	}
	return fmt.Errorf("the Kafka broker at %s %s: %w", addresses, say, err)
}

func isCutOff(err error) bool {
	return errors.Is(err, io.EOF) || strings.Contains(err.Error(), "connection reset")
}
