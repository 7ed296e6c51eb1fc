package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Sections 18.1 and 18.6 of openwhisk-rest-api.md.
func TestWebExport(t *testing.T) {
	for _, annotations := range []string{
		`[]`, `[{"key":"web-export","value":false}]`, `[{"key":"web-export","value":"true"}]`,
		`[{"key":"web-export","value":1}]`, `[{"key":"raw-http","value":true}]`,
	} {
		require.Nil(t, newWeb(parameters(annotations)), annotations)
	}
	w := newWeb(parameters(`[{"key":"web-export","value":true}]`))
	require.Equal(t, &Web{}, w)
	w = newWeb(parameters(`[{"key":"raw-http","value":true},{"key":"web-export","value":true},{"key":"web-custom-options","value":true}]`))
	require.True(t, w.Raw)
	require.True(t, w.CustomOptions)
	w = newWeb(parameters(`[{"key":"raw-http","value":"yes"},{"key":"web-export","value":true},{"key":"web-custom-options","value":1}]`))
	require.False(t, w.Raw)
	require.False(t, w.CustomOptions)
}

func TestWebAccess(t *testing.T) {
	const none = "\x00no header"
	for _, c := range []struct {
		required, secret string
		authenticated    bool
		want             bool
	}{
		{`false`, none, false, true},
		{`true`, none, false, false},
		{`true`, none, true, true},
		{`true`, "true", false, false},
		{`"s"`, none, false, false},
		{`"s"`, none, true, false},
		{`"s"`, "S", true, false},
		{`"s"`, "s", false, true},
		{`"\u0073"`, "s", false, true},
		{`""`, none, false, false},
		{`123`, "123", false, true},
		{`123`, "0123", false, false},
		{`-1.50`, "-1.50", false, true},
		{`null`, none, true, false},
		{`{}`, "{}", true, false},
		{`["s"]`, "s", true, false},
	} {
		w := newWeb(parameters(`[{"key":"web-export","value":true},{"key":"require-whisk-auth","value":` + c.required + `}]`))
		var secret []string
		if c.secret != none {
			secret = []string{c.secret}
		}
		require.Equal(t, c.want, w.Admits(c.authenticated, secret), "%+v", c)
	}
	require.True(t, newWeb(parameters(`[{"key":"web-export","value":true}]`)).Admits(false, nil))
}
