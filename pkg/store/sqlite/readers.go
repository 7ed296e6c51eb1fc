package sqlite

import (
	"context"
	"sync"
)

// readers is a pool of connections.
type readers struct {
	connect func() (*conn, error)
	idle    chan *conn
	closing chan struct{}

	mu     sync.Mutex // guards the rest
	open   int
	closed bool
}

func newReaders(bound int, connect func() (*conn, error)) *readers {
	return &readers{connect: connect, idle: make(chan *conn, bound), closing: make(chan struct{})}
}

// take returns a connection that is the caller's until give.
func (r *readers) take(ctx context.Context) (*conn, error) {
	select {
	case c := <-r.idle:
		return c, nil
	default:
	}
	if c, err := r.grow(); c != nil || err != nil {
		return c, err
	}
	select {
	case c := <-r.idle:
		return c, nil
	case <-r.closing:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// grow opens one more connection, or returns nil if there are enough.
func (r *readers) grow() (*conn, error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, ErrClosed
	}
	if r.open == cap(r.idle) {
		r.mu.Unlock()
		return nil, nil
	}
	r.open++
	r.mu.Unlock()
	c, err := r.connect()
	if err != nil {
		r.mu.Lock()
		r.open--
		r.mu.Unlock()
	}
	return c, err
}

func (r *readers) give(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		c.close()
		return
	}
	r.idle <- c // has room for all that are open
}

// close closes the idle connections; the others are closed when they come back.
func (r *readers) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.closed = true
	close(r.closing)
	for {
		select {
		case c := <-r.idle:
			c.close()
		default:
			return
		}
	}
}

// look runs a query that reads little: it is not interrupted once begun.
func (db *DB) look(ctx context.Context, query string, each func(*Row) error, args ...any) error {
	return db.read(ctx, context.Background(), query, each, args)
}

// scan runs a query that may read much: it is interrupted when ctx ends.
func (db *DB) scan(ctx context.Context, query string, each func(*Row) error, args ...any) error {
	return db.read(ctx, ctx, query, each, args)
}

func (db *DB) read(ctx, interrupt context.Context, query string, each func(*Row) error, args []any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := db.readers.take(ctx)
	if err != nil {
		return err
	}
	defer db.readers.give(c)
	return c.query(interrupt, query, each, args...)
}
