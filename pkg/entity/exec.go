package entity

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
)

// Kinds that are not runtimes of the manifest.
const (
	KindSequence = "sequence"
	KindBlackbox = "blackbox"
)

// Exec says what an action runs.
type Exec struct {
	// Kind is the concrete kind, never "<family>:default" once stored.
	Kind string
	// Code is the source text, or base64 when Binary. Stores return actions
	// with a nil Code; see store.EntityStore.Code.
	Code *string
	// Digest identifies the code without holding it: its SHA-256 in hexadecimal,
	// "" where there is no code, or in documents of others. It is stored, and not
	// shown to clients.
	Digest string
	Main   string
	// Binary is computed from the code, see IsBinary.
	Binary bool
	// Image is the container image of a blackbox action.
	Image string
	// Components of a sequence, fully resolved.
	Components []FQN
}

// IsSequence reports whether the action is a sequence.
func (e *Exec) IsSequence() bool { return e.Kind == KindSequence }

// Size is what counts against the exec size limit (openwhisk-rest-api.md 5.2).
func (e *Exec) Size() int64 {
	n := int64(len(e.Main) + len(e.Image))
	if e.Code != nil {
		n += int64(len(*e.Code))
	}
	for _, c := range e.Components {
		n += int64(len(c.String()))
	}
	return n
}

// IsBinary guesses whether code is base64, as OpenWhisk does: trimmed text whose
// length is a multiple of four and that has base64's shape. One-word sources of
// 4n letters are taken for binary too (openwhisk-invoker.md 1.1).
func IsBinary(code string) bool {
	code = strings.TrimSpace(code)
	if code == "" || len(code)%4 != 0 {
		return false
	}
	body := code
	for range 2 {
		body = strings.TrimSuffix(body, "=")
	}
	for i := 0; i < len(body); i++ {
		c := body[i]
		if c != '+' && c != '/' && (!isWord(c) || c == '_') {
			return false
		}
	}
	return true
}

// RuntimeRule is what the runtimes manifest says about a kind.
type RuntimeRule struct {
	// Kind is the concrete kind that a default was resolved to.
	Kind        string
	RequireMain bool
}

// KindResolver looks a requested kind up in the runtimes manifest. Its error is
// the detail that clients see for an unknown kind.
type KindResolver func(kind string) (RuntimeRule, error)

// execFields are the fields of a request's exec; which of them count depends on
// the kind.
type execFields struct {
	Kind, Code, Jar, Main, Image, Components json.RawMessage
}

// ParseExec reads the exec of a request by the table of openwhisk-rest-api.md
// 8.2. Errors are *MalformedError, or what resolve returned.
func ParseExec(data []byte, resolve KindResolver) (*Exec, error) {
	var f execFields
	if json.Unmarshal(data, &f) != nil {
		return nil, &MalformedError{"exec malformed"}
	}
	kind, ok := asString(f.Kind)
	if !ok {
		return nil, &MalformedError{"'kind' must be a string defined in 'exec'"}
	}
	switch kind = strings.ToLower(strings.TrimSpace(kind)); kind {
	case KindSequence:
		return parseSequence(f.Components)
	case KindBlackbox:
		return parseBlackbox(f)
	}
	return parseManaged(kind, f, resolve)
}

func parseManaged(kind string, f execFields, resolve KindResolver) (*Exec, error) {
	rule, err := resolve(kind)
	if err != nil {
		return nil, err
	}
	code, ok := asString(f.Code)
	if !ok {
		code, ok = asString(f.Jar)
	}
	if !ok {
		return nil, &MalformedError{"'code' must be a string or attachment object defined in 'exec' for '" + kind + "' actions"}
	}
	e := &Exec{Kind: rule.Kind}
	e.setCode(code)
	if e.Main, err = optionalMain(f.Main, kind); err != nil {
		return nil, err
	}
	if rule.RequireMain && e.Main == "" {
		return nil, &MalformedError{"'main' must be a string defined in 'exec' for '" + kind + "' actions"}
	}
	return e, nil
}

func parseBlackbox(f execFields) (*Exec, error) {
	image, ok := asString(f.Image)
	if !ok {
		return nil, &MalformedError{"'image' must be a string defined in 'exec' for 'blackbox' actions"}
	}
	parsed, err := ParseImage(strings.TrimSpace(image))
	if err != nil {
		return nil, &MalformedError{"could not parse image name"}
	}
	e := &Exec{Kind: KindBlackbox, Image: parsed.String()}
	if e.Main, err = optionalMain(f.Main, KindBlackbox); err != nil {
		return nil, err
	}
	if !isAbsent(f.Code) {
		code, ok := asString(f.Code)
		if !ok {
			return nil, &MalformedError{"'code' must be a string or attachment object defined in 'exec' for 'blackbox' actions"}
		}
		if strings.TrimSpace(code) != "" {
			e.setCode(code)
		}
	}
	return e, nil
}

func parseSequence(raw json.RawMessage) (*Exec, error) {
	if isAbsent(raw) {
		return nil, &MalformedError{"'components' must be defined for sequence kind"}
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return nil, &MalformedError{"'components' must be an array"}
	}
	e := &Exec{Kind: KindSequence, Components: make([]FQN, len(items))}
	for i, item := range items {
		if err := e.Components[i].UnmarshalJSON(item); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (e *Exec) setCode(code string) {
	e.Code = &code
	e.Digest = fmt.Sprintf("%x", sha256.Sum256([]byte(code)))
	e.Binary = IsBinary(code)
}

func optionalMain(raw json.RawMessage, kind string) (string, error) {
	if isAbsent(raw) {
		return "", nil
	}
	main, ok := asString(raw)
	if !ok {
		return "", &MalformedError{"if defined, 'main' be a string in 'exec' for '" + kind + "' actions"}
	}
	return main, nil
}

func isAbsent(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || string(raw) == "null"
}

func asString(raw json.RawMessage) (string, bool) {
	var s string
	if isAbsent(raw) || json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// AppendJSON appends the exec of an answer; without withCode the code is left
// out and everything else stays (openwhisk-rest-api.md 8.2).
func (e *Exec) AppendJSON(dst []byte, withCode bool) []byte {
	return append(e.appendFields(dst, withCode), '}')
}

// appendStored appends the exec of a document: without code, with its digest.
func (e *Exec) appendStored(dst []byte, code json.RawMessage) []byte {
	dst = e.appendFields(dst, false)
	if code != nil {
		dst = append(dst, `,"code":`...)
		dst = append(dst, code...)
	}
	if e.Digest != "" {
		dst = append(dst, `,"digest":`...)
		dst = AppendString(dst, e.Digest)
	}
	return append(dst, '}')
}

// appendFields appends everything but the closing brace.
func (e *Exec) appendFields(dst []byte, withCode bool) []byte {
	dst = append(dst, `{"kind":`...)
	dst = AppendString(dst, e.Kind)
	if e.IsSequence() {
		dst = append(dst, `,"components":[`...)
		for i, c := range e.Components {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendString(dst, "/"+c.String())
		}
		return append(dst, ']')
	}
	if e.Kind == KindBlackbox {
		dst = append(dst, `,"image":`...)
		dst = AppendString(dst, e.Image)
	}
	if withCode && e.Code != nil {
		dst = append(dst, `,"code":`...)
		dst = AppendString(dst, *e.Code)
	}
	if e.Binary {
		dst = append(dst, `,"binary":true`...)
	} else {
		dst = append(dst, `,"binary":false`...)
	}
	if e.Main != "" {
		dst = append(dst, `,"main":`...)
		dst = AppendString(dst, e.Main)
	}
	return dst
}
