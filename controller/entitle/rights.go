// Package entitle decides what a caller may do: the rights between namespaces
// (openwhisk-rest-api.md section 3) and how often and how much at once
// (section 19).
package entitle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Right is what somebody wants to do with a resource.
type Right int

const (
	Read Right = iota + 1
	Put
	Delete
	Activate
)

// Collection names a kind of resource as URLs do.
type Collection string

const (
	Actions     Collection = "actions"
	Packages    Collection = "packages"
	Triggers    Collection = "triggers"
	Rules       Collection = "rules"
	Activations Collection = "activations"
	Limits      Collection = "limits"
)

// Resource is an entity, or with an empty Name a collection of a namespace or,
// with a Package, the actions of a package.
type Resource struct {
	Collection Collection
	Namespace  entity.Path
	Package    entity.Name
	Name       entity.Name
}

// String is the resource as refusals name it.
func (r Resource) String() string {
	parts := []string{string(r.Namespace)}
	for _, p := range []entity.Name{r.Package, r.Name} {
		if p != "" {
			parts = append(parts, string(p))
		}
	}
	return strings.Join(parts, "/")
}

// Of is the entity of a collection that f refers to.
func Of(c Collection, f entity.FQN) Resource {
	return Resource{Collection: c, Namespace: entity.Path(f.Path.Namespace()), Package: entity.Name(f.Path.Package()), Name: f.Name}
}

// DeniedError: the caller may not access these resources.
type DeniedError struct{ Resources []string }

func (e *DeniedError) Error() string {
	return "no access to " + strings.Join(e.Resources, ", ")
}

// Denied returns a *DeniedError of the resources, sorted, each once.
func Denied(resources ...string) error {
	slices.Sort(resources)
	return &DeniedError{slices.Compact(resources)}
}

// MissingError: a package that the caller owns, and that the request is about,
// does not exist.
type MissingError struct{ Package string }

func (e *MissingError) Error() string { return fmt.Sprintf("the package %q does not exist", e.Package) }

// Is makes a *MissingError a store.ErrNotFound.
func (e *MissingError) Is(target error) bool { return target == store.ErrNotFound }

// CircularError: a binding refers to itself.
type CircularError struct{ Binding string }

func (e *CircularError) Error() string {
	return fmt.Sprintf("the binding %q refers to itself", e.Binding)
}

// Entities is what rights need of the catalog.
type Entities interface {
	Entity(ctx context.Context, id entity.DocID) (entity.Entity, error)
}

// Rights answers who may do what. Safe for concurrent use.
type Rights struct{ entities Entities }

// NewRights returns rights that look packages up in entities.
func NewRights(entities Entities) *Rights { return &Rights{entities} }

// Check returns nil if id has the right on r. Otherwise a *DeniedError; or, where
// the rights depend on a package that is the caller's own, what is wrong with it:
// a *MissingError, catalog.ErrWrongType, a *CircularError, or the store's error.
func (t *Rights) Check(ctx context.Context, id *entity.Identity, right Right, r Resource) error {
	owner := id.Namespace == string(r.Namespace)
	switch {
	case r.Collection == Packages && right == Read:
		if r.Name == "" {
			return nil // strangers get the published ones
		}
		return t.readPackage(ctx, id, r.Namespace.Join(string(r.Name)))
	case r.Collection == Actions && r.Package != "" && (right == Read || right == Activate):
		return t.readPackage(ctx, id, r.Namespace.Join(string(r.Package)))
	case owner:
		return nil
	}
	return Denied(r.String())
}

// CheckAll checks the right on several resources. All that are refused are named
// together; anything else that is wrong comes first.
func (t *Rights) CheckAll(ctx context.Context, id *entity.Identity, right Right, resources []Resource) error {
	var refused []string
	for _, r := range resources {
		err := t.Check(ctx, id, right, r)
		var denied *DeniedError
		switch {
		case errors.As(err, &denied):
			refused = append(refused, denied.Resources...)
		case err != nil:
			return err
		}
	}
	if len(refused) > 0 {
		return Denied(refused...)
	}
	return nil
}

// CheckActions is CheckAll for the components of a sequence, to be read or
// activated. The right to these depends on their package, so those of the same one
// are checked once. At most most checks are made.
func (t *Rights) CheckActions(ctx context.Context, id *entity.Identity, right Right, actions []entity.FQN, most int) error {
	checked := make(map[Resource]bool)
	var resources []Resource
	for _, a := range actions {
		r := Of(Actions, a)
		if r.Package != "" {
			r.Name = ""
		}
		if !checked[r] && len(resources) < most {
			checked[r] = true
			resources = append(resources, r)
		}
	}
	return t.CheckAll(ctx, id, right, resources)
}

// readPackage checks READ on the package or binding at path.
func (t *Rights) readPackage(ctx context.Context, id *entity.Identity, path entity.Path) error {
	owner := id.Namespace == path.Namespace()
	pkg, err := t.pkg(ctx, path)
	switch {
	case err != nil && !owner:
		if isTransient(err) {
			return err
		}
		return Denied(string(path)) // whether it exists is not a stranger's business
	case errors.Is(err, store.ErrNotFound):
		return &MissingError{string(path)}
	case err != nil:
		return err
	case pkg.Binding == nil:
		if owner || pkg.Publish {
			return nil
		}
		return Denied(string(path))
	case !owner:
		return Denied(string(path)) // bindings are never public
	case pkg.Binding.Path() == path:
		return &CircularError{string(path)}
	}
	return t.readProvider(ctx, id, path, pkg.Binding.Path())
}

// readProvider checks READ on the package behind the caller's binding.
func (t *Rights) readProvider(ctx context.Context, id *entity.Identity, binding, path entity.Path) error {
	owner := id.Namespace == path.Namespace()
	provider, err := t.pkg(ctx, path)
	switch {
	case err == nil && provider.Binding == nil && (owner || provider.Publish):
		return nil
	case err != nil && (owner || isTransient(err)):
		return err
	}
	return Denied(string(binding))
}

func (t *Rights) pkg(ctx context.Context, path entity.Path) (*entity.Package, error) {
	return catalog.As[*entity.Package](t.entities.Entity(ctx, entity.DocID(path)))
}

// isTransient: the store failed, which says nothing about the package.
func isTransient(err error) bool {
	return !errors.Is(err, store.ErrNotFound) && !errors.Is(err, catalog.ErrWrongType) && !errors.Is(err, entity.ErrUnreadable)
}

// KindDeniedError: the namespace may not have actions of a kind.
type KindDeniedError struct{ Kind string }

func (e *KindDeniedError) Error() string {
	return fmt.Sprintf("actions of kind %q are not allowed", e.Kind)
}

// CheckKind returns a *KindDeniedError unless the namespace of id may have
// actions of the kind: allowed are its own kinds and those of system; none at all
// means every kind (openwhisk-rest-api.md 20.2).
func CheckKind(id *entity.Identity, system []string, kind string) error {
	own := id.Limits.AllowedKinds
	if len(own) == 0 && len(system) == 0 || slices.Contains(own, kind) || slices.Contains(system, kind) {
		return nil
	}
	return &KindDeniedError{kind}
}
