package entity

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// Parameter is one entry of an entity's parameters or annotations.
type Parameter struct {
	Key string
	// Value is compact JSON; "null" counts as not defined.
	Value json.RawMessage
	// Init: the value goes to the runtime's environment at /init instead of the
	// arguments of /run.
	Init bool
	// Encryption names the scheme that Value is encrypted with, "" for none.
	Encryption string
}

// IsDefined reports whether the parameter has a value other than null.
func (p Parameter) IsDefined() bool { return len(p.Value) > 0 && string(p.Value) != "null" }

// Parameters is an ordered map: keys are unique, and entries keep the order in
// which clients sent them (openwhisk-rest-api.md 5.1).
type Parameters []Parameter

// Get returns the value of key.
func (p Parameters) Get(key string) (json.RawMessage, bool) {
	for i := range p {
		if p[i].Key == key {
			return p[i].Value, true
		}
	}
	return nil, false
}

// entry returns the entry of key.
func (p Parameters) entry(key string) (Parameter, bool) {
	for _, q := range p {
		if q.Key == key {
			return q, true
		}
	}
	return Parameter{}, false
}

func (p Parameter) same(q Parameter) bool {
	return p.Key == q.Key && bytes.Equal(p.Value, q.Value) && p.Init == q.Init && p.Encryption == q.Encryption
}

// Truthy reports whether key is present with a truthy value.
func (p Parameters) Truthy(key string) bool {
	v, ok := p.Get(key)
	return ok && Truthy(v)
}

// String returns the value of key if it is a string.
func (p Parameters) String(key string) (string, bool) {
	v, ok := p.Get(key)
	if !ok || len(v) == 0 {
		return "", false
	}
	// Most strings are spelled plainly, and records are filed by one of them.
	if n := len(v); n >= 2 && v[0] == '"' && bytes.IndexByte(v, '\\') < 0 && utf8.Valid(v) {
		return string(v[1 : n-1]), true
	}
	var s string
	if v[0] != '"' || json.Unmarshal(v, &s) != nil {
		return "", false
	}
	return s, true
}

// With returns p with q's entry set: in the place of an entry with the same
// key, or at the end. p is not changed.
func (p Parameters) With(q Parameter) Parameters {
	out := make(Parameters, len(p), len(p)+1)
	copy(out, p)
	for i := range out {
		if out[i].Key == q.Key {
			out[i] = q
			return out
		}
	}
	return append(out, q)
}

// Without returns p without key. p is not changed.
func (p Parameters) Without(key string) Parameters {
	out := make(Parameters, 0, len(p))
	for _, e := range p {
		if e.Key != key {
			out = append(out, e)
		}
	}
	return out
}

// Merge returns p overlaid with over: later wins, order as With leaves it.
func (p Parameters) Merge(over Parameters) Parameters {
	if len(over) == 0 {
		return p
	}
	if len(p) == 0 {
		return over
	}
	out := make(Parameters, len(p), len(p)+len(over))
	index := make(map[string]int, len(p))
	for i, e := range p {
		out[i] = e
		index[e.Key] = i
	}
	for _, e := range over {
		if i, ok := index[e.Key]; ok {
			out[i] = e
			continue
		}
		index[e.Key] = len(out)
		out = append(out, e)
	}
	return out
}

// Size is what counts against the size limits: bytes of keys and of values as
// compact JSON (openwhisk-rest-api.md 5.2).
func (p Parameters) Size() int64 {
	var n int64
	for i := range p {
		n += int64(len(p[i].Key) + len(p[i].Value))
	}
	return n
}

var errParameters = &MalformedError{"parameters malformed!"}

// UnmarshalJSON reads the array form; of entries with the same key the last one
// wins in the place of the first.
func (p *Parameters) UnmarshalJSON(data []byte) error {
	if string(bytes.TrimSpace(data)) == "null" {
		return errParameters
	}
	var entries []map[string]json.RawMessage
	if json.Unmarshal(data, &entries) != nil {
		return errParameters
	}
	out := make(Parameters, 0, len(entries))
	index := make(map[string]int, len(entries))
	for _, e := range entries {
		q, err := parseParameter(e)
		if err != nil {
			return err
		}
		if i, dup := index[q.Key]; dup {
			out[i] = q
			continue
		}
		index[q.Key] = len(out)
		out = append(out, q)
	}
	*p = out
	return nil
}

func parseParameter(fields map[string]json.RawMessage) (q Parameter, err error) {
	if fields == nil || json.Unmarshal(fields["key"], &q.Key) != nil || string(fields["key"]) == "null" {
		return q, errParameters
	}
	value, ok := fields["value"]
	if !ok {
		return q, errParameters
	}
	q.Value = Compact(value)
	if raw, ok := fields["init"]; ok {
		if string(raw) == "null" || json.Unmarshal(raw, &q.Init) != nil {
			return q, errParameters
		}
	}
	if raw, ok := fields["encryption"]; ok {
		if json.Unmarshal(raw, &q.Encryption) != nil {
			return q, errParameters
		}
	}
	return q, nil
}

// MarshalJSON writes the array form.
func (p Parameters) MarshalJSON() ([]byte, error) { return p.AppendJSON(nil), nil }

// AppendJSON appends the array form; an empty list is [].
func (p Parameters) AppendJSON(dst []byte) []byte {
	dst = append(dst, '[')
	for i := range p {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"key":`...)
		dst = AppendString(dst, p[i].Key)
		dst = append(dst, `,"value":`...)
		dst = append(dst, p[i].Value...)
		if p[i].Init {
			dst = append(dst, `,"init":true`...)
		}
		if p[i].Encryption != "" {
			dst = append(dst, `,"encryption":`...)
			dst = AppendString(dst, p[i].Encryption)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}
