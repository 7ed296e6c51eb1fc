package identity

import (
	"context"
	"fmt"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Owner returns an identity of the namespace, for what runs on its account without
// its credentials: web actions (openwhisk-rest-api.md 18.1). It is remembered for as
// long as those that Authenticate finds, and callers must not change it. Errors:
// store.ErrNotFound if the namespace has no identity or its subjects are blocked,
// or the store's error. Unknown namespaces are not remembered.
func (a *Authenticator) Owner(ctx context.Context, namespace string) (*entity.Identity, error) {
	if id := a.recall(a.owners, namespace); id != nil {
		return id, nil
	}
	id, err := a.read(ctx, a.owners, namespace, a.readOwner)
	if err != nil {
		return nil, fmt.Errorf("look up a namespace: %w", err)
	}
	return id, nil
}

func (a *Authenticator) readOwner(ctx context.Context, namespace string) (*entity.Identity, error) {
	list, err := a.subjects.Identities(ctx, namespace, 1)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, store.ErrNotFound
	}
	return list[0], nil
}
