package kafka

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// prometheusMetrics are listed in docs/metrics.md.
type prometheusMetrics struct {
	appends, commits             prometheus.Histogram
	appendFailures, commitFailed prometheus.Counter
	moved, deadLetters           prometheus.Counter
	dropped                      *prometheus.CounterVec
}

// NewMetrics registers the metrics of a bus.
func NewMetrics(reg prometheus.Registerer) Metrics {
	f := promauto.With(reg)
	buckets := prometheus.ExponentialBuckets(0.0001, 2.5, 12)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "gowhisk_bus_" + name, Help: help})
	}
	return &prometheusMetrics{
		appends:        f.NewHistogram(prometheus.HistogramOpts{Name: "gowhisk_bus_append_seconds", Help: "How long appends to topics took until they were acknowledged.", Buckets: buckets}),
		commits:        f.NewHistogram(prometheus.HistogramOpts{Name: "gowhisk_bus_commit_seconds", Help: "How long commits of a queue's state took.", Buckets: buckets}),
		appendFailures: counter("append_failures_total", "Appends to topics that were not acknowledged."),
		commitFailed:   counter("commit_failures_total", "Commits of a queue's state that were refused or not answered; they are tried again."),
		moved:          counter("moved_total", "Messages that this process moved to an overflow queue."),
		deadLetters:    counter("dead_letters_total", "Messages that could not be read and were kept in the topic deadletter."),
		dropped:        f.NewCounterVec(prometheus.CounterOpts{Name: "gowhisk_bus_dropped_total", Help: "Completions and events that were dropped because the bus did not take them."}, []string{"topic"}),
	}
}

func (m *prometheusMetrics) Appended(d time.Duration)  { m.appends.Observe(d.Seconds()) }
func (m *prometheusMetrics) AppendFailed()             { m.appendFailures.Inc() }
func (m *prometheusMetrics) Committed(d time.Duration) { m.commits.Observe(d.Seconds()) }
func (m *prometheusMetrics) CommitFailed()             { m.commitFailed.Inc() }
func (m *prometheusMetrics) Moved(n int)               { m.moved.Add(float64(n)) }
func (m *prometheusMetrics) DeadLetter()               { m.deadLetters.Inc() }
func (m *prometheusMetrics) Dropped(topic string)      { m.dropped.WithLabelValues(topic).Inc() }
