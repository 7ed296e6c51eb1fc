package service

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gowhisk/gowhisk/controller/membership"
	"github.com/gowhisk/gowhisk/pkg/bus"
)

// clusterMetrics are those of a controller that is one of several; they are registered
// only there.
type clusterMetrics struct {
	announceFailed prometheus.Counter
	dispatched     prometheus.Histogram
	dispatchFailed prometheus.Counter
	expired        prometheus.Counter
	duties         *prometheus.CounterVec
	drained        *prometheus.CounterVec
	beatFailed     prometheus.Counter
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "gowhisk_controller_" + name, Help: help})
}

func newClusterMetrics() clusterMetrics {
	m := clusterMetrics{
		announceFailed: counter("announcements_failed_total", "Writes of entities that not all controllers have heard of in time."),
		dispatched: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gowhisk_controller_overflow_wait_seconds", Help: "Time from the request of an activation that no invoker had room for until one was sent it.",
			Buckets: []float64{.01, .05, .1, .5, 1, 5, 10, 30, 60, 300, 900, 3600},
		}),
		dispatchFailed: counter("overflow_dispatches_failed_total", "Tries to send an activation of the overflow queue to an invoker that failed; they are repeated."),
		expired:        counter("overflow_expired_total", "Activations given up because they waited too long for room on an invoker."),
		duties: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gowhisk_controller_takeovers_total", Help: "Tries to take over from dead members, by what was to be taken and how it ended.",
		}, []string{"duty", "outcome"}),
		drained: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gowhisk_controller_taken_over_total", Help: "Messages of dead members, by what became of them: moved, ended with a record, or found to have one.",
		}, []string{"fate"}),
		beatFailed: counter("heartbeats_failed_total", "Heartbeats that could not be sent."),
	}
	for _, fate := range []string{"moved", "ended", "found"} {
		m.drained.WithLabelValues(fate)
	}
	return m
}

// registerCluster registers what only a controller of a cluster has.
func (m *metrics) registerCluster(r prometheus.Registerer, s *Service) error {
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "gowhisk_controller_" + name, Help: help}, func() float64 { return float64(value()) })
	}
	for _, c := range []prometheus.Collector{
		m.announceFailed, m.dispatched, m.dispatchFailed, m.expired, m.duties, m.drained, m.beatFailed, m.overflowed,
		gauge("overflow_waiting", "Activations that wait for room on an invoker.", s.invoker.Waiting),
		gauge("overflow_held", "Of those, how many are taken out of the queue and take turns.", s.cluster.dispatcher.Held),
		gauge("controllers", "Controllers of the cluster that live, this one too.", s.cluster.members.Controllers),
	} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// Overflowed implements invoke.Metrics.
func (m *metrics) Overflowed() { m.overflowed.Inc() }

// Dispatched implements overflow.Metrics.
func (m *clusterMetrics) Dispatched(waited time.Duration) { m.dispatched.Observe(waited.Seconds()) }

// DispatchFailed implements overflow.Metrics.
func (m *clusterMetrics) DispatchFailed() { m.dispatchFailed.Inc() }

// Expired implements overflow.Metrics.
func (m *clusterMetrics) Expired() { m.expired.Inc() }

// DutyDone implements membership.Metrics.
func (m *clusterMetrics) DutyDone(kind membership.Kind, err error) {
	outcome := "done"
	switch {
	case errors.Is(err, bus.ErrOwned):
		outcome = "owned"
	case err != nil:
		outcome = "failed"
	}
	m.duties.WithLabelValues(kind.String(), outcome).Inc()
}

// Drained implements membership.Metrics.
func (m *clusterMetrics) Drained(d bus.Drained) {
	m.drained.WithLabelValues("moved").Add(float64(d.Moved))
	m.drained.WithLabelValues("ended").Add(float64(d.Ended))
	m.drained.WithLabelValues("found").Add(float64(d.Found))
}

// BeatFailed implements membership.Metrics.
func (m *clusterMetrics) BeatFailed() { m.beatFailed.Inc() }
