package web

import (
	"net/url"
	"strings"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// field has a name and a value.
type field struct{ name, value string }

// fields are those of a query or a form, each name once.
type fields struct {
	list  []field
	index map[string]int // where a name is, once there are more than few
}

// few is how many fields are faster searched than looked up.
const few = 16

// parseFields reads a query or a form. Of fields with the same name the last one
// counts; what cannot be decoded stays as it is.
func parseFields(encoded string) fields {
	var f fields
	if encoded == "" {
		return f
	}
	f.list = make([]field, 0, min(strings.Count(encoded, "&")+1, few))
	for pair := range strings.SplitSeq(encoded, "&") {
		if pair != "" {
			name, value, _ := strings.Cut(pair, "=")
			f.set(unescape(name), unescape(value))
		}
	}
	return f
}

func unescape(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

// find returns where a name is, or -1.
func (f *fields) find(name string) int {
	if f.index != nil {
		if i, known := f.index[name]; known {
			return i
		}
		return -1
	}
	for i := range f.list {
		if f.list[i].name == name {
			return i
		}
	}
	return -1
}

func (f *fields) set(name, value string) {
	if i := f.find(name); i >= 0 {
		f.list[i].value = value
		return
	}
	f.list = append(f.list, field{name, value})
	switch {
	case f.index != nil:
		f.index[name] = len(f.list) - 1
	case len(f.list) > few:
		f.index = make(map[string]int, 2*few)
		for i := range f.list {
			f.index[f.list[i].name] = i
		}
	}
}

// appendTo appends the fields, except those that others has too, to the text of a
// JSON object that is not empty.
func (f *fields) appendTo(dst []byte, except map[string]bool) []byte {
	for _, one := range f.list {
		if except[one.name] {
			continue
		}
		dst = entity.AppendString(append(dst, ','), one.name)
		dst = entity.AppendString(append(dst, ':'), one.value)
	}
	return dst
}
