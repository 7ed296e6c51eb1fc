package contract

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

const description = `{
"swagger": "2.0", "produces": ["application/json"],
"paths": {
  "/things/{name}": {"get": {"operationId": "getThing", "responses": {
    "200": {"schema": {"$ref": "#/definitions/Thing"}},
    "204": {"description": "nothing"},
    "404": {"$ref": "#/responses/NotFound"}}}},
  "/things/{name}/": {"get": {"operationId": "listThings", "responses": {
    "200": {"schema": {"type": "array", "items": {"$ref": "#/definitions/Thing"}},
            "x-alternatives": [{"when": "count", "schema": {"$ref": "#/definitions/Count"}}, {"schema": {"type": "object", "required": ["odd"]}}]}}}},
  "/things/special": {"get": {"operationId": "getSpecial", "produces": ["text/plain"], "responses": {"200": {"schema": {"type": "string", "enum": ["OK"]}}}}},
  "/web/{name}": {"get": {"operationId": "web", "x-rest": true, "produces": ["*/*"], "responses": {"default": {"schema": {}}, "404": {"$ref": "#/responses/NotFound"}}}}
},
"responses": {"NotFound": {"schema": {"$ref": "#/definitions/Error"}}},
"definitions": {
  "Error": {"type": "object", "required": ["error", "code"], "additionalProperties": false, "properties": {"error": {"type": "string"}, "code": {"type": "string"}}},
  "Thing": {"type": "object", "required": ["binding"], "additionalProperties": false, "properties": {
    "binding": {"x-oneOf": [{"type": "boolean", "enum": [false]}, {"$ref": "#/definitions/Count"}]}, "value": {"x-nullable": true}}},
  "Count": {"type": "object", "required": ["things"], "additionalProperties": false, "properties": {"things": {"type": "integer"}}}
}}`

func TestCheck(t *testing.T) {
	d, err := Parse([]byte(description))
	require.NoError(t, err)
	const jsonType, textType = "application/json", "text/plain; charset=UTF-8"
	for _, c := range []struct {
		name, method, path string
		status             int
		media, body        string
		fault              string // "" if the answer is allowed
	}{
		{"an answer as described", "GET", "/things/a?x=%zz", 200, jsonType, `{"binding":false,"value":null}`, ""},
		{"the other side of a union", "GET", "/things/a", 200, jsonType, `{"binding":{"things":1}}`, ""},
		{"neither side", "GET", "/things/a", 200, jsonType, `{"binding":true}`, "at /binding"},
		{"a missing field", "GET", "/things/a", 200, jsonType, `{}`, `property "binding" is missing`},
		{"an unknown field", "GET", "/things/a", 200, jsonType, `{"binding":false,"more":1}`, `property "more" is unsupported`},
		{"no JSON", "GET", "/things/a", 200, jsonType, `{`, "not JSON"},
		{"another media type", "GET", "/things/a", 200, "text/html", `{"binding":false}`, "getThing answers application/json"},
		{"a parameter of the media type, which clients do not expect", "GET", "/things/a", 200, jsonType + "; charset=utf-8", `{"binding":false}`, "getThing answers"},
		{"an unknown status", "GET", "/things/a", 202, jsonType, `{}`, "getThing has no status 202"},
		{"a body where there is none", "GET", "/things/a", 204, "", `x`, "has no body"},
		{"none", "GET", "/things/a", 204, "", ``, ""},
		{"an error", "GET", "/things/a", 404, jsonType, `{"error":"x","code":"id"}`, ""},
		{"an error of another request", "GET", "/things/a", 404, jsonType, `{"error":"x","code":"other"}`, "X-Request-ID"},
		{"an error without code", "GET", "/things/a", 404, jsonType, `{"error":"x"}`, `property "code" is missing`},
		{"a list", "GET", "/things/a/", 200, jsonType, `[{"binding":false}]`, ""},
		{"a list where a number was asked for", "GET", "/things/a/?count=TRUE", 200, jsonType, `[{"binding":false}]`, "not Count"},
		{"a number", "GET", "/things/a/?count=true", 200, jsonType, `{"things":1}`, ""},
		{"a number where a list was asked for", "GET", "/things/a/?count=no", 200, jsonType, `{"things":1}`, "not listThings.200"},
		{"an alternative that is always there", "GET", "/things/a/", 200, jsonType, `{"odd":1}`, ""},
		{"a literal segment before a parameter", "GET", "/things/special", 200, textType, `OK`, ""},
		{"another text", "GET", "/things/special", 200, textType, `no`, "not one of the allowed values"},
		{"an operation of another verb that is refused", "PUT", "/things/a", 405, jsonType, `{"error":"x","code":"id"}`, ""},
		{"an operation that nobody knows", "PUT", "/things/a", 200, jsonType, `{}`, "no such operation"},
		{"a preflight", "OPTIONS", "/anything", 200, textType, `OK`, ""},
		{"a path that nobody knows", "GET", "/other", 404, jsonType, `{"error":"x","code":"id"}`, ""},
		{"a path that nobody knows, answered", "GET", "/other", 200, jsonType, `{}`, "no such operation"},
		{"whatever an action says, with a slash more", "GET", "/web/x/", 418, "image/png", "\x89PNG", ""},
		{"a path that goes on", "GET", "/web/x/y//z", 200, "image/png", "\x89PNG", ""},
		{"a path that does not reach", "GET", "/web/", 200, "image/png", "\x89PNG", "no such operation"},
		{"an action's own 404", "GET", "/web/x", 404, "text/html", "gone", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := http.Header{"X-Request-Id": {"id"}, "Content-Type": {c.media}}
			err := d.Check(Answer{c.method, c.path, c.status, header, []byte(c.body)})
			if c.fault == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.fault)
			require.ErrorContains(t, err, c.method+" "+c.path)
		})
	}
	require.ErrorContains(t, d.Check(Answer{"GET", "/things/a", 204, http.Header{}, nil}), "no header X-Request-ID")
}

func TestParseRefusesWhatIsNoSwagger(t *testing.T) {
	for _, text := range []string{``, `{}`, `{"swagger":"2.0","definitions":{"X":{"$ref":"#/definitions/Y"}}}`} {
		_, err := Parse([]byte(text))
		require.Error(t, err)
	}
}
