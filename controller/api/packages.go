package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// reservedPackage stands for "no package" in the URLs of web actions.
const reservedPackage = "default"

// listPackages answers the caller's packages and bindings, or what another
// namespace published (openwhisk-rest-api.md 13.5).
func (a *API) listPackages(x *Exchange) error {
	q := store.EntityQuery{Type: entity.TypePackage, Path: x.at.namespace}
	q.PublicOnly = x.Identity.Namespace != string(x.at.namespace)
	return a.listEntities(x, entitle.Packages, q)
}

// getPackage answers a package, or a binding with the provider's parameters below
// its own, and its contents (openwhisk-rest-api.md 13.3).
func (a *API) getPackage(x *Exchange) error {
	ctx := x.Context()
	pkg, err := catalog.As[*entity.Package](a.catalog.Entity(ctx, x.at.id()))
	if err != nil {
		return err
	}
	if err := a.checkPackageShown(x.Identity, pkg); err != nil {
		return err
	}
	provider, err := a.catalog.Provider(ctx, entity.Path(x.at.id()))
	if err != nil {
		return err
	}
	shown := *pkg // the catalog's is shared
	if pkg.Binding != nil {
		shown.Parameters = provider.Parameters.Merge(pkg.Parameters)
	}
	path := provider.Namespace.Join(string(provider.Name))
	items, err := a.entities.List(ctx, store.EntityQuery{Type: entity.TypeAction, Path: path})
	if err != nil {
		return err
	}
	actions, feeds, err := contentsOf(items)
	if err != nil {
		return err
	}
	return x.write(http.StatusOK, func(dst []byte) []byte {
		dst = shown.AppendJSON(dst)
		dst = append(dst[:len(dst)-1], `,"actions":[`...)
		dst = append(append(dst, actions...), `],"feeds":[`...)
		return append(append(dst, feeds...), "]}"...)
	})
}

// contentsOf turns the summaries of a package's actions into the items of its
// actions and of its feeds, which are told by an annotation.
func contentsOf(items []json.RawMessage) (actions, feeds []byte, err error) {
	for _, item := range items {
		var summary struct {
			Name        entity.Name       `json:"name"`
			Version     entity.Version    `json:"version"`
			Annotations entity.Parameters `json:"annotations"`
		}
		if err := json.Unmarshal(item, &summary); err != nil {
			return nil, nil, errors.Join(entity.ErrUnreadable, err)
		}
		list := &actions
		if _, isFeed := summary.Annotations.Get("feed"); isFeed {
			list = &feeds
		}
		if len(*list) > 0 {
			*list = append(*list, ',')
		}
		*list = append(*list, `{"name":`...)
		*list = entity.AppendString(*list, string(summary.Name))
		*list = append(*list, `,"version":"`+summary.Version.String()+`","annotations":`...)
		*list = append(summary.Annotations.AppendJSON(*list), '}')
	}
	return actions, feeds, nil
}

// packageRequest is the body of a PUT of a package; nil fields were absent.
type packageRequest struct {
	*entityRequest
	binding *entity.PackageRef
}

// putPackage creates or updates a package or binding (openwhisk-rest-api.md 13.2).
func (a *API) putPackage(x *Exchange) error {
	fields, err := a.requestFields(x)
	if err != nil {
		return err
	}
	common, overwrite, err := a.entityRequest(x, fields)
	if err != nil {
		return err
	}
	req := &packageRequest{entityRequest: common}
	if req.binding, err = parseBinding(fields, x.at.namespace); err != nil {
		return err
	}
	if x.at.name == reservedPackage {
		return errPackageReserved
	}
	if err := a.checkBindable(x, req.binding); err != nil {
		return err
	}
	if err := x.negotiate(); err != nil {
		return err
	}
	return a.storePackage(x, req, overwrite)
}

// parseBinding reads the package that a binding refers to; "_" is the namespace
// that the binding is in. An empty object is no binding.
func parseBinding(fields map[string]json.RawMessage, owner entity.Path) (*entity.PackageRef, error) {
	raw, ok := present(fields, "binding")
	if !ok {
		return nil, nil
	}
	var ref struct{ Namespace, Name *string }
	if json.Unmarshal(raw, &ref) != nil {
		return nil, malformed("binding malformed")
	}
	if ref.Namespace == nil && ref.Name == nil {
		return nil, nil
	}
	if ref.Namespace == nil || ref.Name == nil {
		return nil, malformed("binding malformed")
	}
	bound := &entity.PackageRef{Namespace: owner}
	var err error
	if *ref.Namespace != "_" {
		if bound.Namespace, err = entity.ParseNamespace(*ref.Namespace); err != nil {
			return nil, malformed(err.Error())
		}
	}
	if bound.Name, err = entity.ParseName(*ref.Name); err != nil {
		return nil, malformed(err.Error())
	}
	return bound, nil
}

// checkBindable checks that the caller may read what is to be bound. That it is a
// package is checked when the rest of the request is known to make sense
// (openwhisk-rest-api.md 6.3).
func (a *API) checkBindable(x *Exchange, ref *entity.PackageRef) error {
	if ref == nil {
		return nil
	}
	err := a.rights.Check(x.Context(), x.Identity, entitle.Read,
		entitle.Resource{Collection: entitle.Packages, Namespace: ref.Namespace, Name: ref.Name})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return errBindingMissing
	case errors.Is(err, catalog.ErrWrongType):
		return errBindingNoPackage
	}
	return err
}

// checkBound checks that a binding refers to a package and not to a binding.
func (a *API) checkBound(ctx context.Context, ref *entity.PackageRef) error {
	if ref == nil {
		return nil
	}
	pkg, err := catalog.As[*entity.Package](a.catalog.Entity(ctx, ref.ID()))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return errBindingMissing // it was deleted a moment ago
	case errors.Is(err, catalog.ErrWrongType):
		return errBindingNoPackage
	case err != nil:
		return err
	case pkg.Binding != nil:
		return errBindingOfBinding
	}
	return nil
}

func (a *API) storePackage(x *Exchange, req *packageRequest, overwrite bool) error {
	ctx := x.Context()
	old, err := existing[*entity.Package](ctx, a.catalog, x.at.id())
	if err != nil {
		return err
	}
	var pkg *entity.Package
	switch {
	case old == nil:
		pkg = &entity.Package{Header: entity.Header{Namespace: x.at.namespace, Name: x.at.name, Version: entity.FirstVersion}}
	case !overwrite:
		return errExists
	case old.Binding == nil && req.binding != nil:
		return errPackageToBinding
	default:
		pkg = old
		pkg.Version = old.Version.Next()
	}
	if err := a.checkBound(ctx, req.binding); err != nil {
		return err
	}
	req.apply(pkg)
	pkg.Updated = a.now().UnixMilli()
	if err := a.catalog.Put(ctx, pkg); err != nil {
		return err
	}
	return x.writePackage(pkg)
}

func (req *packageRequest) apply(pkg *entity.Package) {
	if req.binding != nil {
		pkg.Binding = req.binding
	}
	if req.parameters != nil {
		pkg.Parameters = *req.parameters
	}
	req.entityRequest.apply(&pkg.Header)
	// The annotation is the server's: it says what the binding says.
	pkg.Annotations = pkg.Annotations.Without("binding")
	if pkg.Binding != nil {
		value, _ := pkg.Binding.MarshalJSON() // never fails
		pkg.Annotations = pkg.Annotations.With(entity.Parameter{Key: "binding", Value: value})
	}
}

func (x *Exchange) writePackage(pkg *entity.Package) error {
	return x.write(http.StatusOK, pkg.AppendJSON)
}

// deletePackage removes a package, with force also its actions
// (openwhisk-rest-api.md 13.4).
func (a *API) deletePackage(x *Exchange) error {
	force, err := queryBool(x.query(), "force", false)
	if err != nil {
		return err
	}
	if err := x.negotiate(); err != nil {
		return err
	}
	ctx := x.Context()
	pkg, err := catalog.As[*entity.Package](a.catalog.Fresh(ctx, x.at.id()))
	if err != nil {
		return err
	}
	if pkg.Binding == nil {
		if err := a.emptyPackage(ctx, entity.Path(x.at.id()), force); err != nil {
			return err
		}
	}
	if err := a.catalog.Delete(ctx, pkg); err != nil {
		return err
	}
	return x.writePackage(pkg)
}

// emptyPackage makes sure that a package has no actions.
func (a *API) emptyPackage(ctx context.Context, path entity.Path, force bool) error {
	items, err := a.entities.List(ctx, store.EntityQuery{Type: entity.TypeAction, Path: path})
	if err != nil {
		return err
	}
	if len(items) > 0 && !force {
		return packageNotEmpty(len(items))
	}
	for _, item := range items {
		var summary struct {
			Name entity.Name `json:"name"`
		}
		if err := json.Unmarshal(item, &summary); err != nil {
			return errors.Join(entity.ErrUnreadable, err)
		}
		action, err := a.catalog.Fresh(ctx, entity.FQN{Path: path, Name: summary.Name}.ID())
		if err == nil {
			err = a.catalog.Delete(ctx, action)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}
