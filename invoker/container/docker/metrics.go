package docker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics of a factory; docs/metrics.md lists them.
type metrics struct {
	starts    *prometheus.CounterVec // by outcome, as those below
	startTime prometheus.Histogram
	removals  *prometheus.CounterVec
	pulls     *prometheus.CounterVec
	pullTime  prometheus.Histogram
	memory    prometheus.Counter
	breaks    prometheus.Counter
}

// newMetrics registers the metrics with reg, or nowhere if that is nil. containers
// counts the factory's containers.
func newMetrics(reg prometheus.Registerer, containers func() float64) *metrics {
	factory := promauto.With(reg)
	counter := func(name, help string) prometheus.Counter {
		return factory.NewCounter(prometheus.CounterOpts{Name: "gowhisk_docker_" + name, Help: help})
	}
	outcomes := func(name, help string) *prometheus.CounterVec {
		v := factory.NewCounterVec(prometheus.CounterOpts{Name: "gowhisk_docker_" + name, Help: help}, []string{"outcome"})
		for _, outcome := range []string{ok, failed} {
			v.WithLabelValues(outcome)
		}
		return v
	}
	seconds := func(name, help string, first float64) prometheus.Histogram {
		return factory.NewHistogram(prometheus.HistogramOpts{
			Name: "gowhisk_docker_" + name, Help: help, Buckets: prometheus.ExponentialBuckets(first, 2, 12),
		})
	}
	factory.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gowhisk_docker_containers", Help: "Containers on the engine, with those that are being started or removed.",
	}, containers)
	return &metrics{
		starts:    outcomes("starts_total", "Starts of containers, by outcome: ok or failed."),
		startTime: seconds("start_seconds", "How long successful starts took, from the free place among parallel starts until the runtime listened.", 0.02),
		removals:  outcomes("removals_total", "Removals of containers, by outcome; failed ones are tried again."),
		pulls:     outcomes("pulls_total", "Pulls of images, by outcome."),
		pullTime:  seconds("pull_seconds", "How long successful pulls took.", 0.1),
		memory:    counter("out_of_memory_total", "Calls that failed because the container exceeded its memory."),
		breaks:    counter("engine_breaks_total", "How often the connection to the engine was lost."),
	}
}

// Outcomes.
const (
	ok     = "ok"
	failed = "failed"
)

func count(v *prometheus.CounterVec, err error) {
	outcome := ok
	if err != nil {
		outcome = failed
	}
	v.WithLabelValues(outcome).Inc()
}

func (m *metrics) started(began time.Time, err error) {
	count(m.starts, err)
	if err == nil {
		m.startTime.Observe(time.Since(began).Seconds())
	}
}

func (m *metrics) pulled(began time.Time, err error) {
	count(m.pulls, err)
	if err == nil {
		m.pullTime.Observe(time.Since(began).Seconds())
	}
}
