package api

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/runtimes"
)

// fleet is a cluster's, told by its states.
type fleet map[string]string

func (f fleet) Invokers() map[string]string { return f }

type uncounted struct{}

func (uncounted) Request(string, string, int, time.Duration) {}
func (uncounted) Throttled()                                 {}

func TestReadinessOfAFleet(t *testing.T) {
	a, err := New(Config{RequestTimeout: time.Minute}, Deps{Manifest: runtimes.Default(), Metrics: uncounted{}, Log: zap.NewNop(), Now: time.Now})
	require.NoError(t, err)
	for _, c := range []struct {
		name   string
		fleet  fleet
		status int
		ready  string
		count  string
	}{
		{"all up", fleet{"invoker0/0": "up", "invoker1/1": "up"}, 200, `{"healthy":"2/2"}`, "2"},
		{"one down", fleet{"invoker0/0": "up", "invoker1/1": "down"}, 500, `{"unhealthy":"1/2"}`, "1"},
		{"nobody there", fleet{}, 500, `{"unhealthy":"0/0"}`, "0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := gin.New()
			a.RegisterInternal(r, Internal{Fleet: c.fleet})
			get := func(path string) *httptest.ResponseRecorder {
				w := httptest.NewRecorder()
				r.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
				return w
			}
			ready := get("/invokers/ready")
			require.Equal(t, c.status, ready.Code)
			require.Equal(t, c.ready, ready.Body.String())
			require.Equal(t, c.count, get("/invokers/healthy/count").Body.String())
		})
	}
}
