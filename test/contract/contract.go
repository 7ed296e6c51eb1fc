// Package contract checks a server's answers against the server's own API
// description: the route, the status, the media type and the body
// (openwhisk-rest-api.md section 1.2; the source is controller/apidoc/spec).
package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Answer is a response and what it was asked with.
type Answer struct {
	Method string
	Path   string // escaped, with query
	Status int
	Header http.Header
	Body   []byte
}

// Description answers for an API description. Safe for concurrent use.
type Description struct {
	routes  []route
	schemas openapi3.Schemas
}

// route is a path of the description.
type route struct {
	path       string
	segments   []string
	operations map[string]*operation // by upper-case method
	rest       bool                  // the path may go on
}

type operation struct {
	id        string
	produces  []string
	responses map[string]*response // by status or "default"
}

type response struct {
	schema       string // name in Description.schemas; "" means that there is no body
	alternatives []alternative
}

// alternative is another schema: the only one if the query parameter When is true,
// or with an empty When one more.
type alternative struct{ when, schema string }

// Operations calls f for each operation of the description.
func (d *Description) Operations(f func(method, path string)) {
	for _, r := range d.routes {
		for method := range r.operations {
			f(method, r.path)
		}
	}
}

// Check returns what the description does not allow about an answer.
func (d *Description) Check(a Answer) error {
	if err := d.check(a); err != nil {
		return fmt.Errorf("%s %.200s answered %d, which is not what the API description says: %w\nContent-Type: %s\nbody: %.1000s",
			a.Method, a.Path, a.Status, err, a.Header.Get("Content-Type"), a.Body)
	}
	return nil
}

func (d *Description) check(a Answer) error {
	if a.Header.Get("X-Request-Id") == "" {
		return errors.New("it has no header X-Request-ID")
	}
	path, query, _ := strings.Cut(a.Path, "?")
	found := d.find(path)
	var o *operation
	if found != nil {
		o = found.operations[a.Method]
	}
	if o == nil {
		return d.checkUnknown(a)
	}
	r := o.responses[strconv.Itoa(a.Status)]
	if r == nil {
		r = o.responses["default"]
	}
	if r == nil {
		return fmt.Errorf("%s has no status %d", o.id, a.Status)
	}
	err := d.checkBody(a, o, r, query)
	if other := o.responses["default"]; err != nil && other != nil && other != r {
		return d.checkBody(a, o, other, query)
	}
	return err
}

// checkUnknown: what is not described is refused, or is a preflight
// (openwhisk-rest-api.md 1.5 and 1.6).
func (d *Description) checkUnknown(a Answer) error {
	switch a.Status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnauthorized:
		if a.Method == http.MethodHead {
			return nil
		}
		return d.checkError(a)
	case http.StatusOK:
		if a.Method == http.MethodOptions {
			return nil
		}
	}
	return errors.New("it has no such operation")
}

// find returns the route of a path. A slash at the end may be left out unless it
// belongs to the route, and literal segments go before parameters.
func (d *Description) find(path string) *route {
	if r := d.match(path); r != nil || path == "/" {
		return r
	}
	return d.match(strings.TrimSuffix(path, "/"))
}

func (d *Description) match(path string) *route {
	segments := strings.Split(path, "/")
	var best *route
	for i := range d.routes {
		if r := &d.routes[i]; r.matches(segments) && (best == nil || r.parameters() < best.parameters()) {
			best = r
		}
	}
	return best
}

func (r *route) matches(segments []string) bool {
	if len(segments) < len(r.segments) || len(segments) > len(r.segments) && !r.rest {
		return false
	}
	for i, s := range r.segments {
		if s != segments[i] && (segments[i] == "" || !isParameter(s)) {
			return false
		}
	}
	return true
}

func (r *route) parameters() int {
	n := 0
	for _, s := range r.segments {
		if isParameter(s) {
			n++
		}
	}
	return n
}

func isParameter(segment string) bool { return strings.HasPrefix(segment, "{") }

func (d *Description) checkBody(a Answer, o *operation, r *response, query string) error {
	if r.schema == "" {
		if len(a.Body) > 0 {
			return fmt.Errorf("status %d of %s has no body", a.Status, o.id)
		}
		return nil
	}
	if r.schema == errorSchema {
		return d.checkError(a)
	}
	media := a.Header.Get("Content-Type")
	produced := ""
	for _, p := range o.produces {
		if p == media || p == "*/*" || p != jsonType && strings.HasPrefix(media, p+";") {
			produced = p
		}
	}
	switch produced {
	case "":
		return fmt.Errorf("%s answers %s", o.id, strings.Join(o.produces, ", "))
	case jsonType:
		return d.checkJSON(a, r.candidates(query))
	case "text/plain":
		return reason(d.schemas[r.schema].Value.VisitJSON(string(a.Body)))
	}
	return nil
}

// candidates are the schemas of which one must hold.
func (r *response) candidates(query string) []string {
	names := []string{r.schema}
	values, _ := url.ParseQuery(query) // cases send nonsense on purpose
	for _, other := range r.alternatives {
		switch {
		case other.when == "":
			names = append(names, other.schema)
		case isTrue(values.Get(other.when)):
			names[0] = other.schema
		}
	}
	return names
}

// isTrue: openwhisk-rest-api.md 1.7.
func isTrue(v string) bool {
	switch strings.ToLower(v) {
	case "true", "yes", "on", "1":
		return true
	}
	return false
}

func (d *Description) checkJSON(a Answer, schemas []string) error {
	var body any
	if err := json.Unmarshal(a.Body, &body); err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	var errs []error
	for _, name := range schemas {
		err := reason(d.schemas[name].Value.VisitJSON(body))
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("not %s: %w", name, err))
	}
	return errors.Join(errs...)
}

const (
	jsonType    = "application/json"
	errorSchema = "Error"
)

// checkError checks an error's envelope (openwhisk-rest-api.md 1.6).
func (d *Description) checkError(a Answer) error {
	if media := a.Header.Get("Content-Type"); media != jsonType {
		return errors.New("errors are " + jsonType)
	}
	if a.Method == http.MethodHead {
		return nil
	}
	if err := d.checkJSON(a, []string{errorSchema}); err != nil {
		return err
	}
	var e struct{ Code string }
	if err := json.NewDecoder(bytes.NewReader(a.Body)).Decode(&e); err != nil || e.Code != a.Header.Get("X-Request-Id") {
		return errors.New("the code of an error is the header X-Request-ID")
	}
	return nil
}

// reason shortens an error of a schema to where and why.
func reason(err error) error {
	var schema *openapi3.SchemaError
	if !errors.As(err, &schema) {
		return err
	}
	return fmt.Errorf("at /%s: %s", strings.Join(schema.JSONPointer(), "/"), schema.Reason)
}
