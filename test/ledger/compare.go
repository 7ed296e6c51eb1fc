package ledger

import (
	"strings"
	"sync"
	"testing"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

// Compare waits until the platform has nothing left to do and holds the views against
// each other. kills is for the report.
func Compare(t testing.TB, client *harness.Client, told *Ledger, recorder *harness.Recorder, kills int) {
	t.Helper()
	told.requireRecords(t, client)
	// One more call per action ends after all that was queued before it.
	for _, name := range names {
		client.Invoke(t, name, `{}`).Is(t, 200)
	}

	records := allRecords(t, client)
	runs := recorder.Counts()
	// Everything that the recorder saw run was accepted once, whether or not its
	// client ever knew the id.
	harness.Until(t, "a record of everything that ran", func() bool {
		for id := range runs {
			if _, ok := records[id]; !ok {
				records = allRecords(t, client)
				return false
			}
		}
		return true
	})

	var twice, lost, forged []string
	outcomes := map[string]int{}
	for id, record := range records {
		if isComposed(record) {
			continue
		}
		outcomes[record.Get("response.status").String()]++
		if runs[id] > 1 {
			twice = append(twice, id)
		}
		if record.Get("response.success").Bool() {
			if runs[id] != 1 {
				lost = append(lost, id)
			}
			if record.Get("response.result.id").String() != id {
				forged = append(forged, record.Raw)
			}
		}
	}
	require.Empty(t, twice, "activations that ran more than once")
	require.Empty(t, lost, "activations recorded as a success that did not run once")
	require.Empty(t, forged, "records with the result of another activation")
	ahead := agrees(t, told, records)
	composed := requireSteps(t, records)
	require.Equal(t, len(records), int(client.Get(t, "_/activations?count=true").Is(t, 200).Field("activations").Int()), "records in the list and by id")
	require.Empty(t, told.surprise, "answers that no client should see")

	t.Logf("%d kills: %d activations accepted and known to a client, %d requests cut off, %v refused", kills, len(told.answers), told.unknown, told.refused)
	t.Logf("%d records, %d of them of sequences and fires, the others %v; %d activations ran, 0 without a record, 0 ran twice, %d answered just ahead of a crash record",
		len(records), composed, outcomes, len(runs), ahead)
}

// requireRecords waits for the record of everything that was accepted.
func (l *Ledger) requireRecords(t testing.TB, client *harness.Client) {
	t.Helper()
	ids := make(chan string)
	var missing []string
	var mu sync.Mutex
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for id := range ids {
				// Recovery may still be running what was only queued; a record that never
				// comes fails here, after the harness' patience.
				if record := client.Activation(t, id); record.Get("activationId").String() != id {
					mu.Lock()
					missing = append(missing, id)
					mu.Unlock()
				}
			}
		})
	}
	for id := range l.answers {
		ids <- id
	}
	close(ids)
	readers.Wait()
	require.Empty(t, missing, "accepted activations without a record")
}

// isComposed reports whether the record is a sequence's or a fire's, which run nothing
// themselves.
func isComposed(record gjson.Result) bool {
	name := record.Get("name").String()
	return name == "seq" || name == "fired"
}

// requireSteps checks that what sequences and fires say they have run has records, and
// returns how many of them there are.
func requireSteps(t testing.TB, records map[string]gjson.Result) (composed int) {
	t.Helper()
	for id, record := range records {
		if !isComposed(record) {
			continue
		}
		composed++
		for _, line := range record.Get("logs").Array() {
			step := line.String()
			if record.Get("name").String() == "fired" {
				fired := gjson.Parse(step)
				if !fired.Get("success").Bool() {
					continue
				}
				step = fired.Get("activationId").String()
			}
			_, ok := records[step]
			require.Truef(t, ok, "%s says that it ran %s, which has no record: %s", id, step, record.Raw)
		}
	}
	return composed
}

// agrees checks that a client who saw the end of an activation saw what its
// record says. A result may go ahead of its record (durability.md section 3): if
// the server was killed between the two, the record tells of the crash. agrees
// returns how often that happened.
func agrees(t testing.TB, told *Ledger, records map[string]gjson.Result) (ahead int) {
	t.Helper()
	for id, seen := range told.answers {
		record, ok := records[id]
		require.Truef(t, ok, "activation %s is not in the list", id)
		if seen.status == 202 {
			continue
		}
		if record.Get("response.status").String() == "whisk internal error" && seen.status == 200 {
			ahead++
			continue
		}
		if isComposed(record) {
			require.Equalf(t, seen.status == 200, record.Get("response.success").Bool(), "activation %s: the client saw %d, the record says %s", id, seen.status, record.Raw)
			continue
		}
		require.Equalf(t, seen.status == 200, record.Get("response.success").Bool(), "activation %s: the client saw %d, the record says %s", id, seen.status, record.Raw)
		require.Equalf(t, seen.ran, record.Get("response.result.id").String(), "activation %s", id)
	}
	return ahead
}

// allRecords reads every activation record of the namespace, page by page, and
// checks that none is there twice.
func allRecords(t testing.TB, client *harness.Client) map[string]gjson.Result {
	t.Helper()
	records := map[string]gjson.Result{}
	for _, name := range append([]string{"seq", "fired"}, names...) {
		for _, record := range client.Records(t, name) {
			id := record.Get("activationId").String()
			if _, there := records[id]; there {
				t.Fatalf("activation %s is recorded under two names", id)
			}
			require.Falsef(t, strings.Contains(record.Get("name").String(), "/"), "name of %s", id)
			records[id] = record
		}
	}
	return records
}
