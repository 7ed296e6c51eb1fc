// Package architecture checks the rules of the house that the compiler does
// not: who may import whom, that packages introduce themselves, and that files
// stay short enough to be read.
package architecture

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"
)

const (
	module       = "github.com/gowhisk/gowhisk"
	maxFileLines = 500
)

// forbidden says which rooms may not import which others. standalone puts all
// of them together; test may look at anything.
var forbidden = []struct{ importer, imported, why string }{
	{"controller", "invoker", "the two services meet on the bus only"},
	{"invoker", "controller", "the two services meet on the bus only"},
	{"pkg", "controller", "what both sides share knows neither"},
	{"pkg", "invoker", "what both sides share knows neither"},
	{"pkg", "runtimes", "runtimes are a part of their own"},
	{"runtimes", "controller", "the action proxy runs alone, in a container"},
	{"runtimes", "invoker", "the action proxy runs alone, in a container"},
	{"controller", "standalone", "standalone is made of the services, not the other way round"},
	{"invoker", "standalone", "standalone is made of the services, not the other way round"},
	{"pkg", "standalone", "standalone is made of the services, not the other way round"},
	{"runtimes", "standalone", "standalone is made of the services, not the other way round"},
	{"controller", "test", "products do not need their tests"},
	{"invoker", "test", "products do not need their tests"},
	{"pkg", "test", "products do not need their tests"},
	{"runtimes", "test", "products do not need their tests"},
	{"standalone", "test", "products do not need their tests"},
}

func TestImports(t *testing.T) {
	for _, p := range load(t) {
		for imported := range p.Imports {
			for _, rule := range forbidden {
				if rule.imported == "test" && isTest(p) {
					continue // a product's tests may use what tests share
				}
				if isIn(p.PkgPath, rule.importer) && isIn(imported, rule.imported) {
					t.Errorf("%s imports %s: %s", p.PkgPath, imported, rule.why)
				}
			}
		}
	}
}

// isTest reports whether a package was loaded with its tests, or is nothing but tests.
func isTest(p *packages.Package) bool {
	return p.ID != p.PkgPath || strings.HasSuffix(p.PkgPath, "_test") || strings.HasSuffix(p.PkgPath, ".test")
}

func TestPackagesIntroduceThemselves(t *testing.T) {
	files := map[string][]string{}
	for _, p := range load(t) {
		// An external test package is introduced by the package that it tests.
		if !strings.HasSuffix(p.PkgPath, "_test") {
			files[p.PkgPath] = append(files[p.PkgPath], p.GoFiles...)
		}
	}
	for path, sources := range files {
		if len(sources) > 0 && !hasComment(t, sources) {
			t.Errorf("package %s has no package comment", path)
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	root := moduleRoot(t)
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "build") {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if lines := bytes.Count(content, []byte("\n")); lines > maxFileLines {
			short, _ := filepath.Rel(root, path)
			t.Errorf("%s has %d lines, more than %d: split it", short, lines, maxFileLines)
		}
		return nil
	}))
}

// load returns the module's packages with their tests: for a package with
// tests there is one entry without and one with them.
func load(t *testing.T) []*packages.Package {
	t.Helper()
	found, err := packages.Load(&packages.Config{
		Mode:  packages.NeedName | packages.NeedFiles | packages.NeedImports,
		Dir:   moduleRoot(t),
		Tests: true,
	}, "./...")
	require.NoError(t, err)
	require.Zero(t, packages.PrintErrors(found), "packages that do not load")
	// The generated main of a test binary is nobody's code.
	own := found[:0]
	for _, p := range found {
		if !strings.HasSuffix(p.PkgPath, ".test") {
			own = append(own, p)
		}
	}
	return own
}

// isIn reports whether a package is below a top-level directory of the module.
func isIn(path, room string) bool {
	return strings.HasPrefix(path+"/", module+"/"+room+"/")
}

func hasComment(t *testing.T, files []string) bool {
	t.Helper()
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		require.NoError(t, err)
		if parsed.Doc != nil {
			return true
		}
	}
	return false
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		require.NotEqual(t, parent, dir, "no go.mod above the test")
		dir = parent
	}
}
