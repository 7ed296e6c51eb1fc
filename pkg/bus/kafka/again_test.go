package kafka

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// TestCompletionsAreSentAgain: a completion whose append failed arrives once the broker
// is well again; else its controller would take the container for busy.
func TestCompletionsAreSentAgain(t *testing.T) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(fake.Close)
	b := newWorld(t, fake.ListenAddrs()).open(t, "invoker-0")
	arrived := make(chan entity.ActivationID, 8)
	_, err = b.HandleCompletions(t.Context(), "0", func(c *bus.Completion) { arrived <- c.ActivationID })
	require.NoError(t, err)
	// sarama does not try again after this one.
	fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.KafkaStorageError, Count: 3})
	ids := []entity.ActivationID{entity.NewActivationID(), entity.NewActivationID()}
	for _, id := range ids {
		require.NoError(t, b.Complete(deadline(t), "0", &bus.Completion{ActivationID: id}))
	}
	require.ElementsMatch(t, ids, []entity.ActivationID{<-arrived, <-arrived})
}

// TestInsistenceEnds: what nobody can take keeps no bus from closing.
func TestInsistenceEnds(t *testing.T) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(fake.Close)
	b := newWorld(t, fake.ListenAddrs()).open(t, "invoker-0")
	require.NoError(t, b.ensure(t.Context(), completedTopic("0"), signs))
	asked := make(chan struct{}, 100)
	fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.KafkaStorageError, Count: -1,
		When: func(kmsg.Request) bool { asked <- struct{}{}; return true }})
	require.NoError(t, b.Complete(deadline(t), "0", &bus.Completion{ActivationID: entity.NewActivationID()}))
	<-asked
	<-asked
	require.NoError(t, b.Close())
	require.ErrorIs(t, b.Complete(context.Background(), "0", &bus.Completion{}), bus.ErrClosed)
}
