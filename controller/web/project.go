package web

import (
	"net/http"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/controller/api"
)

// answer is what a result becomes.
type answer struct {
	status int
	// header has the action's own fields; content-type is not among them.
	header []field
	// contentType is "" if there is no entity.
	contentType string
	// media is contentType without parameters, in lower case.
	media    string
	encoding encoding
	content  string
}

// encoding is how an answer's content is turned into an entity.
type encoding int

const (
	verbatim encoding = iota
	fromBase64
	asPrettyJSON
)

// extension is the end of an action's name in a URL, which says what its result is
// to become.
type extension struct {
	suffix string
	// project returns the answer or an *api.Error. It is pure, and the answer refers
	// to the value.
	project func(value gjson.Result) (answer, error)
}

// splitExtension splits a URL's segment into the name of an action and its
// extension; none is .http.
func splitExtension(segment string) (name string, e *extension) {
	for i := range extensions {
		if name, found := strings.CutSuffix(segment, extensions[i].suffix); found {
			return name, &extensions[i]
		}
	}
	return segment, &extensions[0]
}

// The extensions, by openwhisk-rest-api.md 18.5.
var extensions = []extension{
	{".http", projectHTTP},
	{".json", projectJSON},
	{".html", projectHTML},
	{".svg", projectSVG},
	{".text", projectText},
}

const (
	typeHTML = "text/html; charset=UTF-8"
	typeText = "text/plain; charset=UTF-8"
	typeSVG  = "image/svg+xml"
)

func projectJSON(value gjson.Result) (answer, error) {
	if !value.IsObject() && !value.IsArray() {
		return answer{}, api.WebInvalid(mediaJSON)
	}
	return answer{status: http.StatusOK, contentType: mediaJSON, media: mediaJSON, encoding: asPrettyJSON, content: value.Raw}, nil
}

func projectHTML(value gjson.Result) (answer, error) {
	page := value
	if value.Type != gjson.String {
		page, _ = property(value, "body", "html")
	}
	if page.Type != gjson.String {
		return answer{}, api.WebInvalid("text/html")
	}
	return answer{status: http.StatusOK, contentType: typeHTML, media: "text/html", content: page.Str}, nil
}

func projectSVG(value gjson.Result) (answer, error) {
	image := value
	if value.IsObject() {
		image, _ = property(value, "body", "svg")
	}
	if image.Type != gjson.String {
		return answer{}, api.WebInvalid(typeSVG)
	}
	return answer{status: http.StatusOK, contentType: typeSVG, media: typeSVG, content: image.Str}, nil
}

func projectText(value gjson.Result) (answer, error) {
	if value.IsObject() {
		var found bool
		if value, found = property(value, "body", "text"); !found {
			return answer{}, api.ErrWebNoProperty
		}
	}
	a := answer{status: http.StatusOK, contentType: typeText, media: "text/plain"}
	a.encoding, a.content = textOf(value)
	return a, nil
}

// textOf returns a string as it is, and other values as JSON.
func textOf(value gjson.Result) (encoding, string) {
	switch {
	case value.Type == gjson.String:
		return verbatim, value.Str
	case value.Type == gjson.JSON:
		return asPrettyJSON, value.Raw
	}
	return verbatim, value.Raw
}

// property returns the first of the properties that an object has. As for JSON
// parsers, the last of equal names counts.
func property(object gjson.Result, first, second string) (value gjson.Result, found bool) {
	if !object.IsObject() {
		return value, false
	}
	isFirst := false
	object.ForEach(func(key, v gjson.Result) bool {
		switch {
		case key.Str == first:
			value, found, isFirst = v, true, true
		case key.Str == second && !isFirst:
			value, found = v, true
		}
		return true
	})
	return value, found
}
