// Package docs holds the generated parts of the documentation against what generates
// them.
package docs

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// update rewrites the generated parts: go test ./… -run Docs -update
var update = flag.Bool("update", false, "rewrite the generated parts of the documentation")

// Check compares the part of a page below docs that is between the markers of a name
// with want, or writes it if the test was told to. root is the way to the project's
// directory.
func Check(t *testing.T, root, page, name, want string) {
	t.Helper()
	if name != "" {
		name = " " + name
	}
	begin, end := "<!-- generated:"+name+" begin -->\n", "<!-- generated:"+name+" end -->\n"
	path := filepath.Join(root, "docs", page)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), begin)
	got, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no lines %s and %s", page, begin, end)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("docs/%s is out of date; run: go test ./standalone/server ./controller ./invoker -run Docs -update\nwant:\n%s", page, want)
	}
}
