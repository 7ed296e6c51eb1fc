package entity

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"
)

// MaxNameLength bounds a name or a path segment, in characters.
const MaxNameLength = 256

// Name is the last segment of an entity's address, already validated.
type Name string

// Path is a namespace ("guest") or a package's path in it ("guest/pkg"). The
// segments are validated names.
type Path string

// Namespace returns the first segment: whose the entity is.
func (p Path) Namespace() string {
	ns, _, _ := strings.Cut(string(p), "/")
	return ns
}

// Package returns the second segment, or "" for the default package.
func (p Path) Package() string {
	_, pkg, _ := strings.Cut(string(p), "/")
	return pkg
}

// Join appends a segment.
func (p Path) Join(segment string) Path { return Path(string(p) + "/" + segment) }

// NameError says why a name was refused. Its text goes to the client as it is.
type NameError struct{ Text string }

func (e *NameError) Error() string { return e.Text }

// ParseName checks a name against the rules of openwhisk-rest-api.md section 4.
// Its error is a *NameError.
func ParseName(s string) (Name, error) {
	if n := length(s); n > MaxNameLength {
		// The misspelling is part of the contract.
		return "", &NameError{fmt.Sprintf("Name segement longer than allowed: %d > %d.", n, MaxNameLength)}
	}
	if !isName(s) {
		return "", &NameError{"The name of the entity contains illegal characters."}
	}
	return Name(s), nil
}

// ParseNamespace checks the name of a namespace. Its error is a *NameError.
func ParseNamespace(s string) (Path, error) {
	if n := length(s); n > MaxNameLength {
		return "", &NameError{fmt.Sprintf("Namespace longer than allowed: %d > %d.", n, MaxNameLength)}
	}
	if !isName(s) {
		return "", &NameError{"The namespace contains illegal characters."}
	}
	return Path(s), nil
}

// length counts as OpenWhisk does, in UTF-16 units.
func length(s string) int {
	n := 0
	for _, r := range s {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

// isName is the regular expression \A([\w]|[\w][\w@ .&-]{0,254}[\w@.&-])\z of
// section 4, by hand because names are checked on every request.
func isName(s string) bool {
	if s == "" || len(s) > MaxNameLength || !isWord(s[0]) || s[len(s)-1] == ' ' {
		return false
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case isWord(c), c == '@', c == ' ', c == '.', c == '&', c == '-':
		default:
			return false
		}
	}
	return true
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// FQN is a fully qualified reference to an entity: a path of one or two
// segments and a name.
type FQN struct {
	Path Path
	Name Name
}

// String is the form without a leading slash: "ns/name" or "ns/pkg/name".
func (f FQN) String() string { return string(f.Path) + "/" + string(f.Name) }

// ID is the key of the entity that f refers to.
func (f FQN) ID() DocID { return DocID(f.String()) }

// Resolve replaces a leading "_" segment by namespace.
func (f FQN) Resolve(namespace string) FQN {
	first, rest, packaged := strings.Cut(string(f.Path), "/")
	if first != "_" {
		return f
	}
	if packaged {
		return FQN{Path: Path(namespace + "/" + rest), Name: f.Name}
	}
	return FQN{Path: Path(namespace), Name: f.Name}
}

// errTooFewSegments is the contract's text for references such as "x".
const errTooFewSegments = "requirement failed: The fully qualified name of the entity must contain at least the namespace and the name of the entity."

// ParseFQN reads "/ns/name", "ns/name" or "/ns/pkg/name". Its error is a
// *MalformedError.
func ParseFQN(s string) (FQN, error) {
	var segments []string
	for part := range strings.SplitSeq(s, "/") {
		if part = strings.TrimSpace(part); part != "" {
			segments = append(segments, part)
		}
	}
	if len(segments) < 2 {
		return FQN{}, &MalformedError{errTooFewSegments}
	}
	if len(segments) > 3 {
		return FQN{}, &MalformedError{"fully qualified name malformed"}
	}
	for _, s := range segments {
		if !isName(s) {
			return FQN{}, &MalformedError{"fully qualified name malformed"}
		}
	}
	last := len(segments) - 1
	return FQN{Path: Path(strings.Join(segments[:last], "/")), Name: Name(segments[last])}, nil
}

// UnmarshalJSON accepts the string form and {"path":…,"name":…}.
func (f *FQN) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		parsed, err := ParseFQN(s)
		if err == nil {
			*f = parsed
		}
		return err
	}
	var o struct{ Path, Name *string }
	if json.Unmarshal(data, &o) != nil || o.Path == nil || o.Name == nil {
		return &MalformedError{"fully qualified name malformed"}
	}
	parsed, err := NewFQN(*o.Path, *o.Name)
	if err != nil {
		return err
	}
	*f = parsed
	return nil
}

// NewFQN checks a path and a name that came apart. Its error is a
// *MalformedError.
func NewFQN(path, name string) (FQN, error) {
	f, err := ParseFQN(path + "/" + name)
	if err == nil && string(f.Name) != strings.TrimSpace(name) {
		err = &MalformedError{"fully qualified name malformed"}
	}
	if err != nil {
		return FQN{}, err
	}
	return f, nil
}

// MarshalJSON writes the object form.
func (f FQN) MarshalJSON() ([]byte, error) { return f.AppendJSON(nil), nil }

// AppendJSON appends {"path":…,"name":…}.
func (f FQN) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"path":`...)
	dst = AppendString(dst, string(f.Path))
	dst = append(dst, `,"name":`...)
	dst = AppendString(dst, string(f.Name))
	return append(dst, '}')
}
