// Package encryption keeps the parameters of actions and packages encrypted at
// rest, in the form of OpenWhisk's databases (openwhisk-rest-api.md 5.1,
// openwhisk-invoker.md 6.9).
//
// A Keyring has the keys. Entities puts it in front of a store, so that whatever
// is written there is encrypted; what is read stays as it is stored, and only the
// invoker opens values, just before the action gets them. Keys come from a file
// (Load); Reencrypt brings a database under the key that is current.
//
// Nothing binds a value to where it is stored: by the contract, clients may copy an
// encrypted value into another action. So the keys protect the database and its
// backups, not one reader of an action from another.
package encryption

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Scheme says how a value is encrypted. Its name is stored beside the value.
type Scheme string

const (
	// AES128 is AES-GCM with a key of 16 bytes and a nonce of 12.
	AES128 Scheme = "aes-128"
	// AES256 is AES-GCM with a key of 32 bytes and a nonce of 128.
	AES256 Scheme = "aes-256"

	// unencrypted is OpenWhisk's name for values that are not encrypted.
	unencrypted = "noop"
)

var (
	// ErrNoKey: no key opens the value. It was encrypted with another one, or changed
	// since, or was never what it is marked as.
	ErrNoKey = errors.New("no key of the server fits")
	// ErrFormat: the value does not have the form that its mark promises, so no key
	// could open it.
	ErrFormat = errors.New("it is not in the form of an encrypted value")
)

// sizes of a scheme's key and nonce in bytes; ok is false for unknown schemes.
func (s Scheme) sizes() (key, nonce int, ok bool) {
	switch s {
	case AES128:
		return 16, 12, true
	case AES256:
		return 32, 128, true
	}
	return 0, 0, false
}

// Key is a key of one scheme.
type Key struct {
	scheme Scheme
	aead   cipher.AEAD
}

// NewKey returns a key; secret must have the length that the scheme wants.
func NewKey(scheme Scheme, secret []byte) (Key, error) {
	size, nonce, ok := scheme.sizes()
	switch {
	case !ok:
		return Key{}, fmt.Errorf("there is no scheme of this name: use %s or %s", AES256, AES128)
	case len(secret) != size:
		return Key{}, fmt.Errorf("the key has %d bytes: %s wants %d", len(secret), scheme, size)
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return Key{}, err
	}
	aead, err := cipher.NewGCMWithNonceSize(block, nonce)
	if err != nil {
		return Key{}, err
	}
	return Key{scheme, aead}, nil
}

// Keyring has the keys of a platform. A nil Keyring has none and encrypts nothing.
// Safe for concurrent use.
type Keyring struct {
	isOn bool
	keys []Key
}

// NewKeyring returns a ring whose first key encrypts new values, if isOn, and all
// of whose keys decrypt.
func NewKeyring(isOn bool, keys ...Key) *Keyring {
	return &Keyring{isOn: isOn && len(keys) > 0, keys: keys}
}

// IsOn reports whether new values are encrypted.
func (k *Keyring) IsOn() bool { return k != nil && k.isOn }

// lengthSize is how many bytes tell the length of the nonce, at the start.
const lengthSize = 4

// Seal encrypts a text under the current key. It returns the name of the scheme and
// the encrypted form; scheme is "" and text the plain one if encryption is off.
func (k *Keyring) Seal(plain []byte) (scheme, text string) {
	if !k.IsOn() {
		return "", string(plain)
	}
	key := k.keys[0]
	nonceSize := key.aead.NonceSize()
	sealed := make([]byte, lengthSize+nonceSize, lengthSize+nonceSize+len(plain)+key.aead.Overhead())
	binary.BigEndian.PutUint32(sealed, uint32(nonceSize))
	nonce := sealed[lengthSize:]
	_, _ = rand.Read(nonce) // never fails
	sealed = key.aead.Seal(sealed, nonce, plain, nil)
	return string(key.scheme), base64.StdEncoding.EncodeToString(sealed)
}

// Open decrypts what Seal or an OpenWhisk with one of the keys made. Texts of no
// scheme are returned as they are. Errors: ErrFormat, ErrNoKey; they say nothing of
// the text.
func (k *Keyring) Open(scheme, text string) ([]byte, error) {
	if scheme == "" || scheme == unencrypted {
		return []byte(text), nil
	}
	sealed, err := parse(Scheme(scheme), text)
	if err != nil {
		return nil, err
	}
	if k != nil {
		for i := range k.keys {
			if k.keys[i].scheme != Scheme(scheme) {
				continue
			}
			// The tag of GCM tells whether this was the key.
			if plain, err := sealed.open(k.keys[i]); err == nil {
				return plain, nil
			}
		}
	}
	return nil, ErrNoKey
}

// sealed is an encrypted text, taken apart.
type sealed struct{ nonce, ciphertext []byte }

// parse reads the wire format: base64 of the nonce's length in four bytes, the
// nonce, and the ciphertext with its tag.
func parse(scheme Scheme, text string) (sealed, error) {
	_, nonceSize, ok := scheme.sizes()
	if !ok {
		return sealed{}, ErrFormat
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) < lengthSize+nonceSize || binary.BigEndian.Uint32(data) != uint32(nonceSize) {
		return sealed{}, ErrFormat
	}
	data = data[lengthSize:]
	return sealed{data[:nonceSize], data[nonceSize:]}, nil
}

func (s sealed) open(k Key) ([]byte, error) { return k.aead.Open(nil, s.nonce, s.ciphertext, nil) }

// isCurrent reports whether the text is encrypted under the current key.
func (k *Keyring) isCurrent(scheme, text string) bool {
	if !k.IsOn() || k.keys[0].scheme != Scheme(scheme) {
		return false
	}
	s, err := parse(Scheme(scheme), text)
	if err != nil {
		return false
	}
	_, err = s.open(k.keys[0])
	return err == nil
}

// Lock returns the parameters with all values encrypted that are not yet. Null stays
// as it is: it is no value, and whether a parameter has one must be visible (final
// parameters, openwhisk-rest-api.md 9.1). p is not changed.
func (k *Keyring) Lock(p entity.Parameters) entity.Parameters {
	if !k.IsOn() || len(p) == 0 {
		return p
	}
	out := make(entity.Parameters, len(p))
	for i, q := range p {
		if q.Encryption == "" && q.IsDefined() {
			q = k.lock(q)
		}
		out[i] = q
	}
	return out
}

func (k *Keyring) lock(q entity.Parameter) entity.Parameter {
	scheme, text := k.Seal(q.Value)
	q.Value, q.Encryption = entity.AppendString(nil, text), scheme
	return q
}

// Unlock returns the parameters with all values decrypted for which there is a key;
// the others stay as they are. p is not changed.
func (k *Keyring) Unlock(p entity.Parameters) entity.Parameters {
	var out entity.Parameters
	for i, q := range p {
		if q.Encryption == "" {
			continue
		}
		plain, err := k.unlock(q)
		if err != nil {
			continue
		}
		if out == nil {
			out = append(out, p...)
		}
		out[i] = plain
	}
	if out == nil {
		return p
	}
	return out
}
