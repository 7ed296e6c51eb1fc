package docker

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/registry"
	"go.uber.org/zap"
)

// credentials are those for registries, from a file of the operator's:
//
//	{"auths": {"registry.example": {"auth": "dXNlcjpwYXNzd29yZA=="}},
//	 "namespaces": {"guest": {"auths": {"ghcr.io": {"username": "me", "password": "secret"}}}}}
//
// A section is what Docker's own config.json has. A namespace's comes before the
// one for everybody. The file is looked at for each pull and read again when it has
// changed; if that fails what was read before holds.
type credentials struct {
	path string // "" for none
	log  *zap.Logger

	mu      sync.Mutex // guards what follows, and reading the file, which is small
	seen    fileState
	content credentialFile
}

// fileState tells whether a file may have changed.
type fileState struct {
	modified time.Time
	size     int64
}

// credentialFile is the file's content.
type credentialFile struct {
	section
	Namespaces map[string]section `json:"namespaces"`
}

type section struct {
	Auths map[string]registry.AuthConfig `json:"auths"`
}

// credential is one for one registry.
type credential struct {
	// header is the engine's form, "" for none.
	header string
	// key tells credentials apart without giving them away.
	key string
	// isNamespaces: it belongs to a namespace, not to everybody.
	isNamespaces bool
}

func openCredentials(path string, log *zap.Logger) (*credentials, error) {
	c := &credentials{path: path, log: log}
	if path == "" {
		return c, nil
	}
	return c, c.read()
}

// read reads the file. c.mu is held, or nobody else has c yet.
func (c *credentials) read() error {
	info, err := os.Stat(c.path)
	if err != nil {
		return fmt.Errorf("read the registry credentials: %w", err)
	}
	state := fileState{info.ModTime(), info.Size()}
	if state == c.seen {
		return nil
	}
	text, err := os.ReadFile(c.path)
	if err != nil {
		return fmt.Errorf("read the registry credentials: %w", err)
	}
	c.seen = state // a broken file is complained of once
	content, err := parseCredentials(text)
	if err != nil {
		return fmt.Errorf("read the registry credentials in %s: %w", c.path, err)
	}
	c.content = content
	return nil
}

// parseCredentials reads the file's text. Errors say nothing of its secrets.
func parseCredentials(text []byte) (credentialFile, error) {
	var file credentialFile
	if err := json.Unmarshal(text, &file); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return file, fmt.Errorf("it is not JSON, from byte %d on", syntax.Offset)
		}
		return file, errors.New("it is not of the form {\"auths\": …, \"namespaces\": {NAME: {\"auths\": …}}}")
	}
	if err := file.complete(); err != nil {
		return file, err
	}
	for namespace, s := range file.Namespaces {
		if err := s.complete(); err != nil {
			return file, fmt.Errorf("namespace %s: %w", namespace, err)
		}
	}
	return file, nil
}

// complete gives every entry its user and password, and its registry's own name as
// the key.
func (s *section) complete() error {
	named := make(map[string]registry.AuthConfig, len(s.Auths))
	for address, a := range s.Auths {
		if a.Auth != "" {
			plain, err := base64.StdEncoding.DecodeString(a.Auth)
			user, password, found := strings.Cut(string(plain), ":")
			if err != nil || !found {
				return fmt.Errorf("registry %s: auth is not user:password in base64", address)
			}
			a.Username, a.Password, a.Auth = user, strings.TrimRight(password, "\x00"), ""
		}
		if a.Username == "" && a.IdentityToken == "" && a.RegistryToken == "" {
			return fmt.Errorf("registry %s: it has neither auth nor a user or token", address)
		}
		a.ServerAddress = address
		named[registryName(address)] = a
	}
	for address := range s.Auths {
		delete(s.Auths, address)
	}
	for name, a := range named {
		s.Auths[name] = a
	}
	return nil
}

// dockerHub is the registry of images that name none.
const dockerHub = "docker.io"

// registryName is the host in a registry's address, as names of images have it.
func registryName(address string) string {
	_, after, found := strings.Cut(address, "://")
	if !found {
		after = address
	}
	host, _, _ := strings.Cut(after, "/")
	switch host {
	case "index.docker.io", "registry-1.docker.io":
		return dockerHub
	}
	return host
}

// find returns what a namespace has for a registry; the zero credential for
// nothing.
func (c *credentials) find(namespace, host string) (credential, error) {
	if c.path == "" {
		return credential{}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.read(); err != nil {
		c.log.Error("the registry credentials could not be read again; the old ones hold", zap.Error(err))
	}
	a, isNamespaces := c.content.Namespaces[namespace].Auths[host]
	if !isNamespaces {
		var found bool
		if a, found = c.content.Auths[host]; !found {
			return credential{}, nil
		}
	}
	header, err := registry.EncodeAuthConfig(a)
	if err != nil {
		return credential{}, fmt.Errorf("encode the credentials for %s: %w", host, err)
	}
	sum := sha256.Sum256([]byte(namespaceOf(isNamespaces, namespace) + "\x00" + header))
	return credential{header: header, key: hex.EncodeToString(sum[:]), isNamespaces: isNamespaces}, nil
}

func namespaceOf(isNamespaces bool, namespace string) string {
	if isNamespaces {
		return namespace
	}
	return ""
}
