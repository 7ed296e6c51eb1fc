package web

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
	"golang.org/x/net/http/httpguts"

	"github.com/gowhisk/gowhisk/controller/api"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

var errNotHTTP = api.WebInvalid("message/http")

// projectHTTP makes an answer of {"statusCode", "headers", "body"}
// (openwhisk-rest-api.md 18.5). An array has none of them and is answered as JSON.
func projectHTTP(value gjson.Result) (answer, error) {
	if value.IsArray() {
		return projectJSON(value)
	}
	if !value.IsObject() {
		return answer{}, errNotHTTP
	}
	var code, headers, content gjson.Result
	value.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "statusCode":
			code = v
		case "headers":
			headers = v
		case "body":
			content = v
		}
		return true
	})
	var a answer
	var ok bool
	if a.status, ok = statusCode(code); !ok {
		return answer{}, errNotHTTP
	}
	contentType, ok := a.setHeader(headers)
	if !ok {
		return answer{}, errNotHTTP
	}
	if content.Type == gjson.Null || content.Type == gjson.String && content.Str == "" {
		if a.status == 0 {
			a.status = http.StatusNoContent
		}
		return a, nil
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a, a.setContent(contentType, content)
}

// statusCode reads a status; 0 if there is none. Those below 200 are refused: they
// end no HTTP exchange.
func statusCode(v gjson.Result) (int, bool) {
	var code int
	switch v.Type {
	case gjson.Null:
		return 0, !v.Exists()
	case gjson.Number:
		f, err := strconv.ParseFloat(v.Raw, 64)
		if err != nil || f != float64(int(f)) {
			return 0, false
		}
		code = int(f)
	case gjson.String:
		n, err := strconv.Atoi(v.Str)
		if err != nil {
			return 0, false
		}
		code = n
	default:
		return 0, false
	}
	return code, code >= http.StatusOK && code <= 599
}

// setHeader reads the headers and returns the content type, which is not one of
// them. It reports false where a name or a value is none.
func (a *answer) setHeader(headers gjson.Result) (contentType gjson.Result, ok bool) {
	if !headers.Exists() {
		return contentType, true
	}
	ok = headers.IsObject()
	headers.ForEach(func(key, v gjson.Result) bool {
		if !httpguts.ValidHeaderFieldName(key.Str) {
			ok = false
			return false
		}
		name := http.CanonicalHeaderKey(key.Str)
		ok = ok && eachValue(v, maxHeaderNesting, func(one gjson.Result) bool {
			text := valueText(one)
			if !httpguts.ValidHeaderFieldValue(text) {
				return false
			}
			switch {
			case name == "Content-Type":
				if !contentType.Exists() {
					contentType = one
				}
			case !ownedByServer[name]:
				a.header = append(a.header, field{name, text})
			}
			return true
		})
		return ok
	})
	return contentType, ok
}

// ownedByServer are headers that describe the connection or the exchange, not the
// action's answer: an action's are ignored. OpenWhisk ignores Date and Server, too.
var ownedByServer = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"Content-Length": true, "Date": true, "Server": true, "X-Request-Id": true, "X-Openwhisk-Activation-Id": true,
}

// maxHeaderNesting bounds arrays in arrays of header values.
const maxHeaderNesting = 8

// eachValue calls f with a header's value, or with each of an array of values, until
// f returns false. It reports false then, and for what is no value.
func eachValue(v gjson.Result, nesting int, f func(gjson.Result) bool) bool {
	if v.IsArray() && nesting > 0 {
		ok := true
		v.ForEach(func(_, one gjson.Result) bool {
			ok = eachValue(one, nesting-1, f)
			return ok
		})
		return ok
	}
	if v.Type == gjson.Null || v.Type == gjson.JSON {
		return false
	}
	return f(v)
}

// valueText is the text of a string, or a number or boolean as it is spelled.
func valueText(v gjson.Result) string {
	if v.Type == gjson.String {
		return v.Str
	}
	return v.Raw
}

// setContent chooses content type and encoding of a body that is not empty.
func (a *answer) setContent(header, content gjson.Result) error {
	if content.Type != gjson.String {
		return a.setJSON(header, content)
	}
	if !header.Exists() {
		a.contentType, a.media, a.content = typeHTML, "text/html", content.Str
		return nil
	}
	a.contentType, a.content = valueText(header), content.Str
	m, ok := parseMedia(a.contentType)
	if !ok {
		return api.ErrWebContentType
	}
	a.media = m.name
	switch {
	case m.isJSON():
		if entity.IsBinary(a.content) {
			// OpenWhisk's actions used to return JSON as base64; some still do.
			a.encoding, a.content = fromBase64, strings.TrimSpace(a.content)
		}
	case m.isText():
		if !m.hasCharset {
			a.contentType += "; charset=UTF-8"
		}
	default:
		a.encoding = fromBase64
	}
	if a.encoding == fromBase64 {
		if a.content, ok = unpadded(a.content); !ok {
			return api.ErrWebContentMismatch
		}
	}
	return nil
}

// setJSON is setContent for a body that is no string.
func (a *answer) setJSON(header, content gjson.Result) error {
	a.contentType, a.media = mediaJSON, mediaJSON
	if header.Exists() {
		a.contentType = valueText(header)
		m, ok := parseMedia(a.contentType)
		if !ok {
			return api.ErrWebContentType
		}
		if a.media = m.name; !m.isJSON() {
			return api.ErrWebContentMismatch
		}
	}
	a.encoding, a.content = asPrettyJSON, content.Raw
	return nil
}

// unpadded checks base64, with or without its padding, and returns it without.
func unpadded(text string) (string, bool) {
	body := strings.TrimSuffix(strings.TrimSuffix(text, "="), "=")
	if len(body)%4 == 1 || len(body) != len(text) && len(text)%4 != 0 {
		return "", false
	}
	for i := range len(body) {
		if c := body[i]; !isBase64[c] {
			return "", false
		}
	}
	return body, true
}

var isBase64 = func() (table [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" {
		table[c] = true
	}
	return table
}()
