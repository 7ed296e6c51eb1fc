package pool

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/gowhisk/gowhisk/invoker/container"
)

// doneRunner ends each job at once by a send on the job's own channel.
type doneRunner struct{}

func (doneRunner) Run(_ context.Context, _ container.Container, job Job, initialise bool, _ StartKind, initialised func()) Outcome {
	if initialise {
		initialised()
	}
	job.Payload.(chan struct{}) <- struct{}{}
	return Keep
}

func (doneRunner) Abandon(context.Context, Job, error) {}

func benchmarkLoop(b *testing.B) *Loop {
	l := NewLoop(DefaultConfig(64*1024), &fakeFactory{}, doneRunner{}, SystemClock{}, zap.NewNop())
	b.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
	})
	return l
}

func benchmarkIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.Itoa(i)
	}
	return ids
}

// BenchmarkLoopWarm is one warm job after the other: Submit, the hand-over to the
// container's goroutine, and the hand-over back to this one.
func BenchmarkLoopWarm(b *testing.B) {
	l := benchmarkLoop(b)
	done := make(chan struct{}, 1)
	j := job("", "hello", nil)
	j.Payload = done
	ids := benchmarkIDs(b.N + 1)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		j.ActivationID = ids[i]
		if err := l.Submit(j); err != nil {
			b.Fatal(err)
		}
		<-done
	}
}

// BenchmarkLoopManyActions is the same over 100 warm actions.
func BenchmarkLoopManyActions(b *testing.B) {
	l := benchmarkLoop(b)
	done := make(chan struct{}, 1)
	jobs := make([]Job, 100)
	for i := range jobs {
		jobs[i] = job("", fmt.Sprint("action", i), nil)
		jobs[i].Payload = done
	}
	ids := benchmarkIDs(b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		j := jobs[i%len(jobs)]
		j.ActivationID = ids[i]
		if err := l.Submit(j); err != nil {
			b.Fatal(err)
		}
		<-done
	}
}

// BenchmarkLoopBacklog keeps 32 jobs of one action in the pool: the container's
// goroutine takes one after the other without any hand-over.
func BenchmarkLoopBacklog(b *testing.B) {
	l := benchmarkLoop(b)
	done := make(chan struct{}, 64)
	j := job("", "hello", nil)
	j.Payload = done
	ids := benchmarkIDs(b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if i >= 32 {
			<-done
		}
		j.ActivationID = ids[i]
		if err := l.Submit(j); err != nil {
			b.Fatal(err)
		}
	}
	for range min(b.N, 32) {
		<-done
	}
}

// BenchmarkStepWarm is the pool alone: one warm job in and out.
func BenchmarkStepWarm(b *testing.B) {
	p := New(DefaultConfig(1024))
	now := epoch
	j := job("a", "hello", nil)
	for _, e := range []Event{
		Submit{&j}, Started{1}, Initialised{1}, Finished{Container: 1, ActivationID: "a"},
	} {
		p.Step(now, e)
	}
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Microsecond)
		p.Step(now, Submit{&j})
		p.Step(now, Finished{Container: 1, ActivationID: "a"})
	}
}
