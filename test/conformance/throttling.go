package conformance

import (
	"net/http"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
)

var throttling = []Case{
	{162, "invocations_per_minute", func(c *Fixture) {
		n := c.fresh()
		n.PutAction(c, "echo", echo)
		c.limited(n, "invocationsPerMinute", "1")
		answer := n.Post(c, "_/actions/echo", `{}`).Is(c, 202)
		// The first refusal follows the one call that a calendar minute allows,
		// even if a minute ends between two calls.
		for answer.Status == http.StatusAccepted {
			answer = n.Post(c, "_/actions/echo", `{}`)
		}
		c.isError(answer, 429, "Too many requests in the last minute (count: 2, allowed: 1).")
	}},
	{163, "fires_per_minute", func(c *Fixture) {
		n := c.fresh()
		n.Put(c, "_/triggers/t", `{}`).Is(c, 200)
		c.limited(n, "firesPerMinute", "0")
		answer := n.Post(c, "_/triggers/t", `{}`)
		c.isError(answer, 429, "Too many requests in the last minute (count: 1, allowed: 0).")
	}},
	{164, "concurrent_invocations", func(c *Fixture) {
		n := c.fresh()
		n.PutAction(c, "slow", slow.With(harness.Limits{Timeout: 300000}))
		c.limited(n, "concurrentInvocations", "1")
		id := n.Post(c, "_/actions/slow", `{"ms":3000}`).Is(c, 202).ActivationID()
		c.isError(c.refused(func() *harness.Response { return n.Post(c, "_/actions/slow", `{"ms":1}`) }), 429, "Too many concurrent requests in flight (count: 1, allowed: 1).")
		n.Activation(c, id)
		harness.Until(c, "the slot to be free again", func() bool {
			return n.Post(c, "_/actions/slow?blocking=true", `{"ms":1}`).Status == http.StatusOK
		})
	}},
	{165, "reading_and_writing_while_throttled", func(c *Fixture) {
		n := c.fresh()
		n.PutAction(c, "echo", echo)
		c.limited(n, "invocationsPerMinute", "0")
		c.isErrorWith(n.Post(c, "_/actions/echo", `{}`), 429, "allowed: 0).")
		n.Get(c, "_/actions/echo").Is(c, 200)
		n.PutAction(c, "echo", echo)
		n.Get(c, "_/activations").Is(c, 200)
		n.Delete(c, "_/actions/echo").Is(c, 200)
	}},
	{166, "activations_are_not_stored", func(c *Fixture) {
		n := c.fresh()
		n.PutAction(c, "echo", echo)
		n.Limit(c, c.Target, "storeActivations", "false")
		harness.Until(c, "storeActivations to act", func() bool {
			return n.Get(c, "_/limits").Is(c, 200).Field("storeActivations").Raw == "false"
		})
		id := n.Post(c, "_/actions/echo?blocking=true", `{"x":1}`).Is(c, 200).ActivationID()
		// A record would have been there before that of a later activation, at the latest.
		n.Post(c, "_/actions/echo?blocking=true", `{}`).Is(c, 200)
		c.is404(n.Get(c, "_/activations/"+id))
		c.sameJSON(`[]`, string(n.Get(c, "_/activations").Is(c, 200).Body))
	}},
	{167, "memory_of_the_namespace", func(c *Fixture) {
		n := c.fresh()
		c.limited(n, "maxActionMemory", "200")
		c.isErrorWith(n.Put(c, "_/actions/a", echo.With(harness.Limits{Memory: 256})), 400, "exceeds allowed threshold of 200 MB")
		n.Put(c, "_/actions/a", echo.With(harness.Limits{Memory: 200})).Is(c, 200)
	}},
	{168, "block_and_unblock", func(c *Fixture) {
		n := c.fresh()
		n.Get(c, "_/actions").Is(c, 200)
		blocked := c.Target.Admin(c, "user", "block", n.Name).OK(c)
		require.Equal(c, `"`+n.Name+`" blocked successfully`, blocked.Stdout)
		harness.Until(c, "the block to act", func() bool { return n.Get(c, "_/actions").Status == 401 })
		unblocked := c.Target.Admin(c, "user", "unblock", n.Name).OK(c)
		require.Equal(c, `"`+n.Name+`" unblocked successfully`, unblocked.Stdout)
		harness.Until(c, "the end of the block", func() bool { return n.Get(c, "_/actions").Status == 200 })
	}},
}

// limited sets a limit of the namespace and waits until the platform shows it.
func (c *Fixture) limited(n *harness.Namespace, limit, value string) {
	c.Helper()
	n.Limit(c, c.Target, limit, value)
	harness.Until(c, limit+" to act", func() bool {
		return n.Get(c, "_/limits").Is(c, 200).Field(limit).Raw == value
	})
}
