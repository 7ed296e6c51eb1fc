package conformance

import (
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// keys are the top-level keys of an object, sorted.
func keys(object gjson.Result) []string {
	found := []string{}
	object.ForEach(func(key, _ gjson.Result) bool {
		found = append(found, key.String())
		return true
	})
	slices.Sort(found)
	return found
}

// names are the values of field in a list of objects, in order.
func names(list gjson.Result, field string) []string {
	found := []string{}
	list.ForEach(func(_, item gjson.Result) bool {
		found = append(found, item.Get(field).String())
		return true
	})
	return found
}

// cutNamespace splits "ns/pkg" and reports whether there is a package.
func cutNamespace(path string) (pkg string, ok bool) {
	_, pkg, ok = strings.Cut(path, "/")
	return pkg, ok
}
