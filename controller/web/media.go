package web

import (
	"mime"
	"strings"
)

// media is a media type as far as web actions care.
type media struct {
	// name is "type/subtype" in lower case.
	name       string
	hasCharset bool
}

// parseMedia reads the value of a Content-Type header; false if it is none.
func parseMedia(header string) (media, bool) {
	switch header { // what most send, without parsing
	case mediaJSON, "text/html", "text/plain":
		return media{name: header}, true
	}
	name, parameters, err := mime.ParseMediaType(header)
	if err != nil {
		return media{}, false
	}
	if kind, subtype, found := strings.Cut(name, "/"); !found || kind == "" || subtype == "" || strings.ContainsAny(name, "* ,") {
		return media{}, false
	}
	_, hasCharset := parameters["charset"]
	return media{name, hasCharset}, true
}

const (
	mediaJSON = "application/json"
	mediaForm = "application/x-www-form-urlencoded"
)

// isJSON: the JSON family.
func (m media) isJSON() bool { return m.name == mediaJSON || strings.HasSuffix(m.name, "+json") }

// isText says whether bodies of the type are text; others travel as base64. Types
// that nobody has registered are text if they name a charset
// (openwhisk-rest-api.md 18.5).
func (m media) isText() bool {
	kind, subtype, _ := strings.Cut(m.name, "/")
	switch kind {
	case "text":
		return true
	case "image", "audio", "video", "font", "multipart":
		return false
	}
	if m.isJSON() || strings.HasSuffix(subtype, "+xml") || textual[m.name] {
		return true
	}
	return m.hasCharset && !binary[m.name]
}

// textual are the registered types outside text/ that are text, without the
// families +json and +xml.
var textual = map[string]bool{
	"application/xml": true, "application/xml-dtd": true, "application/javascript": true, "application/x-javascript": true,
	"application/ecmascript": true, "application/x-tex": true, "application/x-texinfo": true, mediaForm: true,
}

// binary are registered types that are binary whatever charset they name.
var binary = map[string]bool{
	"application/octet-stream": true, "application/pdf": true, "application/zip": true, "application/gzip": true, "application/x-gzip": true,
	"application/x-tar": true, "application/x-bzip2": true, "application/x-7z-compressed": true, "application/x-rar-compressed": true,
	"application/java-archive": true, "application/wasm": true, "application/msword": true, "application/vnd.ms-excel": true,
	"application/font-woff": true, "application/x-shockwave-flash": true,
}
