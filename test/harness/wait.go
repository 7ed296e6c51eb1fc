package harness

import (
	"net/http"
	"testing"
	"time"

	"github.com/tidwall/gjson"
)

// patience bounds every wait for something that must come. It is far longer
// than anything should take, so that a busy machine fails no test.
const patience = 90 * time.Second

// Until asks condition again and again until it is true, and fails the test
// when it never is. It is for states that only the API can tell and nothing
// signals; what completes the sentence "waited for …".
func Until(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
		<-ticker.C
	}
}

// Activation returns the record of an activation as soon as it can be fetched.
func (c *Client) Activation(t testing.TB, id string) gjson.Result {
	t.Helper()
	var record gjson.Result
	Until(t, "the record of activation "+id, func() bool {
		r := c.Get(t, "_/activations/"+id).Is(t, http.StatusOK, http.StatusNotFound)
		record = r.JSON()
		return r.Status == http.StatusOK
	})
	return record
}

// Activations returns the summaries of all activations whose name is name, the
// newest first, reading as many pages as there are.
func (c *Client) Activations(t testing.TB, name string) []gjson.Result {
	t.Helper()
	return c.pages(t, name, "")
}

// Records returns the records of a name's activations, complete.
func (c *Client) Records(t testing.TB, name string) []gjson.Result {
	t.Helper()
	return c.pages(t, name, "&docs=true")
}

func (c *Client) pages(t testing.TB, name, query string) []gjson.Result {
	t.Helper()
	const page = 200
	var all []gjson.Result
	seen := map[string]bool{}
	for skip := 0; ; skip += page {
		items := c.Get(t, "_/activations?limit=200&skip="+itoa(skip)+"&name="+Segment(name)+query).Is(t, http.StatusOK).JSON().Array()
		for _, item := range items {
			// New records push old ones onto the next page while we read.
			if id := item.Get("activationId").String(); !seen[id] {
				seen[id] = true
				all = append(all, item)
			}
		}
		if len(items) < page {
			return all
		}
	}
}
