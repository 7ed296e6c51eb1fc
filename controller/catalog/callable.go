package catalog

import (
	"context"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Callable is an action as its callers reach it, with everything about it that
// an invocation needs computed once. It is immutable.
type Callable struct {
	// Action is the provider's.
	Action *entity.Action
	// Binding is the path "ns/binding" that the action was reached through, "" if
	// none was.
	Binding entity.Path
	// Parameters are merged: package, then binding, then action; later wins
	// (openwhisk-rest-api.md 13.6).
	Parameters entity.Parameters
	// Arguments are Parameters as a JSON object.
	Arguments []byte
	// InitArguments names the parameters that go to /init.
	InitArguments []string
	// Locked maps the names of encrypted parameters to their scheme; nil if none is.
	Locked map[string]string
	// Final names the parameters that callers may not override: all that are
	// defined, if the action is annotated so (openwhisk-rest-api.md 9.1).
	Final []string
	// GrantsKey: the action gets its caller's key (openwhisk-rest-api.md 8.4).
	GrantsKey bool
	// IsConductor: the action conducts a composition (openwhisk-rest-api.md 12).
	IsConductor bool
	// Web is how the action is exported to the web, nil if it is not.
	Web *Web

	pkg, binding *entity.Package
}

// Resolve returns the action at address, through its package or binding. Errors:
// store.ErrNotFound if the action, its package or the bound package is missing,
// ErrWrongType if one of them is something else, or the store's error.
func (c *Catalog) Resolve(ctx context.Context, address entity.FQN) (*Callable, error) {
	if address.Path.Package() == "" {
		action, err := As[*entity.Action](c.Entity(ctx, address.ID()))
		if err != nil {
			return nil, err
		}
		return c.callable(address.ID(), action, nil, nil), nil
	}
	pkg, binding, err := c.provider(ctx, address.Path)
	if err != nil {
		return nil, err
	}
	home := entity.FQN{Path: pkg.Namespace.Join(string(pkg.Name)), Name: address.Name}
	action, err := As[*entity.Action](c.Entity(ctx, home.ID()))
	if err != nil {
		return nil, err
	}
	return c.callable(address.ID(), action, pkg, binding), nil
}

// Provider returns the package at path, or the package that the binding at path
// refers to; errors as Resolve.
func (c *Catalog) Provider(ctx context.Context, path entity.Path) (*entity.Package, error) {
	pkg, _, err := c.provider(ctx, path)
	return pkg, err
}

func (c *Catalog) provider(ctx context.Context, path entity.Path) (pkg, binding *entity.Package, err error) {
	pkg, err = As[*entity.Package](c.Entity(ctx, entity.DocID(path)))
	if err != nil || pkg.Binding == nil {
		return pkg, nil, err
	}
	binding = pkg
	pkg, err = As[*entity.Package](c.Entity(ctx, binding.Binding.ID()))
	if err == nil && pkg.Binding != nil {
		// Bindings of bindings cannot be made (openwhisk-rest-api.md 13.2).
		err = store.ErrNotFound
	}
	return pkg, binding, err
}

// callable returns the remembered form if it was made of the same documents: the
// cache hands out one pointer per stored state.
func (c *Catalog) callable(id entity.DocID, action *entity.Action, pkg, binding *entity.Package) *Callable {
	if known, ok := c.callables.GetIfPresent(id); ok && known.Action == action && known.pkg == pkg && known.binding == binding {
		return known
	}
	made := newCallable(action, pkg, binding)
	c.callables.Set(id, made)
	return made
}

func newCallable(action *entity.Action, pkg, binding *entity.Package) *Callable {
	made := &Callable{Action: action, Parameters: action.Parameters, GrantsKey: true, pkg: pkg, binding: binding}
	if pkg != nil {
		parameters := pkg.Parameters
		if binding != nil {
			parameters = parameters.Merge(binding.Parameters)
			made.Binding = binding.Namespace.Join(string(binding.Name))
		}
		made.Parameters = parameters.Merge(action.Parameters)
	}
	if _, set := action.Annotations.Get("provide-api-key"); set {
		made.GrantsKey = action.Annotations.Truthy("provide-api-key")
	}
	made.IsConductor = !action.Exec.IsSequence() && action.Annotations.Truthy("conductor")
	made.Web = newWeb(action.Annotations)
	made.describe(isTrue(action.Annotations, "final"))
	return made
}

// AsPrimitive returns the action as one that conducts nothing: a conductor in its
// own composition.
func (c *Callable) AsPrimitive() *Callable {
	primitive := *c
	primitive.IsConductor = false
	return &primitive
}

// describe computes what depends on the merged parameters alone.
func (c *Callable) describe(final bool) {
	c.Arguments = append(AppendFields([]byte{'{'}, c.Parameters), '}')
	c.InitArguments = []string{}
	for _, p := range c.Parameters {
		if p.Init {
			c.InitArguments = append(c.InitArguments, p.Key)
		}
		if p.Encryption != "" {
			if c.Locked == nil {
				c.Locked = make(map[string]string)
			}
			c.Locked[p.Key] = p.Encryption
		}
		if final && p.IsDefined() {
			c.Final = append(c.Final, p.Key)
		}
	}
}

// AppendFields appends the parameters as the fields of a JSON object, without
// its braces.
func AppendFields(dst []byte, parameters entity.Parameters) []byte {
	for i, p := range parameters {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = entity.AppendString(dst, p.Key)
		dst = append(dst, ':')
		dst = append(dst, p.Value...)
	}
	return dst
}
