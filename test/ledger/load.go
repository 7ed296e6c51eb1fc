package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gowhisk/gowhisk/test/harness"
)

// names of the actions that Actions returns.
var names = []string{"node-a", "python-a", "node-b", "python-b"}

// Actions are short and longer ones in both languages. Each tells the recorder which
// activation runs, once per run.
func Actions(recorder string) map[string]harness.Action {
	node := harness.NodeCalling(`async function main({pause}) {
  await call("` + recorder + `/hit?key=" + process.env.__OW_ACTIVATION_ID)
  if (pause) await new Promise(done => setTimeout(done, pause))
  return {id: process.env.__OW_ACTIVATION_ID}
}`)
	python := harness.PythonCalling(`import os, time
def main(args):
    call("` + recorder + `/hit?key=" + os.environ["__OW_ACTIVATION_ID"])
    time.sleep(args.get("pause", 0) / 1000)
    return {"id": os.environ["__OW_ACTIVATION_ID"]}
`)
	return map[string]harness.Action{
		"node-a": node, "node-b": node.With(harness.Limits{Memory: 128}),
		"python-a": python, "python-b": python.With(harness.Limits{Memory: 128}),
	}
}

// Compositions makes a sequence and a trigger with a rule of the namespace's actions,
// and returns the paths at which load calls them.
func Compositions(t testing.TB, n *harness.Namespace) []string {
	t.Helper()
	n.Put(t, "_/actions/seq", fmt.Sprintf(`{"exec":{"kind":"sequence","components":["/%s/python-a","/%s/python-b"]}}`, n.Name, n.Name)).Is(t, 200)
	n.Put(t, "_/triggers/fired", `{}`).Is(t, 200)
	n.Put(t, "_/rules/rule", fmt.Sprintf(`{"trigger":"/%s/fired","action":"/%s/python-b"}`, n.Name, n.Name)).Is(t, 200)
	return []string{"_/actions/seq", "_/triggers/fired"}
}

// Load is a group of clients that call as fast as they are answered.
type Load struct {
	workers sync.WaitGroup
	answers chan struct{}
}

// NewLoad returns a load without clients.
func NewLoad() *Load { return &Load{answers: make(chan struct{}, 1<<18)} }

// Go adds a client, which runs until f returns.
func (l *Load) Go(f func()) { l.workers.Go(f) }

// Answered notes that a request was answered, or failed.
func (l *Load) Answered() { l.answers <- struct{}{} }

// Options of a load.
type Options struct {
	Client  *harness.Client
	Ledger  *Ledger
	Seed    uint64
	Workers int
	// Paths are called beside the actions, a quarter of the time.
	Paths []string
	// Persistent clients go on after a connection broke.
	Persistent bool
}

// Start starts a load that lasts until ctx ends.
func Start(ctx context.Context, o Options) *Load {
	l := NewLoad()
	for worker := range o.Workers {
		l.Go(func() {
			random := rand.New(rand.NewPCG(o.Seed, uint64(worker)))
			for ctx.Err() == nil {
				path := "_/actions/" + names[random.IntN(len(names))]
				if len(o.Paths) > 0 && random.IntN(4) == 0 {
					path = o.Paths[random.IntN(len(o.Paths))]
				}
				if random.IntN(2) == 0 && path != "_/triggers/fired" {
					path += "?blocking=true"
				}
				// Most calls are short; some are surely under way at a kill.
				pause := []int{0, 0, 0, 20, 200}[random.IntN(5)]
				r, err := o.Client.Try(context.WithoutCancel(ctx), http.MethodPost, path, fmt.Sprintf(`{"pause":%d}`, pause))
				o.Ledger.Note(r, err)
				if err != nil && !o.Persistent {
					return // the server is gone
				}
				if err != nil || r.Status == http.StatusServiceUnavailable {
					time.Sleep(10 * time.Millisecond) // as clients do that are refused
				}
				l.Answered()
			}
		})
	}
	return l
}

// WaitForAnswers waits until so many requests were answered, or failed, from now on.
func (l *Load) WaitForAnswers(t testing.TB, count int) {
	t.Helper()
	for range len(l.answers) {
		<-l.answers
	}
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	for i := range count {
		select {
		case <-l.answers:
		case <-deadline.C:
			t.Fatalf("the platform under load gave %d answers in two minutes, not %d", i, count)
		}
	}
}

// Wait waits for the end of the last requests.
func (l *Load) Wait() { l.workers.Wait() }
