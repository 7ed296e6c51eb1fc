package apidoc

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"regexp"
	"strings"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

// pageView is what page.html shows.
type pageView struct {
	Title, Version string
	Description    template.HTML
	Style          template.CSS
	Groups         []*group
	Schemas        []schema
}

// group is a collection.
type group struct {
	Name, Anchor string
	Description  template.HTML
	Operations   []operation
}

type operation struct {
	Method, Path, Anchor, Summary string
	Description                   template.HTML
	IsOpen                        bool // needs no credentials
	Parameters                    []field
	Body                          []run
	BodyRequired                  bool
	Responses                     []response
	Curl                          string
	Like                          []verb // other methods that do the same
}

// verb is a method, and where the page speaks of it.
type verb struct{ Method, Anchor string }

type response struct {
	Status      string
	Description template.HTML
	Schema      []run
}

// schema is a definition.
type schema struct {
	Name        string
	Type        []run
	Description template.HTML
	Fields      []field
	Example     string
}

// field is a parameter of an operation or a property of a schema.
type field struct {
	Name, In, Default string
	Type              []run
	Required          bool
	Description       template.HTML
}

// run is a piece of a type's name; Schema is the definition that it links to.
type run struct{ Text, Schema string }

// render makes the page and its Content-Security-Policy, which allows the page's
// own style and nothing else.
func render(description *object) (page []byte, policy string, err error) {
	tmpl, err := template.New("page").Parse(pageSource)
	if err != nil {
		return nil, "", err
	}
	info := description.object("info")
	view := pageView{
		Title: info.text("title"), Version: info.text("version"), Description: prose(info.text("description")),
		Style: template.CSS(pageStyle), Groups: groups(description),
	}
	description.object("definitions").each(func(name string, definition any) {
		view.Schemas = append(view.Schemas, schemaOf(name, definition.(*object)))
	})
	var b bytes.Buffer
	if err := tmpl.Execute(&b, view); err != nil {
		return nil, "", fmt.Errorf("page of the API description: %w", err)
	}
	hash := sha256.Sum256([]byte(pageStyle))
	policy = "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return b.Bytes(), policy, nil
}

// groups sorts the operations into the collections that their tags name.
func groups(description *object) []*group {
	var all []*group
	byName, like := map[string]*group{}, map[string][]verb{}
	for _, tag := range description.list("tags") {
		tag := tag.(*object)
		g := &group{Name: tag.text("name"), Anchor: anchor(tag.text("name")), Description: prose(tag.text("description"))}
		all, byName[g.Name] = append(all, g), g
	}
	operations(description, func(method, path string, o *object) {
		if other := o.text("x-like"); other != "" {
			like[other] = append(like[other], verb{method, o.text("operationId")})
			return
		}
		if tags := o.list("tags"); len(tags) > 0 {
			if g := byName[tags[0].(string)]; g != nil {
				g.Operations = append(g.Operations, operationOf(description, method, path, o))
			}
		}
	})
	for _, g := range all {
		for i := range g.Operations {
			g.Operations[i].Like = like[g.Operations[i].Anchor]
		}
	}
	return all
}

func operationOf(description *object, method, path string, o *object) operation {
	security, explicit := o.value("security").([]any)
	shown := operation{
		Method: method, Path: path, Anchor: o.text("operationId"), Summary: o.text("summary"),
		Description: prose(o.text("description")), IsOpen: explicit && len(security) == 0,
		Curl: curl(description, method, path, o),
	}
	for _, parameter := range o.list("parameters") {
		p := resolve(description, parameter.(*object))
		if p.text("in") == "body" {
			shown.Body, shown.BodyRequired = typeOf(p.object("schema")), p.value("required") == true
			continue
		}
		shown.Parameters = append(shown.Parameters, fieldOf(p.text("name"), p, p.value("required") == true))
	}
	o.object("responses").each(func(status string, value any) {
		r := resolve(description, value.(*object))
		one := response{Status: status, Description: prose(r.text("description"))}
		if s := r.object("schema"); s != nil {
			one.Schema = typeOf(s)
		}
		for _, alternative := range r.list("x-alternatives") {
			alternative := alternative.(*object)
			text := ", or "
			if when := alternative.text("when"); when != "" {
				text = ", with " + when + " "
			}
			one.Schema = append(append(one.Schema, run{Text: text}), typeOf(alternative.object("schema"))...)
		}
		shown.Responses = append(shown.Responses, one)
	})
	return shown
}

func schemaOf(name string, definition *object) schema {
	s := schema{Name: name, Description: prose(definition.text("description")), Type: typeOf(definition)}
	required := map[any]bool{}
	for _, key := range definition.list("required") {
		required[key] = true
	}
	definition.object("properties").each(func(key string, property any) {
		s.Fields = append(s.Fields, fieldOf(key, property.(*object), required[key]))
	})
	if example, ok := definition.values["example"]; ok {
		s.Example = pretty(example)
	}
	return s
}

func fieldOf(name string, o *object, required bool) field {
	f := field{Name: name, In: o.text("in"), Type: typeOf(o), Required: required, Description: prose(o.text("description"))}
	if value, ok := o.values["default"]; ok {
		f.Default = fmt.Sprint(value)
	}
	return f
}

// resolve follows a reference to a shared parameter or response.
func resolve(description *object, o *object) *object {
	if ref := o.text("$ref"); ref != "" {
		kind, name, _ := strings.Cut(strings.TrimPrefix(ref, "#/"), "/")
		return description.object(kind).object(name)
	}
	return o
}

// typeOf names the type of a schema, with links to definitions.
func typeOf(s *object) []run {
	if ref := s.text("$ref"); ref != "" {
		name := strings.TrimPrefix(ref, "#/definitions/")
		return []run{{name, name}}
	}
	if union := s.list("x-oneOf"); len(union) > 0 {
		var runs []run
		for i, one := range union {
			if i > 0 {
				runs = append(runs, run{Text: " or "})
			}
			runs = append(runs, typeOf(one.(*object))...)
		}
		return runs
	}
	if enum := s.list("enum"); len(enum) > 0 {
		texts := make([]string, len(enum))
		for i, value := range enum {
			texts[i] = pretty(value)
		}
		return []run{{Text: strings.Join(texts, " | ")}}
	}
	kind := s.text("type")
	switch {
	case kind == "array" && s.object("items") != nil:
		return append([]run{{Text: "array of "}}, typeOf(s.object("items"))...)
	case kind == "object" && s.object("additionalProperties") != nil:
		return append([]run{{Text: "object of "}}, typeOf(s.object("additionalProperties"))...)
	case kind == "":
		return []run{{Text: "any"}}
	}
	low, hasLow := s.values["minimum"]
	high, hasHigh := s.values["maximum"]
	switch {
	case hasLow && hasHigh:
		kind += fmt.Sprintf(", %v to %v", low, high)
	case hasLow && low != 0:
		kind += fmt.Sprintf(", at least %v", low)
	}
	return []run{{Text: kind}}
}

var (
	codeSpan   = regexp.MustCompile("`([^`]+)`")
	paragraphs = regexp.MustCompile(`\n\s*\n`)
)

// prose turns a description into HTML: blank lines part paragraphs, backquotes
// mark code.
func prose(text string) template.HTML {
	text = strings.TrimSpace(text)
	if text == "" {
		return ""
	}
	var b strings.Builder
	for _, p := range paragraphs.Split(text, -1) {
		b.WriteString("<p>" + codeSpan.ReplaceAllString(template.HTMLEscapeString(p), "<code>$1</code>") + "</p>")
	}
	return template.HTML(b.String()) // escaped above
}

// anchor is a fragment of a URL.
func anchor(name string) string { return strings.ReplaceAll(strings.ToLower(name), " ", "-") }
