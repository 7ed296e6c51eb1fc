// Package cluster runs the suites against clusters of real processes over a real Kafka.
package cluster

import (
	"testing"

	"github.com/gowhisk/gowhisk/test/conformance"
	"github.com/gowhisk/gowhisk/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestConformance(t *testing.T) {
	c := harness.StartCluster(t, harness.ClusterOptions{Kafka: harness.StartKafka(t, harness.KafkaOptions{}), CouchDB: harness.StartCouchDB(t)})
	conformance.Run(t, c)
}
