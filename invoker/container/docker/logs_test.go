package docker

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/pkg/stdcopy"
	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/container/actionlog"
	"github.com/stretchr/testify/require"
)

// entry is an entry of the engine's log of a stream: 1 is stdout, 2 stderr.
func entry(stream byte, at time.Time, text string) []byte {
	line := at.UTC().Format("2006-01-02T15:04:05.000000000Z") + " " + text
	head := []byte{stream, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(head[4:], uint32(len(line)))
	return append(head, line...)
}

func reader() *logReader {
	return &logReader{container: &Container{framer: actionlog.New(1<<20, "")}}
}

func (r *logReader) read1(t *testing.T, entries ...[]byte) error {
	t.Helper()
	r.skip = r.read
	_, err := stdcopy.StdCopy(entriesOf(r, actionlog.Stdout), entriesOf(r, actionlog.Stderr), bytes.NewReader(bytes.Join(entries, nil)))
	return err
}

func entriesOf(r *logReader, s actionlog.Stream) entries { return entries{r, s} }

// TestLogsAcrossConnections: a stream that broke goes on without loss or
// repetition, also among entries of the same instant.
func TestLogsAcrossConnections(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1_000_000+int64(s), 5) }
	all := [][]byte{
		entry(1, at(0), "out 1\n"), entry(1, at(1), "out 2\n"), entry(2, at(1), "err 1\n"), entry(1, at(1), "out 3\n"),
		entry(1, at(1), "out 4\n"), entry(2, at(2), "err 2\n"), entry(1, at(3), "part "), entry(1, at(3), "and end\n"),
	}
	want := []string{"out 1", "out 2", "err 1", "out 3", "out 4", "err 2", "part and end"}
	// The engine starts with the first entry of an instant, of those that are no
	// earlier than it is asked for.
	instants := map[int]int{0: 0, 1: 1, 5: 2, 6: 3}
	for broken := range len(all) + 1 {
		for again, second := range instants {
			r := reader()
			require.NoError(t, r.read1(t, all[:broken]...))
			since, _, _ := strings.Cut(r.since(), ".")
			if from, _ := strconv.Atoi(since); int64(second) > max(int64(from)-1_000_000, 0) {
				continue // too late
			}
			require.NoError(t, r.read1(t, all[again:]...))
			logs := r.container.framer.Collect(t.Context(), container.LogQuery{Limit: 1})
			var got []string
			for _, l := range logs.Lines {
				got = append(got, l[len("2006-01-02T15:04:05.000000000Z stdout: "):])
			}
			require.Equal(t, want, got, "broken after %d, again from %d", broken, again)
		}
	}
}

func TestLogsSince(t *testing.T) {
	r := reader()
	require.Empty(t, r.since(), "all of it")
	require.NoError(t, r.read1(t, entry(1, time.Unix(100, 7), "x\n"), entry(2, time.Unix(200, 9), "y\n")))
	require.Equal(t, "100.000000007", r.since(), "from what was last seen of either")
	require.NoError(t, r.read1(t, entry(1, time.Unix(300, 7), "x\n"), entry(2, time.Unix(300, 9), "y\n")))
	require.Equal(t, "299.000000009", r.since(), "a moment earlier, for what the other stream may have")
}

func FuzzLogEntries(f *testing.F) {
	f.Add(entry(1, time.Unix(1, 2), "text\n"))
	f.Add(append(entry(2, time.Unix(1, 2), "text"), entry(1, time.Unix(0, 0), "\n")...))
	f.Add([]byte{3, 0, 0, 0, 0, 0, 0, 1, 'x'})
	f.Fuzz(func(t *testing.T, stream []byte) {
		if len(stream) >= 8 && binary.BigEndian.Uint32(stream[4:]) > 1<<20 {
			return // the copier makes room for what it is told
		}
		_ = reader().read1(t, stream) // any error is fine, but not a crash
	})
}
