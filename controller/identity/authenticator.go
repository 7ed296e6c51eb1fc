// Package identity finds out who a request acts for: it turns the credentials of
// an Authorization header into the identity that owns them
// (openwhisk-rest-api.md section 2).
package identity

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

var (
	// ErrMissing: the request has no credentials.
	ErrMissing = errors.New("no credentials")
	// ErrInvalid: the credentials are malformed, unknown, wrong or blocked. Which
	// of these is nobody's business.
	ErrInvalid = errors.New("invalid credentials")
)

// Subjects is what the authenticator needs of store.SubjectStore.
type Subjects interface {
	// IdentityByUUID returns the identity whose key pair has the uuid, or
	// store.ErrNotFound if there is none or its subject is blocked.
	IdentityByUUID(ctx context.Context, uuid string) (*entity.Identity, error)
	// Identities returns identities of a namespace whose subjects are not blocked, at
	// most limit.
	Identities(ctx context.Context, namespace string, limit int) ([]*entity.Identity, error)
}

// loadTimeout bounds a look-up: callers of one uuid share it, so it must not
// depend on the request of the first of them.
const loadTimeout = 10 * time.Second

// Authenticator checks credentials. It remembers identities for a short time, so
// that a busy namespace costs the store a read now and then instead of one per
// request. Unknown uuids are not remembered: new keys work at once. Safe for
// concurrent use.
type Authenticator struct {
	subjects Subjects
	cache    *otter.Cache[key, *entity.Identity] // by uuid
	owners   *otter.Cache[key, *entity.Identity] // by namespace
	// era is the number of the latest Forget.
	era atomic.Int64
}

// key is what is remembered, and since which Forget: a read that was under way then is
// remembered as of before.
type key struct {
	era  int64
	name string
}

// New returns an authenticator that remembers identities for ttl, which is
// therefore how long a revoked key or an old limit may live; capacity bounds how
// many it remembers. Call Close when done.
func New(subjects Subjects, ttl time.Duration, capacity int) (*Authenticator, error) {
	a := &Authenticator{subjects: subjects}
	for _, cache := range []**otter.Cache[key, *entity.Identity]{&a.cache, &a.owners} {
		var err error
		if *cache, err = otter.New(&otter.Options[key, *entity.Identity]{
			MaximumSize:      capacity,
			ExpiryCalculator: otter.ExpiryWriting[key, *entity.Identity](ttl),
		}); err != nil {
			return nil, fmt.Errorf("identity cache of %d entries: %w", capacity, err)
		}
	}
	return a, nil
}

// Authenticate returns the identity that the Authorization header proves,
// ErrMissing, ErrInvalid, or the store's error. Callers must not change the
// identity: it is shared.
func (a *Authenticator) Authenticate(ctx context.Context, header string) (*entity.Identity, error) {
	if header == "" {
		return nil, ErrMissing
	}
	key, ok := ParseBasic(header)
	if !ok {
		return nil, ErrInvalid
	}
	id, err := a.lookup(ctx, key.UUID)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(id.Key.Key), []byte(key.Key)) != 1 {
		return nil, ErrInvalid
	}
	return id, nil
}

func (a *Authenticator) lookup(ctx context.Context, uuid string) (*entity.Identity, error) {
	k := key{a.era.Load(), uuid}
	if id, ok := a.cache.GetIfPresent(k); ok {
		return id, nil
	}
	id, err := a.cache.Get(ctx, k, otter.LoaderFunc[key, *entity.Identity](a.load))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, ErrInvalid
	case err != nil:
		return nil, fmt.Errorf("look up credentials: %w", err)
	}
	return id, nil
}

func (a *Authenticator) load(ctx context.Context, k key) (*entity.Identity, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
	defer cancel()
	return a.subjects.IdentityByUUID(ctx, k.name)
}

// Forget drops what is remembered, because subjects or limits changed. What is read
// from the store at this moment is not remembered either.
func (a *Authenticator) Forget() {
	a.era.Add(1)
	a.cache.InvalidateAll()
	a.owners.InvalidateAll()
}

// Close ends the cache's goroutines.
func (a *Authenticator) Close() {
	a.cache.StopAllGoroutines()
	a.owners.StopAllGoroutines()
}
