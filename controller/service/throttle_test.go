package service_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	waitAtMost = 10 * time.Second
	pollEvery  = 2 * time.Millisecond
)

// Cases 162 to 168 of openwhisk-rest-api.md section 28.9.
func TestThrottlingAndAdministration(t *testing.T) {
	w := newWorld(t)
	w.a.action("echo")
	w.a.action("slow")

	t.Run("case_162_165_invocations_per_minute", func(t *testing.T) {
		w.limit("ns", `{"invocationsPerMinute":1}`)
		w.a.post("_/actions/none", "").is(404) // counts all the same
		w.a.post("_/actions/echo", "").fails(429, "Too many requests in the last minute (count: 2, allowed: 1).")
		w.a.get("_/actions/echo").is(200)
		w.a.put("_/actions/echo?overwrite=true", "{}").is(200)
		w.clock.Advance(time.Minute)
		w.a.post("_/actions/echo", "").is(202)
	})
	t.Run("case_164_concurrent_invocations", func(t *testing.T) {
		w.limit("ns", `{"concurrentInvocations":1}`)
		release := w.worker.hold("slow")
		defer release()
		eventually(t, "the activations before this one to end", func() bool {
			return w.a.post("_/actions/slow", "").status == 202
		})
		w.a.post("_/actions/slow", "").fails(429, "Too many concurrent requests in flight (count: 1, allowed: 1).")
		release()
		eventually(t, "the slot", func() bool { return w.a.post("_/actions/echo", "").status == 202 })
	})
	t.Run("case_166_activations_that_are_not_stored", func(t *testing.T) {
		w.limit("ns", `{"storeActivations":false}`)
		id := w.a.post("_/actions/echo?blocking=true", "").is(200).object()["activationId"].(string)
		w.a.get("_/activations/" + id).is(404)
	})
	t.Run("case_168_block_and_unblock", func(t *testing.T) {
		w.a.subject.Blocked = true
		require.NoError(t, w.db.Subjects().PutSubject(t.Context(), w.a.subject))
		w.a.get("/api/v1/namespaces").is(401)
		w.a.subject.Blocked = false
		require.NoError(t, w.db.Subjects().PutSubject(t.Context(), w.a.subject))
		w.a.get("/api/v1/namespaces").is(200)
	})
}
