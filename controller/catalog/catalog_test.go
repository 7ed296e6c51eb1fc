package catalog

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// countingStore counts reads.
type countingStore struct {
	store.EntityStore
	reads atomic.Int64
}

func (s *countingStore) Entity(ctx context.Context, id entity.DocID) (entity.Entity, error) {
	s.reads.Add(1)
	return s.EntityStore.Entity(ctx, id)
}

func newCatalog(t *testing.T) (*Catalog, *countingStore) {
	db, err := sqlite.Open(t.Context(), sqlite.Options{InMemory: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s := &countingStore{EntityStore: db.Entities()}
	c, err := New(s, 1000, time.Hour)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c, s
}

func parameters(text string) (p entity.Parameters) {
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		panic(err)
	}
	return p
}

func head(path entity.Path, name entity.Name) entity.Header {
	return entity.Header{Namespace: path, Name: name, Version: entity.FirstVersion}
}

func fqn(text string) entity.FQN {
	f, err := entity.ParseFQN(text)
	if err != nil {
		panic(err)
	}
	return f
}

func newAction(path entity.Path, name entity.Name) *entity.Action {
	return &entity.Action{Header: head(path, name), Exec: entity.Exec{Kind: "nodejs:20", Code: new(string)}}
}

// populate stores ns/plain, ns/p/act and other/b, a binding of ns/p.
func populate(t *testing.T, c *Catalog) {
	plain := newAction("ns", "plain")
	packaged := newAction("ns/p", "act")
	packaged.Parameters = parameters(`[{"key":"a","value":"action"},{"key":"i","value":1.50,"init":true},{"key":"n","value":null}]`)
	packaged.Annotations = parameters(`[{"key":"final","value":true},{"key":"provide-api-key","value":false}]`)
	p := &entity.Package{Header: head("ns", "p"), Parameters: parameters(`[{"key":"p","value":"package"},{"key":"a","value":"package"},{"key":"e","value":"x","encryption":"aes-128"}]`)}
	b := &entity.Package{Header: head("other", "b"), Parameters: parameters(`[{"key":"p","value":"binding"}]`), Binding: &entity.PackageRef{Namespace: "ns", Name: "p"}}
	for _, e := range []entity.Entity{plain, packaged, p, b} {
		require.NoError(t, c.Put(t.Context(), e))
	}
}

func TestResolve(t *testing.T) {
	c, s := newCatalog(t)
	populate(t, c)
	ctx := t.Context()

	plain, err := c.Resolve(ctx, fqn("ns/plain"))
	require.NoError(t, err)
	require.Equal(t, `{}`, string(plain.Arguments))
	require.Equal(t, []string{}, plain.InitArguments)
	require.True(t, plain.GrantsKey, "without the annotation the key is given")
	require.Empty(t, plain.Final)

	packaged, err := c.Resolve(ctx, fqn("ns/p/act"))
	require.NoError(t, err)
	require.Equal(t, `{"p":"package","a":"action","e":"x","i":1.50,"n":null}`, string(packaged.Arguments))
	require.Equal(t, []string{"i"}, packaged.InitArguments)
	require.Equal(t, map[string]string{"e": "aes-128"}, packaged.Locked)
	require.Equal(t, []string{"p", "a", "e", "i"}, packaged.Final, "null is not defined")
	require.False(t, packaged.GrantsKey)

	bound, err := c.Resolve(ctx, fqn("other/b/act"))
	require.NoError(t, err)
	require.Equal(t, `{"p":"binding","a":"action","e":"x","i":1.50,"n":null}`, string(bound.Arguments))
	require.Equal(t, entity.Path("other/b"), bound.Binding)
	require.Equal(t, "ns/p/act", bound.Action.FQN().String())

	reads := s.reads.Load()
	again, err := c.Resolve(ctx, fqn("other/b/act"))
	require.NoError(t, err)
	require.Same(t, bound, again)
	require.Equal(t, reads, s.reads.Load(), "a warm address reads no store")
}

func TestResolveSaysWhatIsWrong(t *testing.T) {
	c, _ := newCatalog(t)
	populate(t, c)
	ctx := t.Context()
	require.NoError(t, c.Put(ctx, &entity.Package{Header: head("ns", "lost"), Binding: &entity.PackageRef{Namespace: "ns", Name: "gone"}}))
	require.NoError(t, c.Put(ctx, &entity.Package{Header: head("ns", "chain"), Binding: &entity.PackageRef{Namespace: "other", Name: "b"}}))
	for address, want := range map[string]error{
		"ns/none": store.ErrNotFound, "ns/none/act": store.ErrNotFound, "ns/p/none": store.ErrNotFound,
		"ns/lost/act": store.ErrNotFound, "ns/chain/act": store.ErrNotFound,
		"ns/p": ErrWrongType, "ns/plain/act": ErrWrongType,
	} {
		_, err := c.Resolve(ctx, fqn(address))
		require.ErrorIs(t, err, want, address)
	}
}

func TestWritesAreSeenThroughEveryAddress(t *testing.T) {
	c, _ := newCatalog(t)
	populate(t, c)
	ctx := t.Context()
	_, err := c.Resolve(ctx, fqn("other/b/act"))
	require.NoError(t, err)

	pkg, err := As[*entity.Package](c.Fresh(ctx, "ns/p"))
	require.NoError(t, err)
	pkg.Parameters = parameters(`[{"key":"new","value":1}]`)
	require.NoError(t, c.Put(ctx, pkg))
	bound, err := c.Resolve(ctx, fqn("other/b/act"))
	require.NoError(t, err)
	require.Equal(t, `{"new":1,"p":"binding","a":"action","i":1.50,"n":null}`, string(bound.Arguments))

	action, err := c.Fresh(ctx, "ns/p/act")
	require.NoError(t, err)
	require.NoError(t, c.Delete(ctx, action))
	_, err = c.Resolve(ctx, fqn("other/b/act"))
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestForeignWritesAreSeenOnceTheyAreAnnounced(t *testing.T) {
	c, s := newCatalog(t)
	populate(t, c)
	ctx := t.Context()
	_, err := c.Resolve(ctx, fqn("ns/plain"))
	require.NoError(t, err)
	action, err := s.Entity(ctx, "ns/plain")
	require.NoError(t, err)
	action.Head().Version = action.Head().Version.Next()
	require.NoError(t, s.Put(ctx, action))
	for _, announce := range []func(){func() { c.Invalidate("ns/plain") }, c.InvalidateAll} {
		announce()
		callable, err := c.Resolve(ctx, fqn("ns/plain"))
		require.NoError(t, err)
		require.Equal(t, "0.0.2", callable.Action.Version.String())
	}
}

// A read that began before a write must not bring the old state back after it.
func TestNothingOldIsSeenAfterAWrite(t *testing.T) {
	c, _ := newCatalog(t)
	populate(t, c)
	ctx := t.Context()
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_, _ = c.Resolve(ctx, fqn("ns/plain"))
				}
			}
		})
	}
	for range 100 {
		e, err := c.Fresh(ctx, "ns/plain")
		require.NoError(t, err)
		e.Head().Version = e.Head().Version.Next()
		written := e.Head().Version
		require.NoError(t, c.Put(ctx, e))
		callable, err := c.Resolve(ctx, fqn("ns/plain"))
		require.NoError(t, err)
		require.Equal(t, written, callable.Action.Version)
	}
	close(done)
	readers.Wait()
}
