package api

import (
	"context"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// Where shared packages may be executed only (openwhisk-rest-api.md section 3),
// others' public packages and what is in them can be invoked and bound, and are
// not shown. The checks come after those of rights.

// checkPackageShown checks that the caller may see a package or binding.
func (a *API) checkPackageShown(id *entity.Identity, pkg *entity.Package) error {
	switch {
	case !a.cfg.SharedExecuteOnly:
		return nil
	case pkg.Binding != nil && string(pkg.Binding.Namespace) != id.Namespace:
		return bindingNotShown(pkg)
	case pkg.Binding == nil && string(pkg.Namespace) != id.Namespace:
		return packageNotShown(pkg)
	}
	return nil
}

// checkActionShown checks that the caller may see the action at an address,
// whether or not it exists.
func (a *API) checkActionShown(ctx context.Context, id *entity.Identity, at address) error {
	if !a.cfg.SharedExecuteOnly || at.pkg == "" {
		return nil
	}
	if string(at.namespace) != id.Namespace {
		return actionNotShown(at.path())
	}
	pkg, err := catalog.As[*entity.Package](a.catalog.Entity(ctx, entity.DocID(at.path())))
	if err != nil {
		return err
	}
	if pkg.Binding != nil && string(pkg.Binding.Namespace) != id.Namespace {
		return boundActionNotShown(at.fqn())
	}
	return nil
}
