package service

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gowhisk/gowhisk/controller/compose"
	"github.com/gowhisk/gowhisk/controller/webhook"
)

// metrics implements what api and invoke count with, over Prometheus.
type metrics struct {
	requests    *prometheus.CounterVec
	durations   *prometheus.HistogramVec
	throttled   prometheus.Counter
	accepted    *prometheus.CounterVec
	blocking    prometheus.Counter
	nonBlocking prometheus.Counter
	refused     prometheus.Counter
	waitExpired prometheus.Counter
	lost        prometheus.Counter
	overflowed  prometheus.Counter
	began       *prometheus.CounterVec
	resumed     *prometheus.CounterVec
	deliveries  *prometheus.CounterVec
	clusterMetrics
}

// newMetrics registers the metrics; inFlight and composing are read when they are
// collected.
func newMetrics(r prometheus.Registerer, inFlight, composing func() float64) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gowhisk_controller_requests_total", Help: "Requests answered, by method, route pattern and status.",
		}, []string{"method", "route", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gowhisk_controller_request_duration_seconds", Help: "Time from the receipt of a request to its answer; blocking invocations wait for their action.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"method", "route"}),
		throttled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gowhisk_controller_throttled_total", Help: "Requests refused because of a rate or concurrency limit.",
		}),
		accepted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gowhisk_controller_activations_total", Help: "Activations that the bus accepted.",
		}, []string{"blocking"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gowhisk_controller_activations_refused_total", Help: "Activations that the bus did not accept.",
		}),
		waitExpired: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gowhisk_controller_waits_expired_total", Help: "Blocking invocations answered before their result was there.",
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gowhisk_controller_activations_lost_total", Help: "Activations whose slot was freed because no completion came in time.",
		}),
		overflowed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gowhisk_controller_activations_overflowed_total", Help: "Activations that no invoker had room for at once.",
		}),
	}
	m.clusterMetrics = newClusterMetrics()
	m.began = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gowhisk_controller_compositions_total", Help: "Sequences, compositions and trigger fires accepted.",
	}, []string{"kind"})
	m.resumed = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gowhisk_controller_compositions_resumed_total", Help: "Sequences, compositions and trigger fires gone on with after a stop or crash.",
	}, []string{"kind"})
	for _, kind := range []compose.Kind{compose.Sequence, compose.Composition, compose.TriggerFire} {
		m.began.WithLabelValues(string(kind))
		m.resumed.WithLabelValues(string(kind))
	}
	m.deliveries = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gowhisk_controller_webhook_deliveries_total", Help: "Deliveries to webhooks, by what became of them.",
	}, []string{"outcome"})
	for _, outcome := range webhook.Outcomes {
		m.deliveries.WithLabelValues(outcome)
	}
	running := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gowhisk_controller_compositions_running", Help: "Sequences, compositions and trigger fires under way.",
	}, composing)
	m.blocking, m.nonBlocking = m.accepted.WithLabelValues("true"), m.accepted.WithLabelValues("false")
	gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gowhisk_controller_activations_in_flight", Help: "Activations accepted that have not ended.",
	}, inFlight)
	for _, c := range []prometheus.Collector{m.requests, m.durations, m.throttled, m.accepted, m.refused, m.waitExpired, m.lost, gauge, m.began, m.resumed, running, m.deliveries} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Request implements api.Metrics.
func (m *metrics) Request(method, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(method, route, statusText(status)).Inc()
	m.durations.WithLabelValues(method, route).Observe(took.Seconds())
}

// statusText spares the usual answers a conversion.
func statusText(status int) string {
	switch status {
	case 200:
		return "200"
	case 202:
		return "202"
	}
	return strconv.Itoa(status)
}

// Delivery implements webhook.Metrics.
func (m *metrics) Delivery(outcome string) { m.deliveries.WithLabelValues(outcome).Inc() }

// Throttled implements api.Metrics.
func (m *metrics) Throttled() { m.throttled.Inc() }

// Accepted implements invoke.Metrics.
func (m *metrics) Accepted(blocking bool) {
	if blocking {
		m.blocking.Inc()
		return
	}
	m.nonBlocking.Inc()
}

// Refused implements invoke.Metrics.
func (m *metrics) Refused() { m.refused.Inc() }

// WaitExpired implements invoke.Metrics.
func (m *metrics) WaitExpired() { m.waitExpired.Inc() }

// LostActivation implements invoke.Metrics.
func (m *metrics) LostActivation() { m.lost.Inc() }

// Began implements compose.Metrics.
func (m *metrics) Began(k compose.Kind) { m.began.WithLabelValues(string(k)).Inc() }

// Resumed implements compose.Metrics.
func (m *metrics) Resumed(k compose.Kind) { m.resumed.WithLabelValues(string(k)).Inc() }
