package web

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/controller/api"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

func TestParsePath(t *testing.T) {
	for path, want := range map[string]string{ // address, extension and rest
		"ns/default/page":               "ns/page .http ",
		"ns/default/page/":              "ns/page .http /",
		"ns/default/page.json":          "ns/page .json ",
		"ns/default/page.json/":         "ns/page .json /",
		"ns/default/page.json/x/y":      "ns/page .json /x/y",
		"ns/default/page//x":            "ns/page .http //x",
		"ns/default/page/a%2Fb/%20?":    "ns/page .http /a%2Fb/%20?",
		"ns/default/page/x.html":        "ns/page .http /x.html",
		"ns/pkg/page.html":              "ns/pkg/page .html ",
		"ns/pkg/page.svg":               "ns/pkg/page .svg ",
		"ns/pkg/page.text":              "ns/pkg/page .text ",
		"ns/pkg/page.http":              "ns/pkg/page .http ",
		"ns/pkg/page.xyz":               "ns/pkg/page.xyz .http ",
		"ns/pkg/page.JSON":              "ns/pkg/page.JSON .http ",
		"ns/pkg/page.json.html":         "ns/pkg/page.json .html ",
		"ns/pkg/page%2Ejson":            "ns/pkg/page .json ",
		"ns/pkg/my%20page.json":         "ns/pkg/my page .json ",
		"a@b.c/p%26q/x%2E%2E.json/..":   "a@b.c/p&q/x.. .json /..",
		"ns/Default/page":               "ns/Default/page .http ",
		"_/default/page":                "_/page .http ",
		"ns/default/json":               "ns/json .http ",
		"ns/default/page/rest.json/...": "ns/page .http /rest.json/...",
	} {
		got, err := parsePath(path)
		require.NoError(t, err, path)
		require.Equal(t, want, got.fqn().String()+" "+got.extension.suffix+" "+got.rest, path)
	}
	for path, want := range map[string]error{
		"": api.ErrNoRoute, "ns": api.ErrNoRoute, "ns/": api.ErrNoRoute, "ns/pkg": api.ErrNoRoute, "ns/pkg/": api.ErrNoRoute,
		"//": api.ErrNoRoute, "/pkg/page": api.ErrNoRoute, "ns//page": api.ErrNoRoute, "ns/pkg//page": api.ErrNoRoute,
		"ns/default/.json": store.ErrNotFound, "ns/default/a%2Fb": store.ErrNotFound, "ns/default/a%00": store.ErrNotFound,
		"ns/default/%zz": store.ErrNotFound, "ns/default/%FF": store.ErrNotFound, "ns/default/..": store.ErrNotFound,
		"ns%2Fdefault/default/page": store.ErrNotFound, "n%20s%20/default/page": store.ErrNotFound, "ns/a%2Fb/page": store.ErrNotFound,
		"ns/default/page%20": store.ErrNotFound, "ns/default/" + strings.Repeat("a", 257): store.ErrNotFound,
	} {
		_, err := parsePath(path)
		require.ErrorIs(t, err, want, path)
	}
}

func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{"ns/default/page.json/x/y", "ns/p%20q/a.b.http", "//", "ns/default/.json", "ns/pkg/%zz", "a/b/c%2f.text//"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := parsePath(path)
		if err != nil {
			require.Zero(t, got)
			require.True(t, err == api.ErrNoRoute || err == store.ErrNotFound, err)
			return
		}
		require.True(t, strings.HasSuffix(path, got.rest))
		require.True(t, got.rest == "" || got.rest[0] == '/')
		address, err := entity.ParseFQN(got.fqn().String())
		require.NoError(t, err)
		require.Equal(t, got.fqn(), address, "the address is a valid one")
		// The canonical spelling means the same.
		pkg := string(got.pkg)
		if pkg == "" {
			pkg = defaultPackage
		}
		same, err := parsePath(url.PathEscape(string(got.namespace)) + "/" + url.PathEscape(pkg) + "/" + url.PathEscape(string(got.name)) + got.extension.suffix + got.rest)
		require.NoError(t, err)
		require.Equal(t, got, same)
	})
}
