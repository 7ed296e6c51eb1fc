package conformance

import (
	"testing"

	"github.com/gowhisk/gowhisk/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestStandalone(t *testing.T) {
	Run(t, harness.Start(t, harness.Options{}))
}
