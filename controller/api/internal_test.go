package api

import (
	"context"
	"errors"
	"net/http"
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
		part   float64
		status int
		ready  string
		count  string
		// unusable is why the controller should get nothing.
		unusable error
	}{
		{"all up", fleet{"invoker0/0": "up", "invoker1/1": "up"}, 1, 200, `{"healthy":"2/2"}`, "2", nil},
		{"half is enough", fleet{"invoker0/0": "up", "invoker1/1": "down"}, .5, 200, `{"healthy":"1/2"}`, "1", nil},
		{"half is not enough", fleet{"invoker0/0": "up", "invoker1/1": "down"}, .6, 500, `{"unhealthy":"1/2"}`, "1", nil},
		{"none is never enough", fleet{"invoker0/0": "down"}, 0, 500, `{"unhealthy":"1/1"}`, "0", nil},
		{"one down", fleet{"invoker0/0": "up", "invoker1/1": "down"}, 1, 500, `{"unhealthy":"1/2"}`, "1", nil},
		{"nobody there", fleet{}, 1, 500, `{"unhealthy":"0/0"}`, "0", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := gin.New()
			a.RegisterInternal(r, Internal{Fleet: c.fleet, ReadyFraction: c.part, Usable: func(context.Context) error { return c.unusable }})
			get := func(path string) *httptest.ResponseRecorder {
				w := httptest.NewRecorder()
				r.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
				return w
			}
			want := http.StatusOK
			if c.status != want {
				want = http.StatusServiceUnavailable
			}
			require.Equal(t, want, get("/ready").Code)
			c.unusable = errors.New("the controller is stopping")
			require.Equal(t, http.StatusServiceUnavailable, get("/ready").Code)
			require.Equal(t, "not ready: the controller is stopping", get("/ready").Body.String())
			ready := get("/invokers/ready")
			require.Equal(t, c.status, ready.Code)
			require.Equal(t, c.ready, ready.Body.String())
			require.Equal(t, c.count, get("/invokers/healthy/count").Body.String())
		})
	}
}
