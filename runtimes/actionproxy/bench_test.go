package actionproxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/runtimes/runtimetest"
)

// The floors: the same function behind the language's own HTTP server.
const (
	bareNode = `
const http = require('http');
http.createServer((request, response) => {
  const parts = [];
  request.on('data', (p) => parts.push(p)).on('end', () => {
    const body = JSON.stringify(JSON.parse(Buffer.concat(parts)).value);
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
    response.end(body);
  });
}).listen(process.argv[2]);
`
	barePython = `
import json, socketserver, sys
from http.server import BaseHTTPRequestHandler
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    def address_string(self): return "-"
    def log_message(self, *args): pass
    def do_POST(self):
        body = json.dumps(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["value"]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
socketserver.UnixStreamServer(sys.argv[1], Handler).serve_forever()
`
)

// BenchmarkRun measures a warm /run through the proxy beside the language's own
// HTTP server ("bare"). p50-µs is the median latency.
func BenchmarkRun(b *testing.B) {
	sources := map[string]string{"nodejs": "function main(args) { return args }", "python": "def main(args):\n    return args\n"}
	floors := map[string]string{"nodejs": bareNode, "python": barePython}
	for _, family := range []string{"nodejs", "python"} {
		i := interpreters(b)[family]
		b.Run(family+"/proxy", func(b *testing.B) {
			p := startProxy(b, i.Kind, nil, nil, "--interpreter", i.Path)
			p.MustInit(b, runtimetest.Code{Code: sources[family]})
			measure(b, p.socket)
		})
		b.Run(family+"/bare", func(b *testing.B) {
			dir, err := os.MkdirTemp("", "ap")
			require.NoError(b, err)
			defer func() { _ = os.RemoveAll(dir) }()
			program, socket := filepath.Join(dir, "server"), filepath.Join(dir, "s")
			require.NoError(b, os.WriteFile(program, []byte(floors[family]), 0o644))
			server := exec.Command(i.Path, program, socket)
			server.Stderr = os.Stderr
			require.NoError(b, server.Start())
			defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
			require.Eventually(b, func() bool {
				c, err := net.Dial("unix", socket)
				if err == nil {
					_ = c.Close()
				}
				return err == nil
			}, patience, tick)
			measure(b, socket)
		})
	}
}

// measure sends one request after the other over one connection.
func measure(b *testing.B, socket string) {
	c, err := net.Dial("unix", socket)
	require.NoError(b, err)
	defer func() { _ = c.Close() }()
	body := `{"value":{"name":"Ada","list":[1,2,3]},"namespace":"guest","action_name":"/guest/hello","action_version":"0.0.1",` +
		`"activation_id":"` + strings.Repeat("a", 32) + `","transaction_id":"tid","deadline":"1570223213407"}`
	request := fmt.Appendf(nil, "POST /run HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	answers := bufio.NewReader(c)
	var times []time.Duration
	for b.Loop() {
		begin := time.Now()
		_, err := c.Write(request)
		require.NoError(b, err)
		answer, err := http.ReadResponse(answers, nil)
		require.NoError(b, err)
		_, err = io.Copy(io.Discard, answer.Body)
		require.NoError(b, err)
		times = append(times, time.Since(begin))
		if answer.StatusCode != http.StatusOK {
			b.Fatalf("status %d", answer.StatusCode)
		}
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1000, "p50-µs")
}

// BenchmarkStart measures spawn to ready, beside the bare interpreter running an
// empty program.
func BenchmarkStart(b *testing.B) {
	for _, family := range []string{"nodejs", "python"} {
		i := interpreters(b)[family]
		b.Run(family+"/proxy", func(b *testing.B) {
			for b.Loop() {
				p := startProxy(b, i.Kind, []string{"NODE_EXTRA_CA_CERTS="}, nil, "--interpreter", i.Path)
				require.NoError(b, p.command.Process.Kill())
				_ = p.command.Wait()
			}
		})
		b.Run(family+"/bare", func(b *testing.B) {
			for b.Loop() {
				command := exec.Command(i.Path, "/dev/null")
				command.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS=")
				require.NoError(b, command.Run())
			}
		})
	}
}
