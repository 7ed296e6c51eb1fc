package kafka

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/bustest"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

// brokersVariable names a real Kafka to run the tests of this package on, beside the
// one in this process.
const brokersVariable = "GOWHISK_TEST_KAFKA"

// clusters are the Kafkas that the tests run on.
func clusters(t *testing.T) map[string][]string {
	t.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(fake.Close)
	all := map[string][]string{"Fake": fake.ListenAddrs()}
	if real := os.Getenv(brokersVariable); real != "" {
		all["Real"] = strings.Split(real, ",")
	}
	return all
}

// onEach runs a test on each Kafka.
func onEach(t *testing.T, f func(t *testing.T, brokers []string)) {
	for name, brokers := range clusters(t) {
		t.Run(name, func(t *testing.T) { f(t, brokers) })
	}
}

// world is one cluster's topics and records.
type world struct {
	cfg     Config
	records store.ActivationStore
}

func newWorld(t *testing.T, brokers []string) *world {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{InMemory: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	cfg := DefaultConfig()
	cfg.Brokers = brokers
	cfg.TopicPrefix = "t" + string(entity.NewActivationID())[:8] + "."
	return &world{cfg: cfg, records: db.Activations()}
}

// open is a process's end of the bus.
func (w *world) open(t *testing.T, unique string) *Bus {
	t.Helper()
	log := zap.NewNop()
	if testing.Verbose() {
		log = zaptest.NewLogger(t)
	}
	b, err := Open(t.Context(), w.cfg, Options{UniqueName: unique, Activations: w.records, MaxMessage: 2 << 20, Log: log})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	require.NoError(t, b.EnsureInvoker(t.Context()))
	return b
}

func (w *world) suite(t *testing.T) bustest.Bus {
	b := w.open(t, "test")
	for n := range entity.InvokerID(4) {
		require.NoError(t, b.ensure(t.Context(), invokerTopic(n), work))
	}
	return bustest.Bus{
		Publisher: b, Completer: b, Journal: b,
		Queue: func(i entity.InvokerID) (bus.Queue, error) { return b.Queue(context.Background(), i) },
		HandleCompletions: func(c entity.ControllerID, h bus.CompletionHandler) (stop func()) {
			stop, err := b.HandleCompletions(t.Context(), c, h)
			require.NoError(t, err)
			return stop
		},
		Activations: w.records,
		Reopen:      func() bustest.Bus { return w.suite(t) },
		MaxMessage:  2 << 20,
	}
}

func TestBus(t *testing.T) {
	onEach(t, func(t *testing.T, brokers []string) {
		bustest.Run(t, func(t *testing.T) bustest.Bus { return newWorld(t, brokers).suite(t) })
	})
}
