package entity

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIsTooDeep(t *testing.T) {
	nested := func(depth int, inner string) string {
		return strings.Repeat(`{"a":[`, depth/2) + inner + strings.Repeat(`]}`, depth/2)
	}
	for _, text := range []string{
		``, `{}`, nested(MaxNesting, ``), nested(MaxNesting, `"[[\"[["`), nested(MaxNesting, `"\\"`), `{"a":[` + strings.Repeat(`[],`, 2*MaxNesting) + `{}]}`,
	} {
		require.False(t, IsTooDeep([]byte(text)), "%.40s", text)
	}
	for _, text := range []string{nested(MaxNesting, `[]`), nested(MaxNesting, `"\\",[]`), nested(10_000, ``), strings.Repeat("[", 1<<20)} {
		require.True(t, IsTooDeep([]byte(text)), "%.40s", text)
	}
}
