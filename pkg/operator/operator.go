// Package operator knows who may tell a process what to do: whoever has the user and
// the password of its credentials file.
package operator

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// Credentials of the operator. The zero value is nobody's.
type Credentials struct{ User, Password string }

// Load reads a file of one line, user:password. Without a file nobody is the
// operator.
func Load(file string) (Credentials, error) {
	if file == "" {
		return Credentials{}, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return Credentials{}, fmt.Errorf("reading admin-credentials: %w", err)
	}
	user, password, _ := strings.Cut(strings.TrimRight(string(content), "\r\n"), ":")
	if user == "" || password == "" {
		return Credentials{}, fmt.Errorf("admin-credentials: %s must have one line, user:password", file)
	}
	return Credentials{User: user, Password: password}, nil
}

// Match reports whether a request has the credentials. It takes as long for a wrong
// one as for a right one, whatever their lengths.
func (c Credentials) Match(r *http.Request) bool {
	user, password, _ := r.BasicAuth()
	sameUser := sameSecret(user, c.User)
	samePassword := sameSecret(password, c.Password)
	return sameUser&samePassword == 1 && c.User != "" && c.Password != ""
}

func sameSecret(a, b string) int {
	hashA, hashB := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(hashA[:], hashB[:])
}
