package api

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/runtimes"
)

// pipes is a listener for connections in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Addr() net.Addr { return &net.UnixAddr{} }
func (p pipes) Close() error   { return nil }

// A client that does not send the body that it has announced is let go, also where
// nobody wants the body.
func TestBodiesThatDoNotCome(t *testing.T) {
	for _, c := range []struct{ name, request, status string }{
		{"refused", "POST /api/v1/namespaces/_/actions/a HTTP/1.1\r\nContent-Length: 1000", "401"},
		{"no_route", "PUT /nothing HTTP/1.1\r\nTransfer-Encoding: chunked", "404"},
		{"no_method", "DELETE /ping HTTP/1.1\r\nContent-Length: 1000", "405"},
		{"preflight", "OPTIONS /api/v1 HTTP/1.1\r\nContent-Length: 1000", "200"},
		{"read", "POST /read HTTP/1.1\r\nContent-Length: 1000", "400"},
		{"read_growing", "POST /read HTTP/1.1\r\nTransfer-Encoding: chunked", "400"},
		{"too_large", "POST /read HTTP/1.1\r\nContent-Length: 9000", "413"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, err := New(Config{RequestTimeout: time.Minute}, Deps{Manifest: runtimes.Default(), Metrics: uncounted{}, Log: zap.NewNop(), Now: time.Now})
				require.NoError(t, err)
				router := gin.New()
				router.HandleMethodNotAllowed = true
				a.Register(router)
				router.POST("/read", a.Serve(func(x *Exchange) error {
					_, err := x.ReadBody(8000, func(size int64) error { return RequestTooLarge(size, 8000) })
					return err
				}))
				listener := make(pipes)
				server := &http.Server{Handler: router, ReadHeaderTimeout: time.Second}
				go func() { _ = server.Serve(listener) }()
				mine, theirs := net.Pipe()
				listener <- theirs
				start := time.Now()
				_, err = fmt.Fprintf(mine, "%s\r\nHost: h\r\n\r\n", c.request)
				require.NoError(t, err)
				answer, err := io.ReadAll(mine)
				require.NoError(t, err)
				require.Contains(t, string(answer), "HTTP/1.1 "+c.status)
				require.Equal(t, bodyTimeout, time.Since(start))
				close(listener)
				require.NoError(t, server.Close())
			})
		})
	}
}
