package feed

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// Blocked knows which namespaces may run nothing now; the subjects of a database do.
type Blocked interface {
	// BlockedNamespaces returns them all.
	BlockedNamespaces(ctx context.Context) ([]string, error)
}

// How old what is known of blocked namespaces may be before it is read again: beside
// the feed as long as it is young, and before anything is fed when it is older.
const (
	blacklistYoung = time.Second
	blacklistOld   = 10 * time.Second
)

// blacklist remembers the blocked namespaces for a moment. Messages carry the limits
// of when they were sent; work that waited is failed all the same when its namespace
// was blocked meanwhile (openwhisk-rest-api.md 20.2). Its methods belong to the feed's
// goroutine.
type blacklist struct {
	source Blocked
	log    *zap.Logger
	// asked is when the list was last read, or began to be.
	asked time.Time
	names atomic.Pointer[map[string]bool]
}

// refresh reads the list if it is not fresh; in is where it may go on beside the feed.
func (b *blacklist) refresh(ctx context.Context, now time.Time, in *sync.WaitGroup) {
	age := now.Sub(b.asked)
	if b.source == nil || age < blacklistYoung {
		return
	}
	b.asked = now
	if age < blacklistOld {
		in.Go(func() { b.read(ctx) })
		return
	}
	b.read(ctx)
}

// read replaces the list. What cannot be read stays as it was.
func (b *blacklist) read(ctx context.Context) {
	list, err := b.source.BlockedNamespaces(ctx)
	if err != nil {
		if ctx.Err() == nil {
			b.log.Warn("reading which namespaces are blocked failed; what was known holds", zap.Error(err))
		}
		return
	}
	names := make(map[string]bool, len(list))
	for _, name := range list {
		names[name] = true
	}
	b.names.Store(&names)
}

func (b *blacklist) has(namespace string) bool {
	names := b.names.Load()
	return names != nil && (*names)[namespace]
}
