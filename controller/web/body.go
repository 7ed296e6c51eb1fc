package web

import (
	"encoding/base64"
	"errors"

	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// body is a request's entity as an action gets it (openwhisk-rest-api.md 18.3): at
// most one of the fields is set.
type body struct {
	// object is a JSON object whose fields become arguments.
	object []byte
	// form has the fields of a form, which become arguments.
	form fields
	// value is JSON for __ow_body.
	value []byte
}

// decodeBody reads an entity by its Content-Type; raw actions get it as it came. Its
// error is an *entity.MalformedError. The body refers to content.
func decodeBody(contentType string, content []byte, raw bool) (body, error) {
	if len(content) == 0 {
		if raw {
			return body{value: []byte(`""`)}, nil
		}
		return body{}, nil
	}
	m, _ := parseMedia(contentType) // none, or an unreadable one, is binary
	switch {
	case raw && m.name == mediaJSON:
		// OpenWhisk's raw actions get JSON, and no other text, as base64.
		return body{value: quoteBase64(content)}, nil
	case !raw && m.isJSON():
		return decodeJSON(content)
	case !raw && m.name == mediaForm:
		return body{form: parseFields(string(content))}, nil
	case m.isText():
		return body{value: entity.AppendString(make([]byte, 0, len(content)+2), content)}, nil
	}
	return body{value: quoteBase64(content)}, nil
}

func decodeJSON(content []byte) (body, error) {
	trimmed := content
	for len(trimmed) > 0 && isSpace(trimmed[0]) {
		trimmed = trimmed[1:]
	}
	for len(trimmed) > 0 && isSpace(trimmed[len(trimmed)-1]) {
		trimmed = trimmed[:len(trimmed)-1]
	}
	if len(trimmed) == 0 {
		return body{}, nil
	}
	switch err := invoke.ValidObject(trimmed); {
	case err == nil:
		return body{object: trimmed}, nil
	case errors.Is(err, invoke.ErrNotObject):
		return body{value: trimmed}, nil
	default:
		return body{}, &entity.MalformedError{Detail: err.Error()}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func quoteBase64(content []byte) []byte {
	text := make([]byte, 0, base64.StdEncoding.EncodedLen(len(content))+2)
	text = append(text, '"')
	text = base64.StdEncoding.AppendEncode(text, content)
	return append(text, '"')
}
