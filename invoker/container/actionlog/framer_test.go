package actionlog

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var ctx = context.Background()

const (
	limit = 10 << 20
	end   = Sentinel + "\n"
)

var waiting = container.LogQuery{Limit: 10, WaitForSentinel: true}

// texts returns the lines without their timestamps.
func texts(logs container.Logs) []string {
	var out []string
	for _, l := range logs.Lines {
		out = append(out, l[31:])
	}
	return out
}

func TestLinesHaveTheFormOfTheRecord(t *testing.T) {
	at := time.Date(2016, 2, 3, 20, 58, 13, 123456789, time.FixedZone("", 3600))
	assert.Equal(t, "2016-02-03T19:58:13.123456789Z stdout: hello", Format(at, Stdout, "hello"))
	assert.Equal(t, "2016-02-03T19:58:13.000000000Z stderr: ", Format(at.Truncate(time.Second), Stderr, ""))
	client := regexp.MustCompile(`^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-6]\d:[0-6]\d.\d+Z( *(stdout|stderr):)?\s(.*)`)
	assert.Regexp(t, client, Format(time.Now(), Stderr, TruncatedNotice(7)))
}

func TestSentinelsEndAnActivation(t *testing.T) {
	f := New(limit, "")
	f.Write(Stdout, []byte("a\nb\r\n"+end+"next\n"))
	f.Write(Stderr, []byte("e\n"+end))
	assert.Equal(t, []string{"stdout: a", "stdout: b", "stderr: e"}, texts(f.Collect(ctx, waiting)))
	f.Write(Stdout, []byte(end))
	f.Write(Stderr, []byte(end))
	assert.Equal(t, []string{"stdout: next"}, texts(f.Collect(ctx, waiting)))
}

func TestOutputWithoutNewlineBeforeTheSentinelIsALine(t *testing.T) {
	f := New(limit, "")
	f.Write(Stdout, []byte("no newline"+end))
	f.Write(Stderr, []byte(end))
	logs := f.Collect(ctx, waiting)
	assert.Equal(t, []string{"stdout: no newline"}, texts(logs))
	assert.False(t, logs.Incomplete || logs.Truncated)
}

func TestTextThatOnlyMentionsTheSentinelIsKept(t *testing.T) {
	f := New(limit, "")
	f.Write(Stdout, []byte(Sentinel+" is the sentinel\n"+end))
	f.Write(Stderr, []byte(end))
	assert.Equal(t, []string{"stdout: " + Sentinel + " is the sentinel"}, texts(f.Collect(ctx, waiting)))
}

func TestLimit(t *testing.T) {
	row := strings.Repeat("x", 1000-overhead)
	perMegabyte := (1 << 20) / 1000

	t.Run("lines that just fit are all kept", func(t *testing.T) {
		f := New(limit, "")
		f.Write(Stdout, []byte(strings.Repeat(row+"\n", perMegabyte)+end))
		f.Write(Stderr, []byte(end))
		logs := f.Collect(ctx, container.LogQuery{Limit: 1, WaitForSentinel: true})
		assert.Len(t, logs.Lines, perMegabyte)
		assert.False(t, logs.Truncated)
	})
	t.Run("the line that crosses it goes with all that follow", func(t *testing.T) {
		f := New(limit, "")
		f.Write(Stdout, []byte(strings.Repeat(row+"\n", perMegabyte+1)+"short\n"+end))
		f.Write(Stderr, []byte("late\n"+end))
		logs := f.Collect(ctx, container.LogQuery{Limit: 1, WaitForSentinel: true})
		require.Len(t, logs.Lines, perMegabyte+1)
		assert.True(t, logs.Truncated)
		assert.Equal(t, "stderr: Logs were truncated because the total bytes size exceeds the limit of 1048576 bytes.", texts(logs)[perMegabyte])
	})
	t.Run("what exceeds the framer's own limit is dropped while reading", func(t *testing.T) {
		f := New(1<<20, "")
		for range 100 {
			f.Write(Stdout, []byte(strings.Repeat(row+"\n", 1000)))
			require.LessOrEqual(t, f.stored, int64(1<<20))
		}
		f.Write(Stdout, []byte(end))
		f.Write(Stderr, []byte(end))
		logs := f.Collect(ctx, container.LogQuery{Limit: 1, WaitForSentinel: true})
		assert.True(t, logs.Truncated)
		assert.Len(t, logs.Lines, perMegabyte+1)
		assert.Zero(t, f.stored)
	})
	t.Run("a line without end is bounded and its sentinel is still seen", func(t *testing.T) {
		f := New(1<<20, "")
		for range 1000 {
			f.Write(Stdout, []byte(strings.Repeat("y", 10_000)))
			require.LessOrEqual(t, cap(f.streams[Stdout].partial.held), 3<<20)
		}
		f.Write(Stdout, []byte(end))
		f.Write(Stderr, []byte(end))
		logs := f.Collect(ctx, waiting)
		assert.True(t, logs.Truncated)
		assert.Len(t, logs.Lines, 1)
	})
	t.Run("zero returns nothing and takes everything", func(t *testing.T) {
		f := New(limit, "")
		f.Write(Stdout, []byte("x\n"+end))
		f.Write(Stderr, []byte(end))
		assert.Equal(t, container.Logs{}, f.Collect(ctx, container.LogQuery{WaitForSentinel: true}))
		assert.Zero(t, f.stored)
	})
}

func TestPatience(t *testing.T) {
	t.Run("a missing sentinel is given up when nothing comes any more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := New(limit, "")
			f.Write(Stdout, []byte("a\n"+end))
			start := time.Now()
			logs := f.Collect(ctx, waiting)
			assert.Equal(t, Idle, time.Since(start))
			assert.True(t, logs.Incomplete)
			assert.Equal(t, []string{"stdout: a", "stderr: There was an issue while collecting your logs. Data might be missing."}, texts(logs))
		})
	})
	t.Run("endless output is given up after the log patience", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := New(limit, "")
			done := make(chan struct{})
			go func() {
				for tick := time.NewTicker(time.Second); ; {
					select {
					case <-tick.C:
						f.Write(Stderr, []byte("more\n"))
					case <-done:
						return
					}
				}
			}()
			start := time.Now()
			logs := f.Collect(ctx, waiting)
			close(done)
			assert.Equal(t, container.LogPatience(10), time.Since(start))
			assert.True(t, logs.Incomplete)
		})
	})
	t.Run("a late sentinel is waited for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := New(limit, "")
			f.Write(Stdout, []byte(end))
			go func() {
				time.Sleep(time.Second)
				f.Write(Stderr, []byte("late\n"+end))
			}()
			logs := f.Collect(ctx, waiting)
			assert.False(t, logs.Incomplete)
			assert.Equal(t, []string{"stderr: late"}, texts(logs))
		})
	})
	t.Run("the end of a stream ends the wait", func(t *testing.T) {
		f := New(limit, "")
		f.Write(Stdout, []byte("last words"))
		f.CloseStream(Stdout)
		logs := f.Collect(ctx, waiting)
		assert.True(t, logs.Incomplete)
		assert.Equal(t, "stdout: last words", texts(logs)[0])
	})
	t.Run("without waiting, what was printed is taken", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := New(limit, "")
			f.Write(Stdout, []byte("a\n"+end+"b\nunfinished"))
			logs := f.Collect(ctx, container.LogQuery{Limit: 1})
			assert.Equal(t, []string{"stdout: a", "stdout: b", "stdout: unfinished"}, texts(logs))
			assert.False(t, logs.Incomplete)
		})
	})
}

func TestBeginForgetsSentinelsThatTheActionPrinted(t *testing.T) {
	f := New(limit, "")
	f.Write(Stdout, []byte("before\n"+end+"after\n"+end))
	f.Write(Stderr, []byte(end))
	assert.Equal(t, []string{"stdout: before"}, texts(f.Collect(ctx, waiting)))
	f.Begin()
	f.Write(Stdout, []byte("second\n"+end))
	f.Write(Stderr, []byte(end))
	assert.Equal(t, []string{"stdout: after", "stdout: second"}, texts(f.Collect(ctx, waiting)))
}

func TestSentinelsThatNobodyCollectsAreBounded(t *testing.T) {
	f := New(limit, "")
	for range 10 * maxFrames {
		f.Write(Stdout, []byte(end))
	}
	assert.Len(t, f.streams[Stdout].ended, maxFrames)
}

func TestFollowDrainsPipesAndEndsWithThem(t *testing.T) {
	outRead, outWrite, err := os.Pipe()
	require.NoError(t, err)
	errRead, errWrite, err := os.Pipe()
	require.NoError(t, err)
	f := New(1<<20, "")
	w := Follow(f, outRead, errRead)
	for i := range 100_000 { // far more than the pipe and the limit hold
		_, err := fmt.Fprintln(outWrite, "line", i)
		require.NoError(t, err)
	}
	_, err = io.WriteString(outWrite, end)
	require.NoError(t, err)
	_, err = io.WriteString(errWrite, end)
	require.NoError(t, err)
	logs := f.Collect(ctx, container.LogQuery{Limit: 1, WaitForSentinel: true})
	assert.True(t, logs.Truncated)
	assert.Equal(t, "stdout: line 0", texts(logs)[0])
	require.NoError(t, outWrite.Close())
	w.Close()
	w.Close()
	require.NoError(t, errWrite.Close())
}

// FuzzFramer checks that framing holds whatever is printed in whatever pieces.
func FuzzFramer(f *testing.F) {
	f.Add([]byte("a\nb\n"+Sentinel+"\nc"), uint8(3), uint16(200))
	f.Add([]byte("x"+Sentinel+"\r\n\n\n"+Sentinel+"\n"), uint8(1), uint16(4000))
	f.Add([]byte(strings.Repeat("long", 500)+Sentinel+"\n"), uint8(7), uint16(100))
	f.Fuzz(func(t *testing.T, printed []byte, piece uint8, bound uint16) {
		framer := New(int64(bound), "")
		for rest := printed; len(rest) > 0; {
			n := min(int(piece)+1, len(rest))
			framer.Write(Stdout, rest[:n])
			rest = rest[n:]
			if framer.stored > int64(bound) {
				t.Fatalf("%d bytes held, the limit is %d", framer.stored, bound)
			}
			if held := len(framer.streams[Stdout].partial.held); held > int(bound)+(len(Sentinel)+1) {
				t.Fatalf("an unfinished line of %d bytes is held, the limit is %d", held, bound)
			}
		}
		framer.CloseStream(Stdout)
		framer.CloseStream(Stderr)

		var want []string
		var size int64
		fits := true
		for _, text := range strings.SplitAfter(string(printed), "\n") {
			if text == "" {
				continue
			}
			text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
			before, isEnd := strings.CutSuffix(text, Sentinel)
			if isEnd && before == "" {
				continue
			}
			l := line{text: strings.ToValidUTF8(before, "\uFFFD")}
			if size += l.size(); size > int64(bound) {
				fits = false
				break
			}
			want = append(want, "stdout: "+l.text)
		}
		logs := framer.Collect(ctx, container.LogQuery{Limit: 1})
		got := texts(logs)
		if logs.Truncated {
			got = got[:len(got)-1]
		}
		for _, l := range got {
			if strings.HasSuffix(l, Sentinel) && !strings.HasSuffix(l, Sentinel+Sentinel) && !containsDouble(printed) {
				t.Fatalf("a sentinel leaked: %q", l)
			}
		}
		if fits && (logs.Truncated || !equal(got, want)) {
			t.Fatalf("lines were lost: got %q, want %q", got, want)
		}
		if !fits && (!logs.Truncated || len(got) > len(want)) {
			t.Fatalf("lines beyond the limit were kept: got %q, want at most %q", got, want)
		}
	})
}

// containsDouble: a line with two sentinels keeps the first, which is text.
func containsDouble(printed []byte) bool {
	return strings.Contains(string(printed), Sentinel+Sentinel)
}

func equal(a, b []string) bool {
	return strings.Join(a, "\n") == strings.Join(b, "\n") && len(a) == len(b)
}

func BenchmarkFramerLines(b *testing.B) {
	f := New(limit, "")
	p := []byte(strings.Repeat("a line of ordinary length that an action prints\n", 10) + end)
	b.ReportAllocs()
	for b.Loop() {
		f.Write(Stdout, p)
		f.Write(Stderr, []byte(end))
		f.Collect(ctx, waiting)
	}
}

// TestMarkedSentinel: what user code prints cannot end its logs where the runtime
// marks its sentinels.
func TestMarkedSentinel(t *testing.T) {
	f := New(1<<20, "-mark")
	f.Write(Stdout, []byte("a\n"+Sentinel+"\nb"+Sentinel+"\nc"+Sentinel+"-mark\n"))
	f.Write(Stderr, []byte(Sentinel+"-mark\n"))
	logs := f.Collect(t.Context(), container.LogQuery{Limit: 1, WaitForSentinel: true})
	require.False(t, logs.Incomplete)
	require.Len(t, logs.Lines, 4)
	for i, want := range []string{"a", Sentinel, "b" + Sentinel, "c"} {
		require.True(t, strings.HasSuffix(logs.Lines[i], " stdout: "+want), logs.Lines[i])
	}
	f.Write(Stdout, []byte(Sentinel+"-mark\n"))
	f.Write(Stderr, []byte(Sentinel+"-mark\n"))
	require.Empty(t, f.Collect(t.Context(), container.LogQuery{Limit: 1, WaitForSentinel: true}).Lines)
}

func TestEndQuiet(t *testing.T) {
	f := New(1<<20, "MARK")
	f.Write(Stdout, []byte("one\n"+Sentinel+"MARK\n"))
	f.EndQuiet(Stderr)
	logs := f.Collect(t.Context(), container.LogQuery{Limit: 1, WaitForSentinel: true})
	require.False(t, logs.Incomplete)
	require.Len(t, logs.Lines, 1)

	f.Begin()
	f.EndQuiet(Stdout)
	f.EndQuiet(Stderr)
	logs = f.Collect(t.Context(), container.LogQuery{Limit: 1, WaitForSentinel: true})
	require.False(t, logs.Incomplete)
	require.Empty(t, logs.Lines)

	// Without its collector an end does not stay.
	f.EndQuiet(Stdout)
	f.EndQuiet(Stderr)
	f.Begin()
	f.Write(Stdout, []byte("two\n"+Sentinel+"MARK\n"))
	f.Write(Stderr, []byte("three\n"+Sentinel+"MARK\n"))
	logs = f.Collect(t.Context(), container.LogQuery{Limit: 1, WaitForSentinel: true})
	require.False(t, logs.Incomplete)
	require.Len(t, logs.Lines, 2)
}
