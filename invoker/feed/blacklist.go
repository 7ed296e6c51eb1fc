package feed

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// Blocked knows which namespaces may run nothing now; the subjects of a database do.
type Blocked interface {
	// BlockedNamespaces returns them all.
	BlockedNamespaces(ctx context.Context) ([]string, error)
}

// blacklistAge is how old what is known of blocked namespaces may be.
const blacklistAge = time.Second

// blacklist remembers the blocked namespaces for a moment. Messages carry the limits
// of when they were sent; work that waited is failed all the same when its namespace
// was blocked meanwhile (openwhisk-rest-api.md 20.2). It belongs to the feed's goroutine.
type blacklist struct {
	source Blocked
	read   time.Time
	names  map[string]bool
}

// refresh reads the list if it is old. What cannot be read stays as it was.
func (b *blacklist) refresh(ctx context.Context, now time.Time, log *zap.Logger) {
	if b.source == nil || now.Sub(b.read) < blacklistAge {
		return
	}
	b.read = now
	names, err := b.source.BlockedNamespaces(ctx)
	if err != nil {
		if ctx.Err() == nil {
			log.Warn("reading which namespaces are blocked failed; what was known holds", zap.Error(err))
		}
		return
	}
	b.names = make(map[string]bool, len(names))
	for _, name := range names {
		b.names[name] = true
	}
}

func (b *blacklist) has(namespace string) bool { return b.names[namespace] }
