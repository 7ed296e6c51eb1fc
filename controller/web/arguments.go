package web

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/controller/api"
	"github.com/gowhisk/gowhisk/controller/invoke"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// call is an HTTP request as an action gets it.
type call struct {
	method string
	header http.Header
	// host is the header that net/http keeps apart.
	host string
	path string // the rest of it
	// query is as it was sent, without "?".
	query string
	// user is the namespace of who sent valid credentials, "" for strangers.
	user string
	// content is the entity.
	content []byte
}

// arguments returns the payload that an action is invoked with: the properties
// __ow_*, then the query, then the body; later ones win (openwhisk-rest-api.md 18.2
// to 18.4). final are the parameters that may not be overridden. Errors:
// invoke.ErrFinal, an *entity.MalformedError.
func arguments(c *call, raw bool, final []string) (json.RawMessage, error) {
	b, err := decodeBody(c.header.Get("Content-Type"), c.content, raw)
	if err != nil {
		return nil, err
	}
	var query fields
	var overridden map[string]bool
	if !raw {
		query = parseFields(c.query)
		if overridden, err = check(&query, &b, final); err != nil {
			return nil, err
		}
	}
	out := c.appendProperties(make([]byte, 0, c.size(&b)))
	if raw {
		out = entity.AppendString(append(out, `,"__ow_query":`...), c.query)
	}
	if b.value != nil {
		out = append(append(out, `,"__ow_body":`...), b.value...)
	}
	out = query.appendTo(out, overridden)
	out = b.form.appendTo(out, nil)
	if inner := inside(b.object); len(inner) > 0 {
		out = append(append(out, ','), inner...)
	}
	return append(out, '}'), nil
}

// check looks at the names that the request chose, and returns those of the query
// that the body overrides; nil if it overrides none.
func check(query *fields, b *body, final []string) (overridden map[string]bool, err error) {
	override := func(name string) {
		if isProtected(name, final) {
			err = invoke.ErrFinal
		}
		if query.find(name) >= 0 {
			if overridden == nil {
				overridden = make(map[string]bool)
			}
			overridden[name] = true
		}
	}
	for _, f := range query.list {
		if isProtected(f.name, final) {
			return nil, invoke.ErrFinal
		}
	}
	for _, f := range b.form.list {
		override(f.name)
	}
	if b.object != nil {
		parse(b.object).ForEach(func(key, _ gjson.Result) bool {
			override(key.String())
			return err == nil
		})
	}
	return overridden, err
}

func isProtected(name string, final []string) bool {
	return strings.HasPrefix(name, "__ow_") && slices.Contains(reserved, name) || slices.Contains(final, name)
}

// reserved are the names of the properties that the platform sets.
var reserved = []string{"__ow_method", "__ow_headers", "__ow_path", "__ow_user", "__ow_query", "__ow_body"}

// inside returns what is between an object's braces.
func inside(object []byte) []byte {
	if len(object) < 2 {
		return nil
	}
	inner := object[1 : len(object)-1]
	for len(inner) > 0 && isSpace(inner[0]) {
		inner = inner[1:]
	}
	return inner
}

// size is about how long the arguments will be.
func (c *call) size(b *body) int {
	n := 256 + len(c.path) + 2*len(c.query) + len(b.object) + len(b.value)
	if b.form.list != nil {
		n += 2 * len(c.content)
	}
	for name, values := range c.header {
		n += len(name) + 8
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}

// appendProperties begins the object that the fields go on with.
func (c *call) appendProperties(dst []byte) []byte {
	dst = append(dst, `{"__ow_method":"`...)
	dst = append(dst, strings.ToLower(c.method)...) // letters, by the router
	dst = api.AppendHeaders(append(dst, `","__ow_headers":`...), c.header, c.host, len(c.content) > 0)
	dst = entity.AppendString(append(dst, `,"__ow_path":`...), c.path)
	if c.user != "" {
		dst = entity.AppendString(append(dst, `,"__ow_user":`...), c.user)
	}
	return dst
}
