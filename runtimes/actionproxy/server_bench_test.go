package actionproxy

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// discard is a response writer that costs nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// BenchmarkServeRun measures the proxy's own part of a /run: everything but
// net/http and the launcher, which here answers "{}" from the next goroutine.
func BenchmarkServeRun(b *testing.B) {
	c, p := connected(b)
	go func() {
		lines := bufio.NewReaderSize(p.in, 1<<20)
		for {
			line, err := lines.ReadSlice('\n')
			if err != nil {
				return
			}
			id, _, _ := bytes.Cut(line[len("run "):], []byte(" "))
			if _, err := p.out.Write(append(bytes.Clone(id), " 200 {}\n"...)); err != nil {
				return
			}
		}
	}()
	s := newServer(options{kind: "nodejs:20"}, &launcher{conn: c})
	s.phase, s.markEnd = ready, func() string { return "" }
	body := strings.NewReader(`{"value":{"name":"Ada"},"activation_id":"` + strings.Repeat("a", 32) + `"}`)
	request, err := http.NewRequest(http.MethodPost, "/run", nil)
	require.NoError(b, err)
	request.Body, request.ContentLength = io.NopCloser(body), body.Size()
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		_, err := body.Seek(0, io.SeekStart)
		require.NoError(b, err)
		s.ServeHTTP(w, request)
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
}
