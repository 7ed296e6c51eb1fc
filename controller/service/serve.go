package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/gowhisk/gowhisk/pkg/store"
)

// Run listens on the configured address, once this controller can serve, and serves
// until ctx ends; see Serve. Until then a proxy that is refused a connection goes to
// another controller. ready is called with the address when requests are taken.
func (s *Service) Run(ctx context.Context, ready func(net.Addr)) error {
	return s.serve(ctx, func() ([]net.Listener, error) {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.Address)
		if err != nil {
			return nil, fmt.Errorf("listen on %s (is another process using the port?): %w", s.cfg.Address, err)
		}
		ready(listener.Addr())
		return []net.Listener{listener}, nil
	})
}

// writeSlack is how much longer than the request itself its answer may take to
// reach a slow client.
const writeSlack = time.Minute

// Serve serves on the listeners until ctx ends, or one of the service's loops fails. Then it
// stops in steps, so that no request is cut short:
//
//  1. It says that it is going: /ready and /ping fail, and the other controllers count it
//     out.
//  2. For Times.Drain it takes requests as before, until a load balancer has noticed.
//  3. The listeners are closed. For Times.Lame requests are still served on connections
//     that exist, and each answer ends its connection: a proxy's idle connections are
//     closed by the proxy, if it keeps them for less than that.
//  4. Requests under way are let finish, waiting calls included, for Times.Shutdown.
//
// Sequences, compositions and fires that are under way then are left to the next life,
// which begins by going on with them. Serve closes the listeners and the service.
func (s *Service) Serve(ctx context.Context, listeners ...net.Listener) error {
	defer closeAll(listeners)
	return s.serve(ctx, func() ([]net.Listener, error) { return listeners, nil })
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}

func (s *Service) serve(ctx context.Context, listen func() ([]net.Listener, error)) error {
	defer s.Close()
	if err := s.enter(ctx); err != nil {
		if ctx.Err() != nil { // it was stopped before it began
			return nil
		}
		return err
	}
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: s.cfg.Times.Header,
		// No ReadTimeout: it would end the contexts of waiting calls. Bodies have a
		// deadline of their own.
		WriteTimeout:   max(s.cfg.Times.Request, s.cfg.Times.Wait) + writeSlack,
		IdleTimeout:    s.cfg.Times.Idle,
		MaxHeaderBytes: int(s.cfg.Sizes.Header),
		ErrorLog:       zap.NewStdLog(s.log.Named("http")),
	}
	serving, halt := context.WithCancel(ctx)
	defer halt()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var group errgroup.Group
	for _, loop := range s.loops() {
		group.Go(func() error {
			err := loop(running)
			if err != nil {
				halt()
			}
			return err
		})
	}
	s.awaitInvokers(serving)
	listeners, err := listen()
	if err != nil {
		stop()
		return errors.Join(err, group.Wait())
	}
	defer closeAll(listeners)
	s.phase.set(accepting)
	for _, listener := range listeners {
		group.Go(func() error {
			err := server.Serve(listener)
			if s.phase.is(accepting) || s.phase.is(leaving) { // it was not closed by us
				halt()
				return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
			}
			return nil
		})
	}
	group.Go(func() error {
		<-serving.Done()
		defer stop() // when nobody needs the loops any more
		return s.shutdown(server, listeners)
	})
	return group.Wait()
}

// shutdown stops the server as Serve says.
func (s *Service) shutdown(server *http.Server, listeners []net.Listener) error {
	s.phase.set(leaving)
	if s.cluster != nil {
		ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Times.Publish)
		s.cluster.members.Leave(ctx)
		cancel()
	}
	time.Sleep(s.cfg.Times.Drain)
	s.phase.set(lame)
	if s.cfg.Times.Lame > 0 {
		closeAll(listeners)
		time.Sleep(s.cfg.Times.Lame)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Times.Shutdown)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("requests were still under way when the time to stop was over; their connections are closed, accepted activations go on",
			zap.Duration("after", s.cfg.Times.Shutdown))
		return server.Close()
	}
	if errors.Is(err, net.ErrClosed) { // the listeners, above
		return nil
	}
	return err
}

// phase is how far a service has come: the constants below.
type phase struct{ now atomic.Int32 }

const (
	// created: it does not listen yet, or others serve its handler.
	created int32 = iota
	accepting
	// leaving: it accepts, and says that it will not for long.
	leaving
	// lame: it accepts no connections.
	lame
)

func (p *phase) set(to int32)     { p.now.Store(to) }
func (p *phase) is(at int32) bool { return p.now.Load() == at }

// isStopping reports whether whoever asks should go elsewhere.
func (p *phase) isStopping() bool { return p.now.Load() >= leaving }

// lame ends connections behind answers of a service that is stopping, and tells whoever
// asks for its health that it is.
func (p *phase) lame(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.isStopping() {
			w.Header().Set("Connection", "close")
			if r.URL.Path == "/ping" {
				http.Error(w, "stopping", http.StatusServiceUnavailable)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// usable returns why this controller should get no requests, nil if it should.
func (s *Service) usable(ctx context.Context) error {
	switch {
	case s.phase.isStopping():
		return errors.New("the controller is stopping")
	case s.phase.is(created):
		return errors.New("the controller does not listen yet")
	case s.cluster != nil && !s.cluster.members.Heard():
		return errors.New("the bus does not carry heartbeats")
	}
	ctx, cancel := context.WithTimeout(ctx, usableTimeout)
	defer cancel()
	if _, err := s.store.Entity(ctx, "whisk.system/ready"); err != nil && !errors.Is(err, store.ErrNotFound) {
		s.log.Warn("this controller is not ready: the entity store does not answer", zap.Error(err))
		return errors.New("the entity store does not answer")
	}
	return nil
}

// usableTimeout bounds how long the store may take to show that it is up.
const usableTimeout = 2 * time.Second
