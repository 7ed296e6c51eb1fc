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
	cache    *otter.Cache[string, remembered] // by uuid
	owners   *otter.Cache[string, remembered] // by namespace
	// era is the number of the latest Forget.
	era atomic.Int64
}

// remembered is an identity, and the era in which its reading began: a read that was under
// way at a Forget is remembered as of before, which is not at all.
type remembered struct {
	identity *entity.Identity
	era      int64
}

// New returns an authenticator that remembers identities for ttl, which is
// therefore how long a revoked key or an old limit may live; capacity bounds how
// many it remembers. Call Close when done.
func New(subjects Subjects, ttl time.Duration, capacity int) (*Authenticator, error) {
	a := &Authenticator{subjects: subjects}
	for _, cache := range []**otter.Cache[string, remembered]{&a.cache, &a.owners} {
		var err error
		if *cache, err = otter.New(&otter.Options[string, remembered]{
			MaximumSize:      capacity,
			ExpiryCalculator: otter.ExpiryWriting[string, remembered](ttl),
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
	if id := a.recall(a.cache, uuid); id != nil {
		return id, nil
	}
	id, err := a.read(ctx, a.cache, uuid, a.subjects.IdentityByUUID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, ErrInvalid
	case err != nil:
		return nil, fmt.Errorf("look up credentials: %w", err)
	}
	return id, nil
}

// recall returns what is remembered by a name, or nil.
func (a *Authenticator) recall(cache *otter.Cache[string, remembered], name string) *entity.Identity {
	if r, ok := cache.GetIfPresent(name); ok && r.era >= a.era.Load() {
		return r.identity
	}
	return nil
}

// read reads what is to be remembered by a name, once for all who ask at the same time.
func (a *Authenticator) read(ctx context.Context, cache *otter.Cache[string, remembered], name string,
	read func(context.Context, string) (*entity.Identity, error),
) (*entity.Identity, error) {
	era := a.era.Load()
	load := otter.LoaderFunc[string, remembered](func(ctx context.Context, name string) (remembered, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		r := remembered{era: a.era.Load()}
		var err error
		r.identity, err = read(ctx, name)
		return r, err
	})
	r, err := cache.Get(ctx, name, load)
	if err == nil && r.era < era { // it was read before the latest Forget
		cache.Invalidate(name)
		r, err = cache.Get(ctx, name, load)
	}
	return r.identity, err
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
