package contract

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// document is what is read of a Swagger 2.0 description.
type document struct {
	Swagger     string
	Produces    []string
	Paths       map[string]map[string]documentOperation
	Responses   map[string]documentResponse
	Definitions map[string]json.RawMessage
}

type documentOperation struct {
	OperationID string
	Produces    []string
	Responses   map[string]documentResponse
	Rest        bool `json:"x-rest"`
}

type documentResponse struct {
	Ref          string `json:"$ref"`
	Schema       json.RawMessage
	Alternatives []struct {
		When   string
		Schema json.RawMessage
	} `json:"x-alternatives"`
}

// Parse reads a description in Swagger 2.0 with the extensions x-oneOf,
// x-nullable, x-alternatives and x-rest.
func Parse(text []byte) (*Description, error) {
	// Schemas become those of OpenAPI 3, which has unions.
	replaced := strings.NewReplacer(`"x-oneOf"`, `"oneOf"`, `"x-nullable"`, `"nullable"`, "#/definitions/", "#/components/schemas/").Replace(string(text))
	var doc document
	if err := json.Unmarshal([]byte(replaced), &doc); err != nil {
		return nil, fmt.Errorf("API description: %w", err)
	}
	if doc.Swagger != "2.0" {
		return nil, fmt.Errorf("API description: swagger is %q, not 2.0", doc.Swagger)
	}
	d := new(Description)
	for path, item := range doc.Paths {
		r := route{path: path, segments: strings.Split(path, "/"), operations: map[string]*operation{}}
		for method, o := range item {
			r.operations[strings.ToUpper(method)] = doc.operation(o)
			r.rest = r.rest || o.Rest
		}
		d.routes = append(d.routes, r)
	}
	return d, d.loadSchemas(doc.Definitions)
}

// operation names the schemas of an operation's responses; those that are not
// definitions become ones.
func (doc *document) operation(o documentOperation) *operation {
	parsed := &operation{id: o.OperationID, produces: o.Produces, responses: map[string]*response{}}
	if len(parsed.produces) == 0 {
		parsed.produces = doc.Produces
	}
	for status, r := range o.Responses {
		if r.Ref != "" {
			r = doc.Responses[strings.TrimPrefix(r.Ref, "#/responses/")]
		}
		name := o.OperationID + "." + status
		one := &response{schema: doc.name(name, r.Schema)}
		for i, other := range r.Alternatives {
			one.alternatives = append(one.alternatives, alternative{other.When, doc.name(fmt.Sprintf("%s.%d", name, i), other.Schema)})
		}
		parsed.responses[status] = one
	}
	return parsed
}

// name returns the name of a schema's definition, "" if there is no schema.
func (doc *document) name(name string, schema json.RawMessage) string {
	if schema == nil {
		return ""
	}
	var reference struct {
		Ref string `json:"$ref"`
	}
	if json.Unmarshal(schema, &reference) == nil && reference.Ref != "" {
		return strings.TrimPrefix(reference.Ref, "#/components/schemas/")
	}
	doc.Definitions[name] = schema
	return name
}

func (d *Description) loadSchemas(definitions map[string]json.RawMessage) error {
	text, err := json.Marshal(map[string]any{
		"openapi": "3.0.3", "info": map[string]string{"title": "schemas", "version": "1"}, "paths": map[string]any{},
		"components": map[string]any{"schemas": definitions},
	})
	if err != nil {
		return fmt.Errorf("API description: %w", err)
	}
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(text)
	if err == nil {
		err = doc.Validate(loader.Context, openapi3.EnableSchemaPatternValidation())
	}
	if err != nil {
		return fmt.Errorf("schemas of the API description: %w", err)
	}
	d.schemas = doc.Components.Schemas
	return nil
}
