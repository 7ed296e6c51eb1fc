package cpus

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHalfOfTheCPUsAreTheActions(t *testing.T) {
	for _, c := range []struct{ wanted, available, want int }{{0, 1, 1}, {0, 2, 1}, {0, 8, 4}, {3, 2, 3}} {
		require.Equal(t, c.want, share(c.wanted, c.available))
	}
}
