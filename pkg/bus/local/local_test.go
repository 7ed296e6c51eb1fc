package local_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/bustest"
	"github.com/gowhisk/gowhisk/pkg/bus/local"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashFile); path != "" {
		fmt.Fprintln(os.Stderr, serveUntilKilled(path))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func TestConformance(t *testing.T) {
	bustest.Run(t, func(t *testing.T) bustest.Bus { return open(t, filepath.Join(t.TempDir(), "gowhisk.db")) })
}

// open opens the file once more at each Reopen, with the earlier ones left
// behind, as a killed process leaves the file.
func open(t *testing.T, path string) bustest.Bus {
	t.Helper()
	db, err := sqlite.Open(context.Background(), sqlite.Options{Path: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	b := local.New(db, local.Options{})
	return bustest.Bus{
		Publisher: b, Completer: b, Journal: b, Queue: b.Queue, HandleCompletions: b.HandleCompletions,
		Activations: db.Activations(), Reopen: func() bustest.Bus { return open(t, path) },
		MaxMessage: local.DefaultMaxMessage, RefusesDuplicates: true,
	}
}

// openMemory returns a bus in memory with its queue 0.
func openMemory(t testing.TB, o local.Options) (*sqlite.DB, *local.Bus, bus.Queue) {
	t.Helper()
	db, err := sqlite.Open(context.Background(), sqlite.Options{InMemory: true})
	require.NoError(t, err)
	b := local.New(db, o)
	q, err := b.Queue(0)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, q.Close())
		require.NoError(t, db.Close())
	})
	return db, b, q
}

// claimAside claims in a goroutine: the Claim may or may not wait already when the
// caller publishes.
func claimAside(t *testing.T, q bus.Queue, max int) <-chan []bus.Delivery {
	t.Helper()
	got := make(chan []bus.Delivery, 1)
	go func() {
		list, err := q.Claim(context.Background(), max)
		if err != nil {
			t.Error(err)
		}
		got <- list
	}()
	return got
}

func TestWaitingClaimGetsTheVeryMessage(t *testing.T) {
	_, b, q := openMemory(t, local.Options{})
	for range 20 {
		got := claimAside(t, q, 1)
		m := bustest.Message()
		require.NoError(t, b.Publish(context.Background(), 0, m))
		require.Same(t, m, (<-got)[0].Message, "nothing is decoded for a message of this process")
	}
}

func TestUnreadableRowIsDeliveredWithItsError(t *testing.T) {
	ctx := context.Background()
	db, b, q := openMemory(t, local.Options{})
	good := bustest.Message()
	require.NoError(t, b.Publish(ctx, 0, bustest.Message()))
	require.NoError(t, b.Publish(ctx, 0, good))
	require.NoError(t, q.Close())
	require.NoError(t, db.Write(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.Exec(`UPDATE messages SET body = '{"broken' WHERE id <> ?`, string(good.ActivationID))
		return err
	}))
	q, err := b.Queue(0) // another owner, that has nothing in memory
	require.NoError(t, err)
	defer q.Close()

	list, err := q.Claim(ctx, 2)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Nil(t, list[0].Message)
	require.Error(t, list[0].Err)
	require.Equal(t, `{"broken`, string(list[0].Raw))
	require.Equal(t, good.ActivationID, list[1].Message.ActivationID, "the next message is not held up")

	require.NoError(t, q.Release(ctx, list[:1]))
	list[0].Offset = mustClaim(t, q)[0].Offset
	back, err := q.Recover(ctx)
	require.NoError(t, err)
	require.Len(t, back, 2)
	require.NoError(t, q.Settle(ctx, bus.Settlement{Delivery: list[0]}))
	back, err = q.Recover(ctx)
	require.NoError(t, err)
	require.Len(t, back, 1)
	require.Equal(t, good.ActivationID, back[0].Message.ActivationID)
}

func mustClaim(t *testing.T, q bus.Queue) []bus.Delivery {
	t.Helper()
	list, err := q.Claim(context.Background(), 1)
	require.NoError(t, err)
	return list
}

func TestMaxMessageIsAnOption(t *testing.T) {
	_, b, _ := openMemory(t, local.Options{MaxMessage: 100})
	err := b.Publish(context.Background(), 0, bustest.Message())
	require.ErrorIs(t, err, bus.ErrTooLarge)
	require.ErrorContains(t, err, "allowed are 100")
}

// TestHandOverGoesOnAfterADuplicate: a refused message leaves the queue as it
// was, so that the next one finds the waiting claim.
func TestHandOverGoesOnAfterADuplicate(t *testing.T) {
	ctx := context.Background()
	_, b, q := openMemory(t, local.Options{})
	held := bustest.Message()
	got := claimAside(t, q, 1)
	require.NoError(t, b.Publish(ctx, 0, held))
	<-got
	for range 5 {
		got = claimAside(t, q, 1)
		require.ErrorIs(t, b.Publish(ctx, 0, held), bus.ErrDuplicate)
		next := bustest.Message()
		require.NoError(t, b.Publish(ctx, 0, next))
		require.Equal(t, next.ActivationID, (<-got)[0].Message.ActivationID)
	}
	n, err := q.Backlog(ctx)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestClaimRefusesNonsense(t *testing.T) {
	_, _, q := openMemory(t, local.Options{})
	_, err := q.Claim(context.Background(), 0)
	require.ErrorContains(t, err, "must be positive")
}

func TestCompletionIsADirectCall(t *testing.T) {
	_, b, _ := openMemory(t, local.Options{})
	var got *bus.Completion
	stop := b.HandleCompletions("0", func(c *bus.Completion) { got = c })
	defer stop()
	sent := &bus.Completion{Kind: bus.SlotFree, ActivationID: entity.NewActivationID()}
	require.NoError(t, b.Complete(context.Background(), "0", sent))
	require.Same(t, sent, got)
}
