package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/gowhisk/gowhisk/invoker/container/engine"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
)

// containers opens what actions run in.
func (s *Server) containers(ctx context.Context, m *runtimes.Manifest) (*engine.Engine, error) {
	e, err := engine.Open(ctx, engine.Config{
		Settings: s.cfg.Engine, Dir: s.dir.Path(), Owner: "standalone", Manifest: m, PoolMemory: entity.Megabytes(s.cfg.Memory),
		MaxLogs: s.limits().Logs.Max, ParallelStarts: s.cfg.ParallelStart, Registry: s.registry, Log: s.log.Named("containers"),
	})
	s.engine = e
	return e, err
}

// Runs reports whether actions of the kind, or of its family's default, can run
// on this machine.
func (s *Server) Runs(kind string) bool { return s.engine.Runs(kind) }

// dockerHost is how containers of engines in virtual machines call this machine;
// such engines carry it to addresses that only this machine reaches.
const dockerHost = "host.docker.internal"

// apiHost is where actions reach the API.
func (s *Server) apiHost() string {
	address := s.listener.Addr().(*net.TCPAddr)
	ip := address.AddrPort().Addr().Unmap()
	switch {
	case s.cfg.APIHost != "":
		return s.cfg.APIHost
	case s.gateway != nil:
		return "http://" + s.gateway.Addr().String()
	case !ip.IsLoopback() && !ip.IsUnspecified():
	case s.engine.IsRemote:
		return "http://" + net.JoinHostPort(dockerHost, strconv.Itoa(address.Port))
	case s.engine.Gateway.IsValid():
		return "http://" + netip.AddrPortFrom(s.engine.Gateway, uint16(address.Port)).String()
	}
	return s.URL()
}

// listenToContainers also listens at the address at which containers reach this
// machine, where the API's own address is none that they reach. Only they and this
// machine do.
func (s *Server) listenToContainers() error {
	address := s.listener.Addr().(*net.TCPAddr)
	if s.cfg.APIHost != "" || !s.engine.Gateway.IsValid() || !address.IP.IsLoopback() {
		return nil
	}
	gateway := s.engine.Gateway.String()
	l, err := net.Listen("tcp", net.JoinHostPort(gateway, strconv.Itoa(address.Port)))
	if err != nil { // what actions are told is the address that it becomes
		l, err = net.Listen("tcp", net.JoinHostPort(gateway, "0"))
	}
	if err != nil {
		return fmt.Errorf("listening for actions in Docker containers: %w; say with --api-host where they reach the API instead", err)
	}
	s.closers = append(s.closers, func() error { l.Close(); return nil }) // who serves it closes it, too
	s.gateway = l
	return nil
}

// listeners are those of the API.
func (s *Server) listeners() []net.Listener {
	if s.gateway == nil {
		return []net.Listener{s.listener}
	}
	return []net.Listener{s.listener, s.gateway}
}
