package api

import (
	"net/url"

	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// address is what a URL names: a collection of a namespace, or an entity of it,
// perhaps in a package.
type address struct {
	namespace entity.Path
	pkg, name entity.Name
}

// path is where the entity lives: "ns" or "ns/pkg".
func (a address) path() entity.Path {
	if a.pkg == "" {
		return a.namespace
	}
	return a.namespace.Join(string(a.pkg))
}

func (a address) fqn() entity.FQN { return entity.FQN{Path: a.path(), Name: a.name} }

func (a address) id() entity.DocID { return a.fqn().ID() }

func (a address) resource(c entitle.Collection) entitle.Resource {
	return entitle.Resource{Collection: c, Namespace: a.namespace, Package: a.pkg, Name: a.name}
}

// parseNamespace reads the URL's namespace; "_" is the caller's
// (openwhisk-rest-api.md 2.1). The exchange must be authenticated.
func (x *Exchange) parseNamespace() error {
	segment, err := x.Segment("ns")
	if err != nil {
		return err
	}
	if segment == "_" {
		x.at.namespace = entity.Path(x.Identity.Namespace)
		return nil
	}
	x.at.namespace, err = entity.ParseNamespace(segment)
	return err
}

// parseName reads the entity's name, and its package's if the URL has one.
func (x *Exchange) parseName() error {
	first, err := x.Segment("first")
	if err != nil {
		return err
	}
	second, err := x.Segment("second")
	if err != nil {
		return err
	}
	if second == "" {
		x.at.name, err = entity.ParseName(first)
		return err
	}
	if x.at.pkg, err = entity.ParseName(first); err != nil {
		return err
	}
	x.at.name, err = entity.ParseName(second)
	return err
}

// parsePackage reads the URL's one segment as the name of a package whose contents
// are meant.
func (x *Exchange) parsePackage() error {
	first, err := x.Segment("first")
	if err == nil {
		x.at.pkg, err = entity.ParseName(first)
	}
	return err
}

// Segment returns a path segment decoded. Routes match the escaped path, so an
// encoded slash is a character of the segment, which no name may have.
func (x *Exchange) Segment(name string) (string, error) {
	decoded, err := url.PathUnescape(x.gin.Param(name))
	if err != nil {
		return "", errBadRequest
	}
	return decoded, nil
}
