package local_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/bustest"
	"github.com/gowhisk/gowhisk/pkg/bus/local"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

// crashFile names the file for the process that is going to be killed.
const crashFile = "GOWHISK_TEST_CRASH_FILE"

// The words of that process, each with an id: what it is about to publish, what
// was accepted, what it claimed and so might have run, what it recorded.
const (
	begun    = "begun"
	accepted = "accepted"
	claimed  = "claimed"
	recorded = "recorded"
)

// TestKilledProcessLosesNothing kills a process under load again and again
// (durability.md section 6): what was accepted is recorded or still queued, and
// nothing is claimed twice.
func TestKilledProcessLosesNothing(t *testing.T) {
	const kills = 12
	path := filepath.Join(t.TempDir(), "gowhisk.db")
	said := map[string]map[string]int{begun: {}, accepted: {}, claimed: {}, recorded: {}}
	for range kills {
		runUntilKilled(t, path, 200+rand.IntN(1500), said)
	}
	require.NotEmpty(t, said[recorded])

	db, err := sqlite.Open(context.Background(), sqlite.Options{Path: path})
	require.NoError(t, err)
	defer db.Close()
	q, err := local.New(db, local.Options{}).Queue(0)
	require.NoError(t, err)
	queued := queuedIDs(t, q, said[claimed])
	for id, times := range said[claimed] {
		require.Equal(t, 1, times, "activation %s was claimed more than once", id)
	}
	ids := recordedIDs(t, db)
	for id := range ids {
		require.Contains(t, said[begun], id, "a record of nothing")
		require.NotContains(t, queued, id, "recorded and queued")
	}
	for id := range said[recorded] {
		require.Contains(t, ids, id, "a record that Settle reported is gone")
	}
	for id := range said[accepted] {
		if !ids[id] {
			require.Contains(t, queued, id, "an accepted activation is lost")
		}
	}
	t.Logf("%d kills: %d accepted, %d recorded, %d still queued", kills, len(said[accepted]), len(ids), len(queued))
}

// runUntilKilled starts a process on the file and kills it after so many words.
func runUntilKilled(t *testing.T, path string, words int, said map[string]map[string]int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashFile+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ { // what is in the pipe at the kill was said too
		word, id, _ := strings.Cut(lines.Text(), " ")
		require.Contains(t, said, word, lines.Text())
		said[word][id]++
		if n == words {
			require.NoError(t, cmd.Process.Kill())
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "the process must not end by itself")
	require.Equal(t, -1, exit.ExitCode(), "killed, not failed")
}

// queuedIDs claims everything that is left and returns the ids of all in the queue.
func queuedIDs(t *testing.T, q bus.Queue, claims map[string]int) map[string]bool {
	t.Helper()
	ctx := context.Background()
	queued := make(map[string]bool)
	back, err := q.Recover(ctx)
	require.NoError(t, err)
	for _, d := range back {
		queued[string(d.Message.ActivationID)] = true
	}
	left, err := q.Backlog(ctx)
	require.NoError(t, err)
	for left > 0 {
		list, err := q.Claim(ctx, 100)
		require.NoError(t, err)
		for _, d := range list {
			queued[string(d.Message.ActivationID)] = true
			claims[string(d.Message.ActivationID)]++
		}
		left -= len(list)
	}
	return queued
}

func recordedIDs(t *testing.T, db *sqlite.DB) map[string]bool {
	t.Helper()
	list, err := db.Activations().List(context.Background(), store.ActivationQuery{Namespace: "guest"})
	require.NoError(t, err)
	ids := make(map[string]bool, len(list))
	for _, a := range list {
		require.False(t, ids[string(a.ActivationID)], "two records of one id")
		ids[string(a.ActivationID)] = true
	}
	return ids
}

// serveUntilKilled is the other process: publishers and claimers at full speed.
func serveUntilKilled(path string) error {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, sqlite.Options{Path: path})
	if err != nil {
		return err
	}
	b := local.New(db, local.Options{})
	q, err := b.Queue(0)
	if err != nil {
		return err
	}
	back, err := q.Recover(ctx)
	if err != nil {
		return err
	}
	for _, d := range back {
		crash := bustest.Record(d.Message)
		crash.Response = entity.ErrorResponse(entity.StatusWhiskError, "the invoker crashed")
		if err := q.Settle(ctx, bus.Settlement{Delivery: d, Record: crash}); err != nil {
			return err
		}
	}
	var g errgroup.Group
	for range 6 {
		g.Go(func() error { return publishForEver(ctx, b) })
	}
	for range 3 {
		g.Go(func() error { return claimForEver(ctx, q) })
	}
	return errors.Join(g.Wait(), db.Close())
}

func publishForEver(ctx context.Context, b *local.Bus) error {
	for {
		m := bustest.Message()
		say(begun, m)
		if err := b.Publish(ctx, 0, m); err != nil {
			return err
		}
		say(accepted, m)
	}
}

func claimForEver(ctx context.Context, q bus.Queue) error {
	for {
		list, err := q.Claim(ctx, 1+rand.IntN(8))
		if err != nil {
			return err
		}
		for _, d := range list {
			say(claimed, d.Message)
		}
		for _, d := range list {
			if err := q.Settle(ctx, bus.Settlement{Delivery: d, Record: bustest.Record(d.Message)}); err != nil {
				return err
			}
			say(recorded, d.Message)
		}
	}
}

// say writes one line in one call, which a pipe keeps whole.
func say(word string, m *bus.ActivationMessage) {
	fmt.Fprintf(os.Stdout, "%s %s\n", word, m.ActivationID)
}
