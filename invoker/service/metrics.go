package service

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/pool"
)

// observer counts what the runner does. Its metrics are listed in
// docs/metrics.md.
type observer struct {
	pool.Runner
	starts    *prometheus.CounterVec
	outcomes  *prometheus.CounterVec
	occupied  prometheus.Histogram
	abandoned prometheus.Counter
}

func newObserver(r pool.Runner, reg prometheus.Registerer) *observer {
	factory := promauto.With(reg)
	return &observer{
		Runner: r,
		starts: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "gowhisk_invoker_container_starts_total",
			Help: "Activations by how they came by their container: warmed, prewarmed, cold or recreated.",
		}, []string{"kind", "state"}),
		outcomes: factory.NewCounterVec(prometheus.CounterOpts{
			Name: "gowhisk_invoker_runs_total",
			Help: "Runs by what became of their container: keep, destroy or reschedule.",
		}, []string{"outcome"}),
		occupied: factory.NewHistogram(prometheus.HistogramOpts{
			Name:    "gowhisk_invoker_run_seconds",
			Help:    "How long a run occupied its container, logs included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 10),
		}),
		abandoned: factory.NewCounter(prometheus.CounterOpts{
			Name: "gowhisk_invoker_abandoned_total",
			Help: "Activations that got no container.",
		}),
	}
}

// Run implements pool.Runner.
func (o *observer) Run(ctx context.Context, c container.Container, job pool.Job, initialise bool, start pool.StartKind, initialised func()) pool.Outcome {
	begun := time.Now()
	outcome := o.Runner.Run(ctx, c, job, initialise, start, initialised)
	o.occupied.Observe(time.Since(begun).Seconds())
	o.starts.WithLabelValues(job.Kind, start.String()).Inc()
	o.outcomes.WithLabelValues(outcome.String()).Inc()
	return outcome
}

// Abandon implements pool.Runner.
func (o *observer) Abandon(ctx context.Context, job pool.Job, err error) {
	o.abandoned.Inc()
	o.Runner.Abandon(ctx, job, err)
}

// gauges reads the pool when metrics are collected.
type gauges struct {
	service    *Service
	containers *prometheus.Desc
	memory     *prometheus.Desc
	limit      *prometheus.Desc
	waiting    *prometheus.Desc
	running    *prometheus.Desc
	backlog    *prometheus.Desc
	evictions  *prometheus.Desc
}

func registerGauges(reg prometheus.Registerer, s *Service) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("gowhisk_invoker_"+name, help, labels, nil)
	}
	reg.MustRegister(&gauges{
		service:    s,
		containers: desc("containers", "Containers by state.", "state"),
		memory:     desc("containers_memory_megabytes", "Memory limits of the containers together, by state.", "state"),
		limit:      desc("memory_limit_megabytes", "Memory that all containers together may have."),
		waiting:    desc("waiting", "Claimed activations that wait for a container."),
		running:    desc("running", "Activations that have a container."),
		backlog:    desc("backlog", "Accepted activations that are not claimed yet."),
		evictions:  desc("evictions_total", "Idle containers removed to make room for others."),
	})
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.containers, g.memory, g.limit, g.waiting, g.running, g.backlog, g.evictions} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	snapshot := g.service.Snapshot()
	for i, n := range snapshot.Containers {
		state := pool.State(i)
		if state == pool.Gone {
			continue
		}
		send(g.containers, float64(n), state.String())
		send(g.memory, float64(snapshot.Memory[i]), state.String())
	}
	send(g.limit, float64(snapshot.Limit))
	send(g.waiting, float64(snapshot.Waiting))
	send(g.running, float64(snapshot.Running))
	ch <- prometheus.MustNewConstMetric(g.evictions, prometheus.CounterValue, float64(snapshot.Evicted))
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if n, err := g.service.deps.Queue.Backlog(ctx); err == nil {
		send(g.backlog, float64(n))
	}
}
