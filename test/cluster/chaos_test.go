package cluster

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/gowhisk/gowhisk/test/ledger"
)

const (
	// enough accepted activations, the kills among which they come, and the clients.
	enough  = 10_000
	kills   = 24
	clients = 16
)

// platform is a cluster with a namespace whose actions note each run.
type platform struct {
	*harness.Cluster
	kafka    *harness.Kafka
	couchdb  *harness.CouchDB
	recorder *harness.Recorder
	guest    *harness.Namespace
	paths    []string
}

func newPlatform(t *testing.T, kafka harness.KafkaOptions, o harness.ClusterOptions) *platform {
	t.Helper()
	p := &platform{kafka: harness.StartKafka(t, kafka), couchdb: harness.StartCouchDB(t), recorder: harness.NewRecorder(t)}
	o.Kafka, o.CouchDB = p.kafka, p.couchdb
	p.Cluster = harness.StartCluster(t, o)
	p.guest = harness.NewNamespace(t, p.Cluster, "chaos")
	for name, action := range ledger.Actions(p.recorder.URL()) {
		p.guest.PutAction(t, name, action)
	}
	p.paths = ledger.Compositions(t, p.guest)
	return p
}

// load starts clients that go on whatever happens.
func (p *platform) load(ctx context.Context, told *ledger.Ledger, workers int, seed uint64) *ledger.Load {
	return ledger.Start(ctx, ledger.Options{
		Client: p.guest.Client, Ledger: told, Seed: seed, Workers: workers, Paths: p.paths, Persistent: true,
	})
}

// TestChaos kills invokers, controllers and the broker at random under load. All come
// back but one invoker, whose queue others take over.
func TestChaos(t *testing.T) {
	p := newPlatform(t, harness.KafkaOptions{}, harness.ClusterOptions{})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	told := ledger.New()
	ctx, stop := context.WithCancel(t.Context())
	load := p.load(ctx, told, clients, random.Uint64())
	counts := map[string]int{}
	for round := range kills {
		// The moment is counted in answers, not in time.
		load.WaitForAnswers(t, 50+random.IntN(2*enough/kills))
		victim := random.IntN(7)
		switch {
		case round == kills/2:
			p.Invokers[2].Kill(t) // for good
			counts["invokers for good"]++
		case victim < 3 && p.Invokers[victim].Runs():
			p.Invokers[victim].Kill(t)
			p.Invokers[victim].Restart(t)
			counts["invokers"]++
		case victim < 6:
			c := p.Controllers[victim%2]
			c.Kill(t)
			c.Restart(t)
			counts["controllers"]++
		default:
			p.kafka.Nodes[0].Restart(t)
			counts["brokers"]++
		}
	}
	for told.Accepted() < enough {
		load.WaitForAnswers(t, 100)
	}
	stop()
	load.Wait()
	t.Logf("killed: %v", counts)
	ledger.Compare(t, p.guest.Client, told, p.recorder, kills)
	// It comes back after all, finds nothing to do, and removes what its killed life left.
	runs := p.recorder.Counts()
	p.Invokers[2].Restart(t)
	p.WaitHealthy(t, 3)
	require.Equal(t, runs, p.recorder.Counts())
}

// TestStoreDown: while the store does not answer nothing is lost, and clients are told
// to wait; then the cluster catches up.
func TestStoreDown(t *testing.T) {
	p := newPlatform(t, harness.KafkaOptions{}, harness.ClusterOptions{})
	told := ledger.New()
	ctx, stop := context.WithCancel(t.Context())
	load := p.load(ctx, told, clients, 1)
	load.WaitForAnswers(t, 300)
	before := told.Accepted()
	p.couchdb.Pause(t)
	time.Sleep(30 * time.Second) // how long the store is down is what is tested
	p.couchdb.Resume(t)
	during := told.Accepted() - before
	load.WaitForAnswers(t, 300)
	stop()
	load.Wait()
	t.Logf("%d accepted while the store was down for 30 s", during)
	ledger.Compare(t, p.guest.Client, told, p.recorder, 0)
}

// TestLeaderKilled: three brokers keep every message, so that one may die with what it
// leads.
func TestLeaderKilled(t *testing.T) {
	p := newPlatform(t, harness.KafkaOptions{Nodes: 3}, harness.ClusterOptions{Replication: 3})
	told := ledger.New()
	ctx, stop := context.WithCancel(t.Context())
	load := p.load(ctx, told, clients, 1)
	for _, node := range p.kafka.Nodes {
		load.WaitForAnswers(t, 300)
		node.Kill(t) // the leader of a third of the topics
		load.WaitForAnswers(t, 100)
		node.Start(t)
		node.WaitReady(t)
	}
	load.WaitForAnswers(t, 300)
	stop()
	load.Wait()
	ledger.Compare(t, p.guest.Client, told, p.recorder, len(p.kafka.Nodes))
}

// TestRollingRestart stops and starts every process under load. No client notices.
func TestRollingRestart(t *testing.T) {
	p := newPlatform(t, harness.KafkaOptions{}, harness.ClusterOptions{})
	told := ledger.New()
	ctx, stop := context.WithCancel(t.Context())
	load := p.load(ctx, told, 8, 1)
	load.WaitForAnswers(t, 200)
	for _, m := range append(append([]*harness.Member{}, p.Controllers...), p.Invokers...) {
		m.StopInOrder(t)
		m.Restart(t)
		p.WaitHealthy(t, len(p.Invokers))
		load.WaitForAnswers(t, 200)
	}
	stop()
	load.Wait()
	refused, unknown, surprise := told.Failures()
	require.Empty(t, surprise)
	require.Zero(t, unknown, "requests that were cut off")
	require.Empty(t, refused, "requests that were refused")
	ledger.Compare(t, p.guest.Client, told, p.recorder, 0)
}
