package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/controller/entitle"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

func (a *API) listActions(x *Exchange) error {
	return a.listEntities(x, entitle.Actions, store.EntityQuery{Type: entity.TypeAction, Path: x.at.namespace})
}

// listPackageActions lists a package's actions, for a binding the provider's
// (openwhisk-rest-api.md 8.6).
func (a *API) listPackageActions(x *Exchange) error {
	provider, err := a.catalog.Provider(x.Context(), x.at.path())
	if err != nil {
		return err
	}
	path := provider.Namespace.Join(string(provider.Name))
	return a.listEntities(x, entitle.Actions, store.EntityQuery{Type: entity.TypeAction, Path: path})
}

// getAction answers an action with the parameters that it would run with
// (openwhisk-rest-api.md 8.5).
func (a *API) getAction(x *Exchange) error {
	if err := a.checkActionShown(x.Context(), x.Identity, x.at); err != nil {
		return err
	}
	withCode, err := queryBool(x.query(), "code", true)
	if err != nil {
		return err
	}
	callable, err := a.catalog.Resolve(x.Context(), x.at.fqn())
	if err != nil {
		return err
	}
	shown := *callable.Action // the catalog's is shared
	shown.Parameters = callable.Parameters
	if withCode {
		if err := a.loadCode(x.Context(), &shown); err != nil {
			return err
		}
	} else {
		shown.Binding = callable.Binding
	}
	return x.writeAction(&shown, withCode)
}

func (x *Exchange) writeAction(action *entity.Action, withCode bool) error {
	return x.write(http.StatusOK, func(dst []byte) []byte { return action.AppendJSON(dst, withCode) })
}

// loadCode completes an action as it came from the store. Only managed runtimes
// show code that is empty.
func (a *API) loadCode(ctx context.Context, action *entity.Action) error {
	if action.Exec.IsSequence() {
		return nil
	}
	code, err := a.entities.Code(ctx, action)
	if err != nil {
		return err
	}
	if code != "" || action.Exec.Kind != entity.KindBlackbox {
		action.Exec.Code = &code
	}
	return nil
}

func (a *API) deleteAction(x *Exchange) error {
	if err := x.negotiate(); err != nil {
		return err
	}
	ctx := x.Context()
	if err := a.writablePackage(ctx, x.at); err != nil {
		return err
	}
	action, err := catalog.As[*entity.Action](a.catalog.Fresh(ctx, x.at.id()))
	if err != nil {
		return err
	}
	if err := a.loadCode(ctx, action); err != nil {
		return err
	}
	if err := a.catalog.Delete(ctx, action); err != nil {
		return err
	}
	return x.writeAction(action, true)
}

// writablePackage checks that the action's package, if it is in one, exists and is
// no binding (openwhisk-rest-api.md 8.3).
func (a *API) writablePackage(ctx context.Context, at address) error {
	if at.pkg == "" {
		return nil
	}
	pkg, err := catalog.As[*entity.Package](a.catalog.Fresh(ctx, entity.DocID(at.path())))
	if err != nil {
		return err
	}
	if pkg.Binding != nil {
		return errOnBinding
	}
	return nil
}

// existing returns what an entity of type E is stored under id, the zero E if
// nothing is; errors as catalog.As.
func existing[E entity.Entity](ctx context.Context, c *catalog.Catalog, id entity.DocID) (E, error) {
	e, err := catalog.As[E](c.Fresh(ctx, id))
	if errors.Is(err, store.ErrNotFound) {
		var none E
		return none, nil
	}
	return e, err
}
