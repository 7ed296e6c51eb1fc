package identity

import (
	"context"
	"fmt"

	"github.com/maypok86/otter/v2"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Owner returns an identity of the namespace, for what runs on its account without
// its credentials: web actions (openwhisk-rest-api.md 18.1). It is remembered for as
// long as those that Authenticate finds, and callers must not change it. Errors:
// store.ErrNotFound if the namespace has no identity or its subjects are blocked,
// or the store's error. Unknown namespaces are not remembered.
func (a *Authenticator) Owner(ctx context.Context, namespace string) (*entity.Identity, error) {
	k := key{a.era.Load(), namespace}
	if id, ok := a.owners.GetIfPresent(k); ok {
		return id, nil
	}
	id, err := a.owners.Get(ctx, k, otter.LoaderFunc[key, *entity.Identity](a.loadOwner))
	if err != nil {
		return nil, fmt.Errorf("look up a namespace: %w", err)
	}
	return id, nil
}

func (a *Authenticator) loadOwner(ctx context.Context, k key) (*entity.Identity, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
	defer cancel()
	list, err := a.subjects.Identities(ctx, k.name, 1)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, store.ErrNotFound
	}
	return list[0], nil
}
