package apidoc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// curl is a command that calls an operation, with the examples of its parameters.
// $APIHOST and $AUTH are the reader's.
func curl(description *object, method, path string, o *object) string {
	var b strings.Builder
	b.WriteString("curl")
	if security, explicit := o.value("security").([]any); !explicit || len(security) > 0 {
		b.WriteString(` -u "$AUTH"`)
	}
	if method != "GET" {
		b.WriteString(" -X " + method)
	}
	body := ""
	for _, parameter := range o.list("parameters") {
		p := resolve(description, parameter.(*object))
		switch p.text("in") {
		case "path":
			path = strings.ReplaceAll(path, "{"+p.text("name")+"}", p.text("x-example"))
		case "header":
			if example := p.text("x-example"); example != "" {
				b.WriteString(" \\\n  -H " + quoted(p.text("name")+": "+example))
			}
		case "body":
			if example := exampleOf(description, p.object("schema")); example != nil {
				body = compact(example)
			}
		}
	}
	if body != "" {
		b.WriteString(" \\\n  -H 'Content-Type: application/json' -d " + quoted(body))
	}
	if query := o.text("x-query"); query != "" {
		path += "?" + query
	}
	b.WriteString(" \\\n  \"$APIHOST" + path + `"`)
	return b.String()
}

// exampleOf is the example of a schema or of the definition that it refers to.
func exampleOf(description, s *object) any {
	if ref := s.text("$ref"); ref != "" {
		s = description.object("definitions").object(strings.TrimPrefix(ref, "#/definitions/"))
	}
	return s.value("example")
}

// quoted is one word of a shell's command.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func compact(v any) string {
	text, err := encode(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

// pretty is JSON for people.
func pretty(v any) string {
	text := compact(v)
	if len(text) < 60 {
		return text
	}
	var b bytes.Buffer
	if json.Indent(&b, []byte(text), "", "  ") != nil {
		return text
	}
	return b.String()
}
