package couchdb

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Databases that keep JSON as values of their own language change its spelling, and some
// of its values: numbers become doubles, escapes letters, and of two equal keys one
// goes. What a client sent has to come back as it was, so a document that would not
// survive has a field of ours beside OpenWhisk's, exactField, with its text as a string;
// OpenWhisk's own fields have what comes closest.
const (
	exactField = "exact"
	// exactValue is the only key of an annotation's value that stands for another one:
	// lists have annotations, and nothing else of a document.
	exactValue = "$exact"
)

// faithful returns the document as it can be stored, without _id and _rev.
func faithful(document []byte) ([]byte, error) {
	if survives(document) {
		return document, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var fields map[string]any
	if err := decoder.Decode(&fields); err != nil {
		return nil, err
	}
	// Decoded again with their values' text; null annotations are none in both.
	var annotations struct {
		Annotations []struct {
			Key   string          `json:"key"`
			Value json.RawMessage `json:"value"`
		} `json:"annotations"`
	}
	if err := json.Unmarshal(document, &annotations); err != nil {
		return nil, err
	}
	closest := approximate(fields).(map[string]any)
	list, _ := closest["annotations"].([]any)
	for i, a := range annotations.Annotations {
		item, ok := list[i].(map[string]any)
		switch {
		case !ok:
		case survives(a.Value):
			item["value"] = a.Value // with its keys in their order
		default:
			item["value"] = map[string]any{exactValue: string(a.Value)}
		}
	}
	closest[exactField] = string(document)
	return entity.EncodeJSON(closest)
}

// approximate replaces numbers by what databases can keep.
func approximate(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = approximate(value)
		}
	case []any:
		for i, value := range v {
			v[i] = approximate(value)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil && !math.IsInf(f, 0) {
			return f
		}
		return v.String()
	}
	return v
}

// original returns the text that was given to faithful, or the document itself.
func original(stored []byte) ([]byte, error) {
	var f struct {
		Exact *string `json:"exact"`
	}
	if !bytes.Contains(stored, []byte(`"`+exactField+`"`)) {
		return stored, nil
	}
	if err := json.Unmarshal(stored, &f); err != nil {
		return nil, err
	}
	if f.Exact == nil {
		return stored, nil
	}
	return []byte(*f.Exact), nil
}

// restore returns annotations as they were before faithful.
func restore(annotations entity.Parameters) entity.Parameters {
	for i, a := range annotations {
		if !bytes.Contains(a.Value, []byte(exactValue)) {
			continue
		}
		var only map[string]json.RawMessage
		var text string
		if json.Unmarshal(a.Value, &only) == nil && len(only) == 1 && json.Unmarshal(only[exactValue], &text) == nil && json.Valid([]byte(text)) {
			annotations[i].Value = json.RawMessage(text)
		}
	}
	return annotations
}

// survives reports whether JSON comes out of every database as it went in. It may say
// no where yes is true.
func survives(text []byte) bool {
	s := survey{text: text}
	return s.value(0) && s.at == len(text)
}

// survey walks over valid JSON.
type survey struct {
	text []byte
	at   int
}

const maxSurveyDepth = 200

func (s *survey) value(depth int) bool {
	if s.at >= len(s.text) || depth > maxSurveyDepth {
		return false
	}
	switch c := s.text[s.at]; {
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.array(depth)
	case c == '"':
		_, ok := s.string()
		return ok
	case c == 't', c == 'n':
		s.at += 4
		return s.at <= len(s.text)
	case c == 'f':
		s.at += 5
		return s.at <= len(s.text)
	}
	return s.number()
}

func (s *survey) skip(c byte) bool {
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *survey) object(depth int) bool {
	s.at++
	if s.skip('}') {
		return true
	}
	var keys [][]byte
	for {
		if s.at >= len(s.text) || s.text[s.at] != '"' {
			return false
		}
		key, ok := s.string()
		if !ok || !isPlainKey(key) || len(keys) >= 256 {
			return false
		}
		for _, k := range keys {
			if bytes.Equal(k, key) {
				return false
			}
		}
		keys = append(keys, key)
		if !s.skip(':') || !s.value(depth+1) {
			return false
		}
		if s.skip('}') {
			return true
		}
		if !s.skip(',') {
			return false
		}
	}
}

// isPlainKey: JavaScript moves keys that are numbers to the front, and has one that is
// not like the others; and a user's value must not be taken for one of ours.
func isPlainKey(key []byte) bool {
	if len(key) > 0 && key[0] >= '0' && key[0] <= '9' {
		return false
	}
	return string(key) != "__proto__" && string(key) != exactValue
}

func (s *survey) array(depth int) bool {
	s.at++
	if s.skip(']') {
		return true
	}
	for {
		if !s.value(depth + 1) {
			return false
		}
		if s.skip(']') {
			return true
		}
		if !s.skip(',') {
			return false
		}
	}
}

// string accepts the escapes that there is one spelling of.
func (s *survey) string() (text []byte, ok bool) {
	begin := s.at + 1
	for i := begin; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			s.at = i + 1
			text = s.text[begin:i]
			return text, utf8.Valid(text) && !bytes.Contains(text, []byte("\u2028")) && !bytes.Contains(text, []byte("\u2029"))
		case c == '\\':
			i++
			if i >= len(s.text) || !bytes.ContainsRune([]byte(`"\nrtbf`), rune(s.text[i])) {
				return nil, false
			}
		case c < 0x20 || c == 0x7f:
			return nil, false
		}
	}
	return nil, false
}

// number accepts integers that a double holds and short decimal fractions.
func (s *survey) number() bool {
	begin := s.at
	for s.at < len(s.text) && (s.text[s.at] == '-' || s.text[s.at] == '.' || s.text[s.at] >= '0' && s.text[s.at] <= '9') {
		s.at++
	}
	text := s.text[begin:s.at]
	if len(text) == 0 || len(text) > 15 || s.at < len(s.text) && (s.text[s.at]|0x20 == 'e' || s.text[s.at] == '+') {
		return false
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || f == 0 && len(text) > 1 || f != 0 && math.Abs(f) < 1e-3 {
		return false
	}
	return string(text) == strconv.FormatFloat(f, 'f', -1, 64)
}
