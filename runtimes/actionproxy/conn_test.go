package actionproxy

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// peer is the other end of a conn under test.
type peer struct {
	requests *bufio.Reader
	in, out  *os.File
}

func connected(t testing.TB) (*conn, *peer) {
	t.Helper()
	theirIn, in, err := os.Pipe()
	require.NoError(t, err)
	out, theirOut, err := os.Pipe()
	require.NoError(t, err)
	c := newConn(in, out, identifyAnswer)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.read()
	}()
	t.Cleanup(func() {
		_, _ = theirIn.Close(), theirOut.Close() // ends the reader
		<-done
		_, _ = in.Close(), out.Close()
	})
	return c, &peer{bufio.NewReader(theirIn), theirIn, theirOut}
}

func TestConnAnswersOutOfOrder(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("calls", func(t *testing.T) {
		c, p := connected(t)
		const calls = 20
		var group sync.WaitGroup
		for id := range uint64(calls) {
			group.Go(func() {
				reply, err := c.call(id, fmt.Appendf(nil, "%d\n", id))
				if err != nil {
					t.Error(err)
					return
				}
				if want := fmt.Sprintf("%d 200 {\"n\":%d}", id, id); string(reply.b) != want {
					t.Errorf("got %q, want %q", reply.b, want)
				}
				reply.put()
			})
		}
		var answers []string
		for range calls {
			line, err := p.requests.ReadString('\n')
			require.NoError(t, err)
			id := strings.TrimSpace(line)
			answers = append([]string{id + " 200 {\"n\":" + id + "}\n"}, answers...)
		}
		_, err := p.out.WriteString("chatter\n" + strings.Join(answers, "999 200 nobody waits\n"))
		require.NoError(t, err)
		group.Wait()
	})
}

func TestConnLongLines(t *testing.T) {
	c, p := connected(t)
	long := strings.Repeat("x", 5<<20)
	go func() {
		line, err := p.requests.ReadString('\n')
		if err != nil || len(line) != len(long)+1 {
			t.Errorf("read %d bytes: %v", len(line), err)
		}
		_, _ = p.out.WriteString("1 200 \"" + long + "\"\n")
	}()
	reply, err := c.call(1, append([]byte(long), '\n'))
	require.NoError(t, err)
	require.Equal(t, len(long)+8, len(reply.b))
}

func TestConnEnds(t *testing.T) {
	c, p := connected(t)
	failed := make(chan error, 1)
	go func() {
		_, err := c.call(1, []byte("x\n"))
		failed <- err
	}()
	_, err := p.requests.ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, p.out.Close())
	require.ErrorIs(t, <-failed, errEnded)
	_, err = c.call(2, []byte("x\n"))
	require.ErrorIs(t, err, errGone)
}

// A process may answer and exit while one of its children keeps the pipe open:
// the answer counts, and the wait for more ends.
func TestConnLastAnswerBeforeExit(t *testing.T) {
	c, p := connected(t)
	answered, err := c.expect(1)
	require.NoError(t, err)
	waiting, err := c.expect(2)
	require.NoError(t, err)
	_, err = p.out.WriteString("1 200 {}\n")
	require.NoError(t, err)
	c.exited()
	require.Equal(t, "1 200 {}", string((<-answered).b))
	require.Nil(t, <-waiting)
}

func TestLastLine(t *testing.T) {
	for name, c := range map[string]struct{ writes, log, held string }{
		"one line":               {"{}\n", "", "{}\n"},
		"no line end":            {"a\n{}", "a\n", "{}"},
		"blank lines after":      {"a\n{}\n\n \n", "a\n", "{}\n\n \n"},
		"blank lines between":    {"a\n\n{}\n", "a\n\n", "{}\n"},
		"a line in pieces":       {"a|b\n{|}\n|", "ab\n", "{}\n"},
		"pieces at a line end":   {"a|\n|{}", "a\n", "{}"},
		"blank only":             {"\n\n", "", "\n\n"},
		"nothing":                {"", "", ""},
		"two lines in one write": {"a\nb\nc\n", "a\nb\n", "c\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			l := &lastLine{log: func(p []byte) { log.Write(p) }}
			for piece := range strings.SplitSeq(c.writes, "|") {
				_, err := l.Write([]byte(piece))
				require.NoError(t, err)
			}
			require.Equal(t, c.log, log.String())
			require.Equal(t, c.held, string(l.take()))
		})
	}
}

// FuzzLastLine: no byte is lost, doubled or reordered, and nothing that could be
// the result has been logged.
func FuzzLastLine(f *testing.F) {
	f.Add([]byte("a\n\n{}\n \n"), uint8(3))
	f.Fuzz(func(t *testing.T, output []byte, size uint8) {
		var log bytes.Buffer
		l := &lastLine{log: func(p []byte) { log.Write(p) }}
		for piece := range pieces(output, int(size)+1) {
			_, _ = l.Write(piece)
		}
		require.Equal(t, string(output), log.String()+string(l.take()))
		lines := strings.Split(strings.TrimSpace(string(output)), "\n")
		require.Equal(t, strings.TrimSpace(lines[len(lines)-1]), lastOf(l.take()))
	})
}

func lastOf(held []byte) string {
	lines := strings.Split(strings.TrimSpace(string(held)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

func pieces(b []byte, size int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			n := min(size, len(b))
			if !yield(b[:n]) {
				return
			}
			b = b[n:]
		}
	}
}

// FuzzAnswer: whatever a launcher's descriptor carries, the proxy answers.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("1 200 {}"))
	f.Add([]byte("ready"))
	f.Add([]byte("1 999 "))
	f.Fuzz(func(t *testing.T, line []byte) {
		id, _, ok := identifyAnswer(line)
		if !ok || id == readyID {
			return
		}
		buf := getBuffer()
		buf.b = append(buf.b, line...)
		a := new(launcher).answer(buf)
		require.GreaterOrEqual(t, a.status, 200)
		require.Less(t, a.status, 600)
	})
}

// FuzzInit: no /init body breaks the proxy, and what is unpacked stays inside.
func FuzzInit(f *testing.F) {
	f.Add([]byte(`{"value":{"main":"main","code":"x","env":{"A":"b"}}}`), "nodejs")
	f.Add([]byte(`{"value":{"main":"main","code":"UEsDBA==","binary":true}}`), "native")
	f.Add([]byte(`{"value":{"code":"ZGF0ZQ==","binary":true,"env":[]}}`), "blackbox")
	f.Fuzz(func(t *testing.T, body []byte, family string) {
		r, err := parseInit(body, family)
		if err != nil {
			return
		}
		u, err := r.unpack(t.TempDir(), t.TempDir())
		if err != nil {
			return
		}
		for _, variable := range u.environment() {
			require.NotContains(t, variable, "\x00")
		}
		require.NotEmpty(t, u.main)
		require.True(t, u.archive || u.builtIn || len(u.code()) >= 2)
	})
}
