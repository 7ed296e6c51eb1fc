package docker

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dials is an action that connects to addresses and says which answered.
const dials = `
import socket
from concurrent.futures import ThreadPoolExecutor
def dial(place):
    address, port = place.rsplit(':', 1)
    try:
        socket.create_connection((address.strip('[]'), int(port)), 1).close()
        return 'reached'
    except OSError as e:
        return str(e)
def main(args):
    with ThreadPoolExecutor(16) as pool:
        return dict(zip(args['places'], pool.map(dial, args['places'])))`

// listen accepts connections at an address of this machine, which it gets for the
// test.
func listen(t *testing.T, address string) string {
	t.Helper()
	if a := netip.MustParseAddr(address); !a.IsLoopback() {
		ip(t, "address", "add", address+"/32", "dev", "lo")
		t.Cleanup(func() { ip(t, "address", "del", address+"/32", "dev", "lo") })
	}
	return serve(t, net.JoinHostPort(address, "0"))
}

// serve accepts connections until the test ends.
func serve(t *testing.T, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		assert.NoError(t, l.Close())
		<-done
	})
	return l.Addr().String()
}

func TestNetwork(t *testing.T) {
	f := open(t, config(t.TempDir()))
	b := startPython(t, f, 128, dials)
	dial := func(places ...string) map[string]string {
		for _, p := range places { // so that a refusal means something
			conn, err := net.DialTimeout("tcp", p, time.Second)
			require.NoError(t, err, "this machine reaches it")
			require.NoError(t, conn.Close())
		}
		answers := map[string]string{}
		b.run(map[string]any{"places": places}, &answers)
		require.Len(t, answers, len(places))
		return answers
	}

	t.Run("the host is reached at the gateway", func(t *testing.T) {
		gateway := serve(t, net.JoinHostPort(f.Gateway().String(), "0"))
		assert.Equal(t, map[string]string{gateway: "reached"}, dial(gateway))
	})
	t.Run("the host's loopback interface is not", func(t *testing.T) {
		loopback := serve(t, "127.0.0.1:0")
		assert.Contains(t, dial(loopback)[loopback], "refused")
	})
	t.Run("other containers are not", func(t *testing.T) {
		neighbour := startPython(t, f, 128, dials)
		neighbour.mu.Lock()
		address := neighbour.address.String()
		neighbour.mu.Unlock()
		assert.Equal(t, "timed out", dial(address)[address])
		answers := map[string]string{}
		neighbour.run(map[string]any{"places": []string{address}}, &answers)
		assert.Equal(t, "reached", answers[address], "it listens there")
	})
	t.Run("other containers have no names", func(t *testing.T) {
		neighbour := startPython(t, f, 128, dials)
		answers := map[string]string{}
		b.run(map[string]any{"places": []string{neighbour.ID() + ":8080"}}, &answers)
		assert.NotEqual(t, "reached", answers[neighbour.ID()+":8080"])
	})
	t.Run("metadata addresses are not", func(t *testing.T) {
		metadata, elsewhere := listen(t, "169.254.77.77"), listen(t, "198.51.100.77")
		answers := dial(metadata, elsewhere)
		assert.Equal(t, "timed out", answers[metadata])
		assert.Equal(t, "reached", answers[elsewhere], "it is the address that is blocked")
		const cloud, cloud6 = "169.254.169.254:80", "[fd00:ec2::254]:80"
		b.run(map[string]any{"places": []string{cloud, cloud6}}, &answers)
		assert.Equal(t, "timed out", answers[cloud])
		assert.NotEqual(t, "reached", answers[cloud6])
	})
	t.Run("there is no other version of the protocol to get around it", func(t *testing.T) {
		var result struct{ Interfaces string }
		startPython(t, f, 128, `
def main(args):
    try:
        with open('/proc/net/if_inet6') as f:
            return {'interfaces': ' '.join(line.split()[-1] for line in f if line.split()[-1] != 'lo')}
    except FileNotFoundError:
        return {'interfaces': ''}`).run(nil, &result)
		assert.Empty(t, result.Interfaces)
	})
}
