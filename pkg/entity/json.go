package entity

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// MalformedError is a violation of an entity's schema. Clients see its text
// behind "The request content was malformed:" and a newline.
type MalformedError struct{ Detail string }

func (e *MalformedError) Error() string { return e.Detail }

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. Unlike encoding/json it leaves <, >
// and & as they are (openwhisk-rest-api.md 1.4); invalid UTF-8 becomes U+FFFD.
func AppendString[S ~string | ~[]byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[start:i]...)
				dst = append(dst, `\ufffd`...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// EncodeJSON is json.Marshal without HTML escaping and without a trailing newline.
func EncodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Compact returns raw without insignificant white space. Invalid JSON is
// returned as it is.
func Compact(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}

// Truthy says whether an annotation's value counts as set: booleans as they
// are, numbers other than 0, strings other than "", everything else but null
// (openwhisk-rest-api.md 8.4). An empty raw value is not truthy.
func Truthy(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return false
	}
	switch raw[0] {
	case 'n', 'f':
		return false
	case '"':
		return string(raw) != `""`
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		var f float64
		return json.Unmarshal(raw, &f) != nil || f != 0
	}
	return true
}

// eachField calls f for the fields of a JSON object in their order.
func eachField(data []byte, f func(key string, value json.RawMessage) error) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return &MalformedError{"JSON object expected"}
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		if err := f(key.(string), value); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// MaxNesting bounds how deep what clients send and actions return may nest, as in
// OpenWhisk. It is read again inside of messages, records and whatever actions wrap
// around it, by parsers of which some are recursive and some stop at 10,000.
const MaxNesting = 1000

// IsTooDeep reports whether JSON, as far as it is valid, nests deeper than MaxNesting.
func IsTooDeep(json []byte) bool {
	if bytes.Count(json, []byte{'['})+bytes.Count(json, []byte{'{'}) <= MaxNesting {
		return false
	}
	depth, inString := 0, false
	for i := 0; i < len(json); i++ {
		switch c := json[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			if depth++; depth > MaxNesting {
				return true
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return false
}
