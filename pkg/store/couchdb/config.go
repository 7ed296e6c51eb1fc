package couchdb

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
)

// Config says where the databases are; each field is a flag, an environment variable
// and a key of the configuration file.
type Config struct {
	URL          string `koanf:"couchdb-url" usage:"address of CouchDB, such as http://127.0.0.1:5984"`
	User         string `koanf:"couchdb-user" usage:"user of CouchDB; empty goes without"`
	PasswordFile string `koanf:"couchdb-password-file" usage:"file with the password of CouchDB's user"`
	Prefix       string `koanf:"couchdb-prefix" usage:"what the names of the databases begin with; before whisks, activations, subjects and deliveries"`
}

// DefaultConfig is for a CouchDB on this machine.
func DefaultConfig() Config {
	return Config{URL: "http://127.0.0.1:5984", Prefix: "whisk_"}
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9_$()+/-]*$`)

// Validate returns everything that is wrong with the configuration, each with what to
// change.
func (c *Config) Validate() error {
	var errs []error
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		errs = append(errs, fmt.Errorf("--couchdb-url %q: give an address such as http://127.0.0.1:5984", c.URL))
	} else if u.User != nil {
		errs = append(errs, errors.New("--couchdb-url has a password in it, which lists of processes and logs would show: use --couchdb-user and --couchdb-password-file"))
	}
	if (c.User == "") != (c.PasswordFile == "") {
		errs = append(errs, errors.New("--couchdb-user and --couchdb-password-file: give both or none"))
	}
	if !validName.MatchString(c.Prefix + "whisks") {
		errs = append(errs, fmt.Errorf("--couchdb-prefix %q: use lower case letters, digits and _ $ ( ) + - /, a letter first", c.Prefix))
	}
	return errors.Join(errs...)
}

func (c *Config) password() (string, error) {
	if c.PasswordFile == "" {
		return "", nil
	}
	content, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("--couchdb-password-file: %w", err)
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}
