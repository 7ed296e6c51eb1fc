package couchdb

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// behind opens the databases of db through a server that may answer bulk writes itself;
// spoil returns true if it has.
func behind(t *testing.T, db *DB, spoil func(w http.ResponseWriter, body []byte, forward http.Handler, r *http.Request) bool) *DB {
	t.Helper()
	target, err := url.Parse(db.cfg.URL)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/_bulk_docs") {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			if spoil(w, body, proxy, r) {
				return
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	cfg := db.cfg
	cfg.URL = server.URL
	again, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, again.Close()) })
	return again
}

func oneRecord(name string, logs ...string) *entity.Activation {
	return &entity.Activation{
		Namespace: "guest", Name: entity.Name(name), Version: entity.FirstVersion, Subject: "guest", ActivationID: entity.NewActivationID(),
		Start: 1, Response: entity.Response{Result: []byte(`{"a":1}`)}, Logs: logs, Annotations: entity.Parameters{},
	}
}

// TestARecordThatIsTooLargeKeepsNoOtherWaiting, and is stored as far as it can be.
func TestARecordThatIsTooLargeKeepsNoOtherWaiting(t *testing.T) {
	for name, cfg := range servers(t) {
		t.Run(name, func(t *testing.T) {
			db := behind(t, fresh(t, cfg), func(w http.ResponseWriter, body []byte, _ http.Handler, _ *http.Request) bool {
				if len(body) < 10_000 {
					return false
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				_, _ = w.Write([]byte(`{"error":"document_too_large","reason":"x"}`))
				return true
			})
			chatty, big, small := oneRecord("chatty", strings.Repeat("x", 9000), strings.Repeat("y", 9000)), oneRecord("big"), oneRecord("small")
			big.Response.Result = []byte(`{"x":"` + strings.Repeat("z", 20_000) + `"}`)
			stored, err := db.Activations().RecordAll(t.Context(), []*entity.Activation{small, chatty, big})
			require.NoError(t, err)
			require.Equal(t, []bool{true, true, true}, stored)
			got, err := db.Activations().Activation(t.Context(), "guest", chatty.ActivationID)
			require.NoError(t, err)
			require.Equal(t, []string{textLogsDropped}, got.Logs)
			require.JSONEq(t, `{"a":1}`, string(got.Response.Result))
			got, err = db.Activations().Activation(t.Context(), "guest", big.ActivationID)
			require.NoError(t, err)
			require.Contains(t, string(got.Response.Result), textResultDropped)
		})
	}
}

// TestAnAnswerThatIsLost: a write that was made and not answered is known to be ours.
func TestAnAnswerThatIsLost(t *testing.T) {
	for name, cfg := range servers(t) {
		t.Run(name, func(t *testing.T) {
			var lost atomic.Int32
			direct := fresh(t, cfg)
			db := behind(t, direct, func(w http.ResponseWriter, _ []byte, forward http.Handler, r *http.Request) bool {
				if lost.Add(1) > 1 {
					return false
				}
				forward.ServeHTTP(httptest.NewRecorder(), r)
				w.WriteHeader(http.StatusBadGateway)
				return true
			})
			mine, theirs := oneRecord("mine"), oneRecord("theirs")
			other := *theirs
			other.Name = "another"
			stored, err := direct.Activations().Record(t.Context(), &other)
			require.NoError(t, err)
			require.True(t, stored)
			all, err := db.Activations().RecordAll(t.Context(), []*entity.Activation{mine, theirs})
			require.NoError(t, err)
			require.Equal(t, []bool{true, false}, all)
			require.Greater(t, lost.Load(), int32(1))
		})
	}
}

// TestAServerThatStaysDown is an error in the end.
func TestAServerThatStaysDown(t *testing.T) {
	for name, cfg := range servers(t) {
		t.Run(name, func(t *testing.T) {
			db := behind(t, fresh(t, cfg), func(w http.ResponseWriter, _ []byte, _ http.Handler, _ *http.Request) bool {
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			})
			_, err := db.Activations().Record(t.Context(), oneRecord("a"))
			require.ErrorContains(t, err, "store the record guest/")
		})
	}
}
