package catalog

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// Announcer tells the other controllers that an entity was written; bus.Announcer is one.
type Announcer interface {
	// Announce returns when all that live have forgotten what they remembered of it.
	Announce(ctx context.Context, id entity.DocID) error
}

// announceTimeout bounds how long a write waits for the other controllers.
const announceTimeout = time.Second

// announcements tells other controllers of writes.
type announcements struct {
	to Announcer
	// failed counts announcements that not all have heard.
	failed func()
	log    *zap.Logger
	// failing: the last one was among these, and has been complained about.
	failing atomic.Bool
}

// Announce makes Put and Delete tell the other controllers before they return: whoever
// was answered sees what was written wherever the next request goes. One that has not
// heard in time is not waited for; it sees the write when its memory of the entity
// expires. failed is called for each such write, which succeeds all the same. Announce is
// called before the catalog is used.
func (c *Catalog) Announce(to Announcer, failed func(), log *zap.Logger) {
	c.announce = &announcements{to: to, failed: failed, log: log}
}

// wrote makes everyone see that an entity was written, or, for all that is known, may
// have been: err is what the store said.
func (c *Catalog) wrote(ctx context.Context, id entity.DocID, err error) {
	c.Invalidate(id)
	if c.announce == nil || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
		return
	}
	c.announce.tell(ctx, id)
}

// tell waits for the others also if the client goes away: the write was made.
func (a *announcements) tell(ctx context.Context, id entity.DocID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), announceTimeout)
	defer cancel()
	err := a.to.Announce(ctx, id)
	if err == nil {
		if a.failing.Swap(false) {
			a.log.Info("the other controllers hear of writes again")
		}
		return
	}
	a.failed()
	if !a.failing.Swap(true) {
		a.log.Error("the other controllers have not all heard of a write; until they do they may answer from what they remember, see whether the bus works",
			zap.String("entity", string(id)), zap.Error(err))
	}
}
