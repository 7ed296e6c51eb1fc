package catalog

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// neighbours are the other controllers.
type neighbours struct {
	heard []entity.DocID
	// announce is what becomes of an announcement; nil is well.
	announce func(context.Context) error
}

func (n *neighbours) Announce(ctx context.Context, id entity.DocID) error {
	n.heard = append(n.heard, id)
	if n.announce != nil {
		return n.announce(ctx)
	}
	return nil
}

func TestWritesAreAnnouncedBeforeTheyReturn(t *testing.T) {
	c, _ := newCatalog(t)
	n := &neighbours{}
	c.Announce(n, func() { t.Error("it did not fail") }, zap.NewNop())
	a := newAction("ns", "a")
	require.NoError(t, c.Put(t.Context(), a))
	require.Equal(t, []entity.DocID{"ns/a"}, n.heard)
	require.NoError(t, c.Delete(t.Context(), a))
	require.Equal(t, []entity.DocID{"ns/a", "ns/a"}, n.heard)
	require.ErrorIs(t, c.Delete(t.Context(), a), store.ErrNotFound)
	require.ErrorIs(t, c.Put(t.Context(), &entity.Action{Header: entity.Header{Namespace: "ns", Name: "a", Version: a.Version, Revision: "1-x"}, Exec: a.Exec}), store.ErrConflict)
	require.Len(t, n.heard, 2, "nothing was written")
}

// failing is a store whose writes have an outcome that nobody knows.
type failing struct{ store.EntityStore }

func (failing) Put(context.Context, entity.Entity) error { return errors.New("connection reset") }

func TestAWriteOfUnknownOutcomeIsAnnounced(t *testing.T) {
	c, s := newCatalog(t)
	s.EntityStore = failing{s.EntityStore}
	n := &neighbours{}
	c.Announce(n, func() {}, zap.NewNop())
	require.ErrorContains(t, c.Put(t.Context(), newAction("ns", "a")), "connection reset")
	require.Len(t, n.heard, 1)
}

func TestNeighboursThatDoNotHearAreNotWaitedForLong(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	failed := 0
	n := &neighbours{announce: func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	a := announcements{to: n, failed: func() { failed++ }, log: zap.New(core)}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // the client has gone, and the write was made all the same
		start := time.Now()
		a.tell(ctx, "ns/a")
		require.Equal(t, time.Second, time.Since(start))
		a.tell(ctx, "ns/a")
		require.Equal(t, 2, failed)
		require.Equal(t, 1, logs.Len(), "it complains once")
		n.announce = nil
		a.tell(ctx, "ns/a")
		require.Equal(t, 2, logs.Len())
	})
}

// slowReads is a store whose reads wait, once they have read, until they may return.
type slowReads struct {
	store.EntityStore
	read, proceed chan struct{}
}

func (s *slowReads) Entity(ctx context.Context, id entity.DocID) (entity.Entity, error) {
	e, err := s.EntityStore.Entity(ctx, id)
	s.read <- struct{}{}
	<-s.proceed
	return e, err
}

// What was read before a write by another controller, and comes after the news of it, is
// neither remembered nor given to those who ask after the news.
func TestAReadThatBeganBeforeTheNewsIsNotRemembered(t *testing.T) {
	c, s := newCatalog(t)
	a := newAction("ns", "a")
	require.NoError(t, s.EntityStore.Put(t.Context(), a))
	slow := &slowReads{EntityStore: s.EntityStore, read: make(chan struct{}), proceed: make(chan struct{})}
	s.EntityStore = slow

	first := make(chan entity.Entity)
	go func() {
		e, _ := c.Entity(context.Background(), "ns/a")
		first <- e
	}()
	<-slow.read
	a.Version = entity.Version{Patch: 9}
	require.NoError(t, slow.EntityStore.Put(t.Context(), a))
	c.Invalidate("ns/a")

	second := make(chan entity.Entity)
	go func() {
		e, _ := c.Entity(context.Background(), "ns/a")
		second <- e
	}()
	<-slow.read // it reads for itself
	slow.proceed <- struct{}{}
	slow.proceed <- struct{}{}
	require.NotNil(t, <-first)
	require.Equal(t, a.Version, (<-second).Head().Version)
	e, err := c.Entity(t.Context(), "ns/a")
	require.NoError(t, err)
	require.Equal(t, a.Version, e.Head().Version, "the newer of both reads is remembered")
}
