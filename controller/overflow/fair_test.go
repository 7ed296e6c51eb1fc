package overflow

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var epoch = time.Date(2024, 11, 21, 8, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

// take makes a pass that takes at most n, and returns what was taken.
func take(q *Queue[string], now time.Time, n int, refused ...string) string {
	var taken []string
	q.Pass(now, func(v string) bool {
		for _, r := range refused {
			if strings.HasPrefix(v, r) {
				return false
			}
		}
		if len(taken) == n {
			return false
		}
		taken = append(taken, v)
		return true
	})
	return strings.Join(taken, " ")
}

func TestNamespacesTakeTurnsAndThenTheirActions(t *testing.T) {
	q := NewQueue[string](time.Minute)
	for i := range 3 {
		q.Push("a", "x", at(0), fmt.Sprint("ax", i))
		q.Push("a", "y", at(0), fmt.Sprint("ay", i))
	}
	q.Push("b", "x", at(1), "bx0")
	q.Push("b", "x", at(1), "bx1")
	require.Equal(t, 8, q.Len())
	require.Equal(t, 3, q.Waiting("a", "x"))
	require.Equal(t, "ax0 bx0 ay0", take(q, at(1), 3))
	require.Equal(t, "bx1 ax1 ay1 ax2 ay2", take(q, at(1), 9), "turns go on where they stopped")
	require.Zero(t, q.Len())
	require.Empty(t, q.namespaces.by)
	require.Empty(t, q.namespaces.ring)
}

func TestWhoIsRefusedHoldsUpNobodyElse(t *testing.T) {
	q := NewQueue[string](time.Minute)
	q.Push("a", "large", at(0), "large")
	q.Push("a", "large", at(0), "large")
	q.Push("a", "small", at(0), "small1")
	q.Push("a", "small", at(0), "small2")
	require.Equal(t, "small1 small2", take(q, at(0), 9, "large"))
	require.Equal(t, 2, q.Len())
}

func TestTheImpatientAreAskedFirst(t *testing.T) {
	q := NewQueue[string](time.Minute)
	q.Push("a", "x", at(0), "ax")
	q.Push("a", "x", at(0), "ax")
	q.Push("b", "old", at(-70), "b70")
	q.Push("c", "older", at(-90), "c90")
	require.Equal(t, "c90 b70 ax", take(q, at(0), 3))
}

func TestWhatComesBackHasItsOldPlace(t *testing.T) {
	q := NewQueue[string](time.Minute)
	q.Push("a", "x", at(2), "second")
	q.Push("a", "x", at(1), "first")
	q.Push("a", "x", at(2), "third")
	oldest, ok := q.Oldest()
	require.True(t, ok)
	require.Equal(t, at(1), oldest)
	require.Equal(t, "first second third", take(q, at(2), 9))
	_, ok = q.Oldest()
	require.False(t, ok)
}

// Everything pushed is taken once, an action's in order, and no namespace gets two
// more than another that has something.
func TestPassesAreFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := NewQueue[[3]int](time.Hour)
		left := map[int]int{}
		pushed := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [2]int {
			return [2]int{rapid.IntRange(0, 3).Draw(t, "namespace"), rapid.IntRange(0, 2).Draw(t, "action")}
		}), 0, 60).Draw(t, "pushed")
		for n, p := range pushed {
			q.Push(fmt.Sprint(p[0]), fmt.Sprint(p[1]), at(n), [3]int{p[0], p[1], n})
			left[p[0]]++
		}
		last := map[[2]int]int{}
		got := map[int]int{}
		total := q.Pass(at(100), func(v [3]int) bool {
			key := [2]int{v[0], v[1]}
			if n, ok := last[key]; ok && n > v[2] {
				t.Fatalf("%v came after %d", v, n)
			}
			last[key] = v[2]
			for other, n := range left {
				if n > 0 && other != v[0] && got[v[0]]+1 > got[other]+1 && left[other] > 0 {
					t.Fatalf("namespace %d got %d turns while %d got %d", v[0], got[v[0]]+1, other, got[other])
				}
			}
			got[v[0]]++
			left[v[0]]--
			return true
		})
		if total != len(pushed) || q.Len() != 0 {
			t.Fatalf("took %d of %d", total, len(pushed))
		}
	})
}
