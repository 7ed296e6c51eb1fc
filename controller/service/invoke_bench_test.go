package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/controller/balancer"
	"github.com/gowhisk/gowhisk/controller/service"
	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/local"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

// instant is a bus whose invoker has run an activation before Publish returns.
type instant struct {
	completed bus.CompletionHandler
	record    *entity.Activation
}

func (i *instant) Publish(_ context.Context, invoker entity.InvokerID, m *bus.ActivationMessage) error {
	i.completed(&bus.Completion{
		Kind: bus.Combined, ActivationID: m.ActivationID, Invoker: invoker, Record: i.record,
	})
	return nil
}

// discard is a client that reads nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// SetReadDeadline makes a http.ResponseController content.
func (d *discard) SetReadDeadline(time.Time) error { return nil }

// benchmarkWorld returns the handler of a controller over a store in memory, with
// a key and an action "echo" in its namespace.
func benchmarkWorld(b *testing.B, real bool) (http.Handler, entity.AuthKey) {
	ctx := b.Context()
	db, err := sqlite.Open(ctx, sqlite.Options{InMemory: true})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	cfg := service.Default()
	cfg.Throttle = service.Throttle{InvocationsPerMinute: 1 << 40, ConcurrentInvocations: 1 << 40, FiresPerMinute: 1}
	publisher := &instant{record: recordOf(&bus.ActivationMessage{}, entity.Response{Result: json.RawMessage(`{"greeting":"hello"}`)})}
	queues := local.New(db, local.Options{})
	var chosen bus.Publisher = publisher
	if real {
		chosen = queues
	}
	s, err := service.New(cfg, service.Deps{
		Entities: db.Entities(), Activations: db.Activations(), Subjects: db.Subjects(), Deliveries: db.Deliveries(), Publisher: chosen, Journal: queues,
		Balancer: balancer.Single(0), Manifest: runtimes.Default(), Log: zap.NewNop(), Registry: prometheus.NewRegistry(),
	})
	require.NoError(b, err)
	b.Cleanup(s.Close)
	publisher.completed = s.Completed
	if real {
		startWorker(b, queues)
		b.Cleanup(queues.HandleCompletions(entity.ControllerID(cfg.Controller), s.Completed))
	}
	key := entity.NewAuthKey()
	require.NoError(b, db.Subjects().PutSubject(ctx, &entity.Subject{Name: "alice", Namespaces: []entity.SubjectNamespace{{Name: "ns", AuthKey: key}}}))
	code := "function main(){}"
	require.NoError(b, db.Entities().Put(ctx, &entity.Action{
		Header: entity.Header{
			Namespace: "ns", Name: "echo", Version: entity.FirstVersion,
			Annotations: entity.Parameters{{Key: "web-export", Value: json.RawMessage("true")}, {Key: "final", Value: json.RawMessage("true")}},
		},
		Exec:       entity.Exec{Kind: "nodejs:20", Code: &code},
		Parameters: entity.Parameters{{Key: "greeting", Value: json.RawMessage(`"hello"`)}},
		Limits:     entity.DefaultLimitRanges().Std(),
	}))
	return s.Handler(), key
}

// BenchmarkBlockingInvoke is the controller's whole part of a warm blocking call,
// without the network, the queue and the container.
func BenchmarkBlockingInvoke(b *testing.B) { benchmarkInvoke(b, false) }

// BenchmarkBlockingInvokeThroughTheQueue adds the durable queue and the record.
func BenchmarkBlockingInvokeThroughTheQueue(b *testing.B) { benchmarkInvoke(b, true) }

// BenchmarkWebAction is the same of a web action, with the headers that a browser
// sends.
func BenchmarkWebAction(b *testing.B) {
	handler, _ := benchmarkWorld(b, false)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		request := httptest.NewRequest("GET", "/api/v1/web/ns/default/echo.json?name=world", nil)
		request.Header.Set("Accept", "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8")
		request.Header.Set("Accept-Language", "en")
		request.Header.Set("User-Agent", "Mozilla/5.0")
		w := &discard{header: http.Header{}}
		for pb.Next() {
			clear(w.header)
			handler.ServeHTTP(w, request)
			if w.status != http.StatusOK {
				b.Errorf("status %d", w.status)
				return
			}
		}
	})
}

func benchmarkInvoke(b *testing.B, real bool) {
	handler, key := benchmarkWorld(b, real)
	payload := []byte(`{"name":"world","n":[1,2,3]}`)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		request := httptest.NewRequest("POST", "/api/v1/namespaces/_/actions/echo?blocking=true&result=true", nil)
		request.Header.Set("Content-Type", "application/json")
		request.SetBasicAuth(key.UUID, key.Key)
		request.ContentLength = int64(len(payload))
		body := bytes.NewReader(payload)
		request.Body = io.NopCloser(body)
		w := &discard{header: http.Header{}}
		for pb.Next() {
			body.Reset(payload)
			clear(w.header)
			handler.ServeHTTP(w, request)
			if w.status != http.StatusOK {
				b.Errorf("status %d", w.status)
				return
			}
		}
	})
}
