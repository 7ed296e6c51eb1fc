package kafka

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/bustest"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

// BenchmarkRoundTrip publishes, claims and completes one message after the other.
func BenchmarkRoundTrip(b *testing.B) {
	brokers := os.Getenv(brokersVariable)
	if brokers == "" {
		b.Fatalf("%s must name a Kafka; kfake says nothing about speed", brokersVariable)
	}
	db, err := sqlite.Open(b.Context(), sqlite.Options{InMemory: true})
	require.NoError(b, err)
	defer db.Close()
	cfg := DefaultConfig()
	cfg.Brokers, cfg.TopicPrefix = strings.Split(brokers, ","), "bench."
	x, err := Open(b.Context(), cfg, Options{UniqueName: "bench", Activations: db.Activations(), Log: zap.NewNop()})
	require.NoError(b, err)
	defer x.Close()
	q, err := x.Queue(b.Context(), 0)
	require.NoError(b, err)
	defer q.Close()
	left, err := q.Recover(b.Context())
	require.NoError(b, err)
	for _, d := range left {
		require.NoError(b, q.Settle(b.Context(), bus.Settlement{Delivery: d}))
	}
	completed := make(chan struct{}, 1)
	_, err = x.HandleCompletions(b.Context(), "0", func(*bus.Completion) { completed <- struct{}{} })
	require.NoError(b, err)
	for b.Loop() {
		m := bustest.Message()
		require.NoError(b, x.Publish(b.Context(), 0, m))
		list, err := q.Claim(b.Context(), 16)
		require.NoError(b, err)
		record := bustest.Record(m)
		require.NoError(b, q.Settle(b.Context(), bus.Settlement{Delivery: list[0], Record: record}))
		require.NoError(b, x.Complete(b.Context(), "0", completionOf(m, record)))
		<-completed
	}
}
