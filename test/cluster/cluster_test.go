// Package cluster runs the suites against clusters of real processes over a real Kafka.
package cluster

import (
	"os"
	"testing"

	"github.com/gowhisk/gowhisk/test/conformance"
	"github.com/gowhisk/gowhisk/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestConformance(t *testing.T) {
	c := harness.StartCluster(t, harness.ClusterOptions{Kafka: harness.StartKafka(t, harness.KafkaOptions{}), CouchDB: harness.StartCouchDB(t)})
	conformance.Run(t, c)
	requireDocumented(t, c)
}

// urlVariable names a real CouchDB to run the suite on as well, with
// http://user:password@host:port.
const urlVariable = "COUCHDB_URL"

// TestConformanceOnCouchDB is the same where there is a real CouchDB. There is no
// package of it to install, so that most machines have none.
func TestConformanceOnCouchDB(t *testing.T) {
	url := os.Getenv(urlVariable)
	if url == "" {
		return
	}
	flags := harness.CouchDBFlags(t, url)
	c := harness.StartCluster(t, harness.ClusterOptions{Kafka: harness.StartKafka(t, harness.KafkaOptions{}), CouchDBFlags: flags})
	conformance.Run(t, c)
}
