package entity

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// KeyLength is the length of the secret part of an authorization key.
const KeyLength = 64

// AuthKey is the credential of a subject for one namespace.
type AuthKey struct {
	UUID string `json:"uuid"`
	Key  string `json:"key"`
}

// String is "uuid:key", as tools print it and actions get it. Do not log it.
func (k AuthKey) String() string { return k.UUID + ":" + k.Key }

const keyAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// NewAuthKey returns a random credential.
func NewAuthKey() AuthKey {
	key := make([]byte, 0, KeyLength)
	var b [KeyLength]byte
	for len(key) < KeyLength {
		rand.Read(b[:]) // never fails
		for _, c := range b {
			// 248 is the largest multiple of 62 below 256: no letter is favoured.
			if c < 248 && len(key) < KeyLength {
				key = append(key, keyAlphabet[c%62])
			}
		}
	}
	return AuthKey{UUID: uuid.NewString(), Key: string(key)}
}

// ParseAuthKey reads "uuid:key" as tools give it; errors are those of wskadmin
// (openwhisk-rest-api.md 20.3).
func ParseAuthKey(s string) (AuthKey, error) {
	id, key, _ := strings.Cut(s, ":")
	if _, err := uuid.Parse(id); err != nil || len(id) != 36 {
		return AuthKey{}, errors.New("authorization id is not a valid UUID")
	}
	if len(key) < KeyLength {
		return AuthKey{}, errors.New("authorization key must be at least 64 characters long")
	}
	return AuthKey{UUID: id, Key: key}, nil
}

// Subject is somebody with credentials for one or more namespaces.
type Subject struct {
	Name       string             `json:"subject"`
	Namespaces []SubjectNamespace `json:"namespaces"`
	Blocked    bool               `json:"blocked,omitempty"`

	Revision string `json:"-"`
}

// SubjectNamespace is a namespace of a subject with its credential.
type SubjectNamespace struct {
	Name string `json:"name"`
	AuthKey
}

// Identity is who a request acts for: exactly one namespace of a subject.
type Identity struct {
	Subject   string
	Namespace string
	Key       AuthKey
	// Limits of the namespace; the zero value has none of its own.
	Limits UserLimits
}

// UserLimits are the limits of one namespace; nil fields leave the system's
// (openwhisk-rest-api.md 20.2).
type UserLimits struct {
	InvocationsPerMinute  *int     `json:"invocationsPerMinute,omitempty"`
	ConcurrentInvocations *int     `json:"concurrentInvocations,omitempty"`
	FiresPerMinute        *int     `json:"firesPerMinute,omitempty"`
	AllowedKinds          []string `json:"allowedKinds,omitempty"`
	StoreActivations      *bool    `json:"storeActivations,omitempty"`

	MinActionMemory      *Megabytes `json:"minActionMemory,omitempty"`
	MaxActionMemory      *Megabytes `json:"maxActionMemory,omitempty"`
	MinActionLogs        *Megabytes `json:"minActionLogs,omitempty"`
	MaxActionLogs        *Megabytes `json:"maxActionLogs,omitempty"`
	MinActionTimeout     *int64     `json:"minActionTimeout,omitempty"`
	MaxActionTimeout     *int64     `json:"maxActionTimeout,omitempty"`
	MinActionConcurrency *int       `json:"minActionConcurrency,omitempty"`
	MaxActionConcurrency *int       `json:"maxActionConcurrency,omitempty"`

	MaxParameterSize *ByteSize `json:"maxParameterSize,omitempty"`
	MaxPayloadSize   *ByteSize `json:"maxPayloadSize,omitempty"`
	TruncationSize   *ByteSize `json:"truncationSize,omitempty"`

	WarmedContainerKeepingCount   *int    `json:"warmedContainerKeepingCount,omitempty"`
	WarmedContainerKeepingTimeout *string `json:"warmedContainerKeepingTimeout,omitempty"`
}

// Ranges returns the system's ranges narrowed to the namespace's.
func (l *UserLimits) Ranges(system LimitRanges) LimitRanges {
	return LimitRanges{
		Timeout:     system.Timeout.Clamp(l.MinActionTimeout, l.MaxActionTimeout),
		Memory:      system.Memory.Clamp(l.MinActionMemory, l.MaxActionMemory),
		Logs:        system.Logs.Clamp(l.MinActionLogs, l.MaxActionLogs),
		Concurrency: system.Concurrency.Clamp(l.MinActionConcurrency, l.MaxActionConcurrency),
	}
}

// IsBlacklisted reports whether the namespace may run nothing at all.
func (l *UserLimits) IsBlacklisted() bool {
	return l.ConcurrentInvocations != nil && *l.ConcurrentInvocations == 0 ||
		l.InvocationsPerMinute != nil && *l.InvocationsPerMinute == 0
}

// StoresActivations reports whether records of the namespace are kept.
func (l *UserLimits) StoresActivations() bool {
	return l.StoreActivations == nil || *l.StoreActivations
}

// ByteSize is a size in bytes, written as a string with a unit.
type ByteSize int64

var sizePattern = regexp.MustCompile(`(?i)^\s*(\d+)\s*(GB|MB|KB|B|G|M|K)\s*$`)

// ParseByteSize reads "1 MB", "512 K" or "1048576 B".
func ParseByteSize(s string) (ByteSize, error) {
	m := sizePattern.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("size %q is not of the form \"<number> B|KB|MB|GB\"", s)
	}
	n, err := strconv.ParseInt(m[1], 10, 32)
	if err != nil {
		return 0, fmt.Errorf("size %q is too large", s)
	}
	switch strings.ToUpper(m[2])[0] {
	case 'G':
		n <<= 30
	case 'M':
		n <<= 20
	case 'K':
		n <<= 10
	}
	return ByteSize(n), nil
}

// String is the form in bytes, such as "1048576 B".
func (s ByteSize) String() string { return strconv.FormatInt(int64(s), 10) + " B" }

// MarshalJSON writes the string form.
func (s ByteSize) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// UnmarshalJSON reads the string form.
func (s *ByteSize) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	size, err := ParseByteSize(text)
	if err == nil {
		*s = size
	}
	return err
}

// AppendJSON appends the limits as a JSON object of the fields that are set.
func (l *UserLimits) AppendJSON(dst []byte) []byte {
	if l.isZero() {
		return append(dst, '{', '}')
	}
	data, err := EncodeJSON(l)
	if err != nil { // plain fields always encode
		return append(dst, '{', '}')
	}
	return append(dst, data...)
}

// isZero spares namespaces without limits of their own the encoder.
func (l *UserLimits) isZero() bool {
	return l.InvocationsPerMinute == nil && l.ConcurrentInvocations == nil && l.FiresPerMinute == nil &&
		l.AllowedKinds == nil && l.StoreActivations == nil &&
		l.MinActionMemory == nil && l.MaxActionMemory == nil && l.MinActionLogs == nil && l.MaxActionLogs == nil &&
		l.MinActionTimeout == nil && l.MaxActionTimeout == nil && l.MinActionConcurrency == nil && l.MaxActionConcurrency == nil &&
		l.MaxParameterSize == nil && l.MaxPayloadSize == nil && l.TruncationSize == nil &&
		l.WarmedContainerKeepingCount == nil && l.WarmedContainerKeepingTimeout == nil
}
