// Package apidoc is the description of the REST API, for programs (Swagger 2.0)
// and for people (a page made of it), and the routes that serve both
// (openwhisk-rest-api.md section 1.2).
//
// The source is spec: swagger.yaml has what collections share, one file for each
// collection the rest. Tests compare it with the routes that the controller has,
// and the conformance suite compares every answer with it.
package apidoc

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

//go:embed spec/*.yaml
var spec embed.FS

// files are the parts in the order of the page.
var files = []string{
	"swagger", "actions", "packages", "triggers", "rules", "webhooks", "activations", "web", "namespaces", "information",
}

// documents are the two forms of the description.
type documents struct {
	json, page []byte
	policy     string // Content-Security-Policy of the page
}

// load makes them when somebody asks for the first time: few servers are ever asked.
var load = sync.OnceValues(func() (*documents, error) {
	description, err := assemble()
	if err != nil {
		return nil, err
	}
	compact, err := encode(description)
	if err != nil {
		return nil, err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, compact, "", "  "); err != nil {
		return nil, err
	}
	page, policy, err := render(description)
	if err != nil {
		return nil, err
	}
	return &documents{json: indented.Bytes(), page: page, policy: policy}, nil
})

// JSON returns the description, Swagger 2.0. The caller must not change it.
func JSON() ([]byte, error) {
	d, err := load()
	if err != nil {
		return nil, err
	}
	return d.json, nil
}

// assemble puts the parts together.
func assemble() (*object, error) {
	whole := newObject()
	for _, name := range files {
		source, err := spec.ReadFile("spec/" + name + ".yaml")
		if err != nil {
			return nil, fmt.Errorf("API description: %w", err)
		}
		part, err := parse(source)
		if err == nil {
			err = whole.merge(part)
		}
		if err != nil {
			return nil, fmt.Errorf("API description, spec/%s.yaml: %w", name, err)
		}
	}
	return whole, expandErrors(whole)
}

// operations calls f for every operation, in order.
func operations(description *object, f func(method, path string, operation *object)) {
	description.object("paths").each(func(path string, item any) {
		item.(*object).each(func(method string, operation any) {
			f(strings.ToUpper(method), path, operation.(*object))
		})
	})
}

// expandErrors replaces each operation's list of errors by references to the
// shared responses, which are named after their status.
func expandErrors(description *object) (err error) {
	operations(description, func(method, path string, operation *object) {
		responses := operation.object("responses")
		for _, status := range operation.list("errors") {
			code, ok := status.(int)
			name := strings.ReplaceAll(http.StatusText(code), " ", "")
			if !ok || description.object("responses").object(name) == nil {
				err = fmt.Errorf("API description, %s %s: there is no shared response for the error %v", method, path, status)
				return
			}
			reference := newObject()
			reference.set("$ref", "#/responses/"+name)
			responses.set(fmt.Sprint(code), reference)
		}
		operation.remove("errors")
		slices.Sort(responses.keys) // "default" comes last
	})
	return err
}
