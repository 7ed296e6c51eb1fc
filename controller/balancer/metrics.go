package balancer

import "github.com/prometheus/client_golang/prometheus"

// gauges reads a balancer when metrics are collected. They are listed in
// docs/metrics.md.
type gauges struct {
	balancer                             *Balancer
	invokers, inFlight, booked, capacity *prometheus.Desc
}

// Register registers the balancer's gauges.
func (b *Balancer) Register(reg prometheus.Registerer) error {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("gowhisk_balancer_"+name, help, labels, nil)
	}
	return reg.Register(&gauges{
		balancer: b,
		invokers: desc("invokers", "Invokers by state: up, unhealthy, unresponsive or down.", "state"),
		inFlight: desc("activations_in_flight", "Activations that this controller has placed and that have not ended."),
		booked:   desc("memory_booked_megabytes", "Memory of invokers that this controller's activations use."),
		capacity: desc("memory_capacity_megabytes", "Memory of healthy invokers that is this controller's share."),
	})
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.invokers, g.inFlight, g.booked, g.capacity} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	t := g.balancer.Totals()
	for state, n := range t.Invokers {
		send(g.invokers, float64(n), State(state).String())
	}
	send(g.inFlight, float64(t.InFlight))
	send(g.booked, float64(t.Booked))
	send(g.capacity, float64(t.Capacity))
}
