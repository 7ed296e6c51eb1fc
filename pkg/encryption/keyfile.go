package encryption

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxFile bounds the size of a key file in bytes.
const maxFile = 1 << 20

// Load reads the keys from a file in the form of Parse. It refuses files that every
// user may read or change. Its errors say what to do, and nothing of the keys.
func Load(path string) (*Keyring, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the parameter keys: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the parameter keys: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("the parameter keys %s are not a file", path)
	case info.Mode().Perm()&0o006 != 0:
		return nil, fmt.Errorf("the parameter keys %s may be read or changed by every user of this machine; run: chmod 600 %s", path, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the parameter keys: %w", err)
	}
	k, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parameter keys %s: %w", path, err)
	}
	return k, nil
}

// off as the first line stops the encryption of new values.
const off = "off"

var errNoKeys = errors.New("there is no key in it; add the line that \"gowhisk admin parameters new-key\" prints")

// Parse reads the lines "SCHEME BASE64" of a key file. The first is the current key,
// unless it is the word off; the others only decrypt. "#" begins a comment.
func Parse(text []byte) (*Keyring, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("it has more than %d bytes", maxFile)
	}
	isOn := true
	first := true
	var keys []Key
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line, _, _ = bytes.Cut(line, []byte{'#'})
		fields := strings.Fields(string(line))
		switch {
		case len(fields) == 0:
			continue
		case len(fields) == 1 && fields[0] == off:
			if !first {
				return nil, fmt.Errorf("line %d: %s must be the first line, above the keys", number, off)
			}
			isOn = false
		default:
			key, err := parseKey(fields)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", number, err)
			}
			keys = append(keys, key)
		}
		first = false
	}
	if isOn && len(keys) == 0 {
		return nil, errNoKeys
	}
	return NewKeyring(isOn, keys...), nil
}

// parseKey never quotes what it was given: it may be a key.
func parseKey(fields []string) (Key, error) {
	if len(fields) != 2 {
		return Key{}, fmt.Errorf("write a scheme and a key, such as %q", string(AES256)+" BASE64")
	}
	secret, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil {
		return Key{}, errors.New("the key is not base64")
	}
	return NewKey(Scheme(fields[0]), secret)
}

// NewKeyLine returns a line with a new random key for a key file.
func NewKeyLine(scheme Scheme) (string, error) {
	size, _, ok := scheme.sizes()
	if !ok {
		_, err := NewKey(scheme, nil)
		return "", err
	}
	secret := make([]byte, size)
	_, _ = rand.Read(secret) // never fails
	return string(scheme) + " " + base64.StdEncoding.EncodeToString(secret), nil
}
