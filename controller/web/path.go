package web

import (
	"net/url"
	"strings"

	"github.com/gowhisk/gowhisk/controller/api"
	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// target is what the URL of a web action names.
type target struct {
	namespace entity.Path
	pkg, name entity.Name // pkg is "" for the default package
	extension *extension
	// rest is what follows the action, as it was sent: "", or a slash and more.
	rest string
}

func (t *target) fqn() entity.FQN {
	if t.pkg == "" {
		return entity.FQN{Path: t.namespace, Name: t.name}
	}
	return entity.FQN{Path: t.namespace.Join(string(t.pkg)), Name: t.name}
}

func (t *target) resource() entitle.Resource {
	return entitle.Resource{Collection: entitle.Actions, Namespace: t.namespace, Package: t.pkg, Name: t.name}
}

// defaultPackage stands for no package in a URL.
const defaultPackage = "default"

// parsePath reads "{ns}/{pkg}/{action}[.ext][/rest]", percent-encoded. Errors:
// api.ErrNoRoute if there are fewer than three segments, store.ErrNotFound if one of
// them is no name, and so names nothing (openwhisk-rest-api.md 18.1).
func parsePath(escaped string) (t target, err error) {
	var segments [3]string
	for i := range segments {
		segment := escaped
		if end := strings.IndexByte(escaped, '/'); end >= 0 {
			segment, escaped = escaped[:end], escaped[end:]
		} else {
			escaped = ""
		}
		if segment == "" {
			return target{}, api.ErrNoRoute
		}
		if segments[i], err = url.PathUnescape(segment); err != nil {
			return target{}, store.ErrNotFound
		}
		if i < len(segments)-1 {
			escaped = strings.TrimPrefix(escaped, "/")
		}
	}
	t.rest = escaped
	if t.namespace, err = entity.ParseNamespace(segments[0]); err != nil {
		return target{}, store.ErrNotFound
	}
	if segments[1] != defaultPackage {
		if t.pkg, err = entity.ParseName(segments[1]); err != nil {
			return target{}, store.ErrNotFound
		}
	}
	name, extension := splitExtension(segments[2])
	t.extension = extension
	if t.name, err = entity.ParseName(name); err != nil {
		return target{}, store.ErrNotFound
	}
	return t, nil
}
