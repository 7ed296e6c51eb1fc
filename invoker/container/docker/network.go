package docker

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	engine "github.com/docker/docker/api/types/network"
	"go.uber.org/zap"
)

// loopback is where ports are published that nobody else should reach.
const loopback = "127.0.0.1"

// Options of the engine's bridge driver.
const (
	bridgeName   = "com.docker.network.bridge.name"
	bridgeTalk   = "com.docker.network.bridge.enable_icc"
	bridgeDriver = "bridge"
)

// network is where the containers are.
type network struct {
	id, name string
	gateway  netip.Addr
	// bridge is the host's interface.
	bridge string
	// isDirect: containers are reached at their own addresses.
	isDirect bool
}

func (f *Factory) currentNetwork() network {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.network
}

// openNetwork finds the network, or makes it if it is the factory's own, and
// keeps its containers from what they must not reach.
func (f *Factory) openNetwork(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := f.api.NetworkInspect(ctx, f.config.Network, engine.InspectOptions{})
	if isGone(err) && f.config.Network == DefaultNetwork {
		if err = f.makeNetwork(ctx); err == nil {
			found, err = f.api.NetworkInspect(ctx, f.config.Network, engine.InspectOptions{})
		}
	}
	if err != nil {
		return fmt.Errorf("the containers' network %s: %w", f.config.Network, explain(err))
	}
	n, err := f.describe(found)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.network = n
	f.mu.Unlock()
	f.isolate(ctx, n, found)
	return nil
}

// makeNetwork creates the default network. Somebody else may be doing the same.
func (f *Factory) makeNetwork(ctx context.Context) error {
	options := engine.CreateOptions{
		Driver:  bridgeDriver,
		Options: map[string]string{bridgeTalk: "false"},
		Labels:  map[string]string{"org.gowhisk.network": "1"},
	}
	if f.config.Subnet != "" {
		options.IPAM = &engine.IPAM{Config: []engine.IPAMConfig{{Subnet: f.config.Subnet}}}
	}
	_, err := f.api.NetworkCreate(ctx, f.config.Network, options)
	if cerrdefs.IsConflict(err) {
		return nil
	}
	return err
}

func (f *Factory) describe(found engine.Inspect) (network, error) {
	n := network{id: found.ID, name: found.Name, bridge: found.Options[bridgeName]}
	if n.bridge == "" && len(found.ID) >= 12 {
		n.bridge = "br-" + found.ID[:12]
	}
	for _, c := range found.IPAM.Config {
		if a, err := netip.ParseAddr(c.Gateway); err == nil && a.Is4() {
			n.gateway = a
		}
	}
	switch f.config.Publish {
	case publishAlways:
	case publishNever:
		n.isDirect = true
	default:
		n.isDirect = found.Driver != bridgeDriver || hasAddress(n.bridge, n.gateway)
	}
	if found.Driver == bridgeDriver && n.isDirect && !n.gateway.IsValid() {
		return network{}, fmt.Errorf("the containers' network %s has no gateway address of version 4", found.Name)
	}
	return n, nil
}

// hasAddress: the network's bridge is one of this machine, in this network
// namespace, so that there is a way to its containers.
func hasAddress(name string, address netip.Addr) bool {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return false
	}
	addresses, err := i.Addrs()
	if err != nil {
		return false
	}
	for _, a := range addresses {
		if strings.HasPrefix(a.String(), address.String()+"/") {
			return true
		}
	}
	return false
}

// isolate keeps containers from networks that they must not reach, and says what
// stays open.
func (f *Factory) isolate(ctx context.Context, n network, found engine.Inspect) {
	if found.Driver == bridgeDriver && found.Options[bridgeTalk] != "false" {
		f.warn("containers can reach each other: the network allows it", "use the default network, or create yours with -o "+bridgeTalk+"=false", nil)
	}
	if n.isDirect && found.Driver == bridgeDriver && !filtersBridges(bridgeFilter) {
		f.warn("containers can reach each other: the kernel does not filter what goes over a bridge",
			"load the module br_netfilter and set "+bridgeFilter+" to 1, then restart the Docker engine", nil)
	}
	if len(f.config.Blocked) == 0 {
		return
	}
	if err := blockNetworks(ctx, n.bridge, f.config.Blocked); err != nil {
		f.warn("containers can reach the cloud's metadata addresses and other blocked networks, as far as this machine can",
			"run as root on the engine's machine with iptables installed, or keep the addresses away by other means", err,
			zap.Strings("networks", f.config.Blocked))
	}
}

// bridgeFilter is the kernel's switch without which the engine's rules see nothing
// of what containers on one bridge send to each other.
const bridgeFilter = "/proc/sys/net/bridge/bridge-nf-call-iptables"

func filtersBridges(path string) bool {
	text, err := os.ReadFile(path)
	return err == nil && strings.TrimSpace(string(text)) == "1"
}

// warn logs what is open, once.
func (f *Factory) warn(what, advice string, err error, fields ...zap.Field) {
	if _, again := f.warned.LoadOrStore(what, nil); again {
		return
	}
	f.log.Warn(what, append(fields, zap.String("advice", advice), zap.Error(err))...)
}
