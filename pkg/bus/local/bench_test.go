package local_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/bus/bustest"
	"github.com/gowhisk/gowhisk/pkg/bus/local"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

// BenchmarkPublishClaimSettle is the bus's whole part of a blocking call: the
// caller publishes, one feed claims, a worker settles with a record of about
// 1 KB, and only then the caller goes on. cpu-µs/op is the process's CPU time.
func BenchmarkPublishClaimSettle(b *testing.B) {
	for _, synchronous := range []sqlite.Synchronous{sqlite.Normal, sqlite.Full} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", synchronous, callers), func(b *testing.B) {
				benchmarkCalls(b, synchronous, callers)
			})
		}
	}
}

// call is a caller's place: its workers' answer comes on done.
type call struct{ done chan struct{} }

func benchmarkCalls(b *testing.B, synchronous sqlite.Synchronous, callers int) {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(b.TempDir(), "gowhisk.db"), Synchronous: synchronous})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	bs := local.New(db, local.Options{})
	q, err := bs.Queue(0)
	if err != nil {
		b.Fatal(err)
	}
	calls := make([]call, callers)
	work := make(chan bus.Delivery, callers)
	var serving, calling errgroup.Group
	serving.Go(func() error { defer close(work); return feed(ctx, q, callers, work) })
	for range callers {
		serving.Go(func() error { return settleCalls(ctx, q, work, calls) })
	}
	each := (b.N + callers - 1) / callers
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime()
	for i := range calls {
		calls[i].done = make(chan struct{}, 1)
		calling.Go(func() error { return publishCalls(ctx, bs, i, each, calls[i].done) })
	}
	if err := calling.Wait(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64((cpuTime()-before).Microseconds())/float64(each*callers), "cpu-µs/op")
	if err := errors.Join(q.Close(), serving.Wait()); err != nil {
		b.Fatal(err)
	}
}

func publishCalls(ctx context.Context, b *local.Bus, caller, n int, done chan struct{}) error {
	template := *bustest.Message()
	template.Transid.Start = time.UnixMilli(int64(caller)) // tells the worker whom to answer
	for range n {
		m := template
		m.ActivationID = entity.NewActivationID()
		if err := b.Publish(ctx, 0, &m); err != nil {
			return err
		}
		<-done
	}
	return nil
}

func feed(ctx context.Context, q bus.Queue, window int, work chan<- bus.Delivery) error {
	for {
		list, err := q.Claim(ctx, window)
		if errors.Is(err, bus.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, d := range list {
			work <- d
		}
	}
}

func settleCalls(ctx context.Context, q bus.Queue, work <-chan bus.Delivery, calls []call) error {
	record := *bustest.Record(bustest.Message())
	record.Logs = []string{"2026-01-01T00:00:00.000000000Z     stdout: hello"}
	for d := range work {
		r := record
		r.ActivationID = d.Message.ActivationID
		r.Start++
		if err := q.Settle(ctx, bus.Settlement{Delivery: d, Record: &r}); err != nil {
			return err
		}
		calls[d.Message.Transid.Start.UnixMilli()].done <- struct{}{}
	}
	return nil
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
