package service_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// counted counts the reads of entities.
type counted struct {
	store.EntityStore
	reads atomic.Int64
}

func (c *counted) Entity(ctx context.Context, id entity.DocID) (entity.Entity, error) {
	c.reads.Add(1)
	return c.EntityStore.Entity(ctx, id)
}

// The time that an answer takes must not tell strangers what is there.
func TestWhatStrangersMayNotSeeTakesAsLongAsWhatIsMissing(t *testing.T) {
	var entities *counted
	w := newWorldOver(t, func(s store.EntityStore) store.EntityStore {
		entities = &counted{EntityStore: s}
		return entities
	})
	w.a.put("_/packages/pkg", `{}`).is(200)
	for _, name := range []string{"private", "pkg/private"} {
		w.a.action(name)
	}
	w.a.put("_/triggers/plain", `{}`).is(200)
	stranger := w.a.anonymous()
	reads := func(path string) int64 {
		before := entities.reads.Load()
		stranger.post(path, "{}").fails(404, missing)
		return entities.reads.Load() - before
	}
	const inPackage = "/api/v1/web/ns/pkg/"
	reads(inPackage + "none") // remembers the package
	for _, c := range []struct{ missing, hidden string }{
		{webPath + "none", webPath + "private"}, {webPath + "none", webPath + "plain"}, {webPath + "none", webPath + "pkg"},
		{inPackage + "none", inPackage + "private"}, {webhooks + "ns/none", webhooks + "ns/plain"}, {webhooks + "ns/none", webhooks + "ns/private"},
	} {
		for _, temperature := range []string{"cold", "warm"} {
			require.Equal(t, reads(c.missing), reads(c.hidden), "%s, %s", c.hidden, temperature)
		}
	}
	w.service.Forget()
	require.Equal(t, reads(webhooks+"ns/none"), reads(webhooks+"ns/plain"), "after a while")
}
