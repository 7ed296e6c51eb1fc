package apidoc

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

func TestTheDescriptionIsSwagger(t *testing.T) {
	text, err := JSON()
	require.NoError(t, err)
	var doc openapi2.T
	require.NoError(t, json.Unmarshal(text, &doc))
	converted, err := openapi2conv.ToV3(&doc)
	require.NoError(t, err)
	// Two paths differ by a slash at the end only, as in OpenWhisk.
	require.NoError(t, converted.Validate(t.Context(), openapi3.EnableSchemaPatternValidation()))
}

// Upstream's system tests look for these (openwhisk-rest-api.md 1.2).
func TestTheDescriptionHasWhatOpenWhisksTestsLookFor(t *testing.T) {
	text, err := JSON()
	require.NoError(t, err)
	require.Contains(t, string(text), `"swagger":`)
	for _, name := range []string{"ActionMeta", "ActionExecMeta", "RuleMeta", "TriggerMeta"} {
		require.Contains(t, string(text), `"#/definitions/`+name+`"`)
	}
}

func TestEveryReferenceResolves(t *testing.T) {
	description, err := assemble()
	require.NoError(t, err)
	text, err := JSON()
	require.NoError(t, err)
	used := map[string]bool{}
	for _, match := range regexp.MustCompile(`"#/([a-z]+)/([A-Za-z]+)"`).FindAllStringSubmatch(string(text), -1) {
		require.NotNilf(t, description.object(match[1]).object(match[2]), "%s", match[0])
		used[match[1]+"/"+match[2]] = true
	}
	for _, kind := range []string{"definitions", "parameters", "responses"} {
		description.object(kind).each(func(name string, _ any) {
			require.Truef(t, used[kind+"/"+name], "nothing refers to %s/%s", kind, name)
		})
	}
}

func TestEveryOperationIsWhole(t *testing.T) {
	description, err := assemble()
	require.NoError(t, err)
	tags, ids := map[string]bool{}, map[string]bool{}
	for _, tag := range description.list("tags") {
		tags[tag.(*object).text("name")] = true
	}
	variable := regexp.MustCompile(`\{(\w+)\}`)
	operations(description, func(method, path string, o *object) {
		name := method + " " + path
		id := o.text("operationId")
		require.NotEmptyf(t, id, "%s: operationId", name)
		require.Falsef(t, ids[id], "%s: operationId %s is used twice", name, id)
		ids[id] = true
		require.NotEmptyf(t, o.text("summary"), "%s: summary", name)
		require.Lenf(t, o.list("tags"), 1, "%s: tags", name)
		require.Truef(t, tags[o.list("tags")[0].(string)], "%s: its tag is not described", name)
		require.NotEmptyf(t, o.object("responses").keys, "%s: responses", name)

		var inPath, described []string
		for _, match := range variable.FindAllStringSubmatch(path, -1) {
			inPath = append(inPath, match[1])
		}
		for _, parameter := range o.list("parameters") {
			if p := resolve(description, parameter.(*object)); p.text("in") == "path" {
				described = append(described, p.text("name"))
				require.NotEmptyf(t, p.text("x-example"), "%s: parameter %s has no example", name, p.text("name"))
			}
		}
		require.Equalf(t, inPath, described, "%s: parameters of the path", name)
	})
}

func TestExamplesAreWhatTheirSchemasSay(t *testing.T) {
	text, err := JSON()
	require.NoError(t, err)
	// These extensions are fields of OpenAPI 3.
	text = []byte(strings.NewReplacer(`"x-oneOf"`, `"oneOf"`, `"x-nullable"`, `"nullable"`).Replace(string(text)))
	text = []byte(strings.ReplaceAll(string(text), "#/definitions/", "#/components/schemas/"))
	var doc struct {
		Definitions json.RawMessage `json:"definitions"`
	}
	require.NoError(t, json.Unmarshal(text, &doc))
	v3 := `{"openapi":"3.0.3","info":{"title":"x","version":"1"},"paths":{},"components":{"schemas":` + string(doc.Definitions) + `}}`
	loaded, err := openapi3.NewLoader().LoadFromData([]byte(v3))
	require.NoError(t, err)
	for name, s := range loaded.Components.Schemas {
		if s.Value.Example != nil {
			require.NoErrorf(t, s.Value.VisitJSON(s.Value.Example), "example of %s", name)
		}
	}
}

func TestThePageNeedsNothingElse(t *testing.T) {
	d, err := load()
	require.NoError(t, err)
	page := string(d.page)
	require.Contains(t, page, "<style>"+pageStyle+"</style>", "the policy's hash is that of the style")
	for _, forbidden := range []string{"<script", "<img", "<link", "@import", "url(", "style=", "javascript:", "src="} {
		require.NotContains(t, page, forbidden)
	}
	require.NotContains(t, page, "ZgotmplZ", "what html/template writes for what it does not trust")
	require.Contains(t, d.policy, "default-src 'none'")

	ids := map[string]bool{}
	for _, match := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		require.Falsef(t, ids[match[1]], "the id %s is there twice", match[1])
		ids[match[1]] = true
	}
	for _, match := range regexp.MustCompile(` href="#([^"]+)"`).FindAllStringSubmatch(page, -1) {
		require.Truef(t, ids[match[1]], "there is no id %s", match[1])
	}
	description, err := assemble()
	require.NoError(t, err)
	operations(description, func(_, _ string, o *object) {
		require.Truef(t, ids[o.text("operationId")], "the page lacks %s", o.text("operationId"))
	})
}

func TestMergingRefusesWhatIsThereTwice(t *testing.T) {
	a, err := parse([]byte("x: {y: 1, list: [1]}"))
	require.NoError(t, err)
	b, err := parse([]byte("x: {z: 2, list: [2]}"))
	require.NoError(t, err)
	require.NoError(t, a.merge(b))
	text, err := encode(a)
	require.NoError(t, err)
	require.Equal(t, `{"x":{"y":1,"list":[1,2],"z":2}}`, string(text))
	require.ErrorContains(t, a.merge(b), "z is there twice")
	_, err = parse([]byte("a: 1\na: 2"))
	require.Error(t, err)
	_, err = parse([]byte("[]"))
	require.Error(t, err)
}
