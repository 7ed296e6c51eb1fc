package kafka

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestWindow(t *testing.T) {
	w := &window{low: 10}
	require.Equal(t, done, w.state(9))
	require.Equal(t, open, w.state(10))
	w.set(12, claimed)
	require.Equal(t, "1 o2c1", w.encode())
	w.set(10, claimed)
	w.set(11, moving)
	require.Equal(t, 1, w.attempted(12))
	require.Equal(t, 2, w.attempted(12))
	require.Equal(t, "1 c1m1c1 @2=2", w.encode())
	w.set(11, done)
	require.EqualValues(t, 10, w.low)
	w.set(10, done)
	require.EqualValues(t, 12, w.low)
	require.EqualValues(t, 13, w.high())
	require.Equal(t, "1 c1 @0=2", w.encode())
	w.set(5, claimed)
	require.EqualValues(t, 12, w.low, "what is done stays so")
	w.set(13, done)
	w.set(13, claimed)
	require.Equal(t, done, w.state(13))
	w.set(12, done)
	require.EqualValues(t, 14, w.low)
	require.Equal(t, "1 ", w.encode())
	require.Empty(t, w.attempts)
}

func TestWindowThatBeginsLater(t *testing.T) {
	w := &window{}
	w.startAt(7)
	require.EqualValues(t, 7, w.low)
	w.set(9, claimed)
	w.startAt(8)
	require.Equal(t, "1 o1c1", w.encode())
	w.startAt(9)
	require.Equal(t, "1 c1", w.encode())
	w.startAt(20)
	require.EqualValues(t, 20, w.high())
}

func TestLongWindows(t *testing.T) {
	fill := func(a, b state) *window {
		w := &window{}
		for i := range int64(5000) {
			w.set(i, claimed)
			w.set(i, []state{a, b}[i%2])
		}
		return w
	}
	w := fill(claimed, done)
	w.attempted(0)
	require.Equal(t, "1 c5000 @0=1", w.encode(), "records say what is done")
	require.Equal(t, "1 c5000", fill(claimed, open).encode(), "the record decides")
}

func TestForeignMetadata(t *testing.T) {
	w, err := parseWindow(3, "")
	require.NoError(t, err)
	require.EqualValues(t, 3, w.high())
	for _, text := range []string{"x", "2 c1", "1 c", "1 c0", "1 x1", "1 c-1", "1 1", "1 c1 0=1", "1 c1 @1=1", "1 c1 @0=0", "1 c1 @0", "1 c999999999999", "1 c99999999", "1 c1 +0", "1 c1 +x", "1 c1 +257", "1 c1 +-1"} {
		_, err := parseWindow(3, text)
		require.Error(t, err, text)
	}
}

// TestWindowHistories compares a window with a plain map.
func TestWindowHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &window{low: rapid.Int64Range(0, 5).Draw(t, "low")}
		begin, model := w.low, map[int64]state{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			offset := begin + rapid.Int64Range(0, 30).Draw(t, "offset")
			s := rapid.SampledFrom([]state{open, claimed, moving, done}).Draw(t, "state")
			w.set(offset, s)
			if model[offset] != done {
				model[offset] = s
			}
			w.ahead = rapid.Int64Range(0, maxAhead).Draw(t, "ahead")
			again, err := parseWindow(w.low, w.encode())
			if err != nil {
				t.Fatal(err)
			}
			if again.ahead != w.ahead {
				t.Fatalf("%d ahead, want %d", again.ahead, w.ahead)
			}
			for _, x := range []*window{w, again} {
				for o := begin; o < begin+32; o++ {
					want := model[o]
					if want == 0 {
						want = open
					}
					if got := x.state(o); got != want {
						t.Fatalf("offset %d is %c, want %c", o, got, want)
					}
				}
				if x.state(x.low) == done {
					t.Fatalf("low %d is done", x.low)
				}
			}
		}
	})
}

func FuzzParseWindow(f *testing.F) {
	for _, text := range []string{"", "1 ", "1 c3d20o1m2", "1 c1 @0=2", "1 c1 +8 @0=2", "1 d5"} {
		f.Add(int64(3), text)
	}
	f.Fuzz(func(t *testing.T, low int64, text string) {
		w, err := parseWindow(low, text)
		if err != nil {
			return
		}
		again, err := parseWindow(w.low, w.encode())
		if err != nil {
			t.Fatal(err)
		}
		if again.low != w.low || again.high() != w.high() || again.ahead != w.ahead {
			t.Errorf("%q is %q again", text, again.encode())
		}
	})
}
