package actionproxy_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/runtimes/runtimetest"
)

// example is a block of code in the documentation that names its family.
var example = regexp.MustCompile("(?s)<!-- example: (\\w+)(?: main=(\\w+))? -->\n```\\w+\n(.*?\n)```\n")

// TestDocumentedExamples runs every language's first action as a reader would see it.
func TestDocumentedExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/runtimes.md")
	require.NoError(t, err)
	kinds := map[string]string{"native": "native:1", "shell": "shell:1"}
	for family, i := range interpreters(t) {
		kinds[family] = i.Kind
	}
	examples := example.FindAllStringSubmatch(string(page), -1)
	require.Len(t, examples, len(kinds))
	for _, e := range examples {
		family, main, code := e[1], e[2], e[3]
		t.Run(family, func(t *testing.T) {
			require.Contains(t, kinds, family)
			c := start(t, kinds[family], runtimetest.Options{})
			c.MustInit(t, runtimetest.Code{Main: main, Code: code})
			require.JSONEq(t, `{"greeting":"Hello, Ada!"}`, c.MustRun(t, `{"name":"Ada"}`))
		})
	}
}
