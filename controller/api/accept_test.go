package api

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAcceptsJSON(t *testing.T) {
	for accept, want := range map[string]bool{
		"": true, " ": true, "*/*": true, "Application/JSON": true, "application/json;charset=utf-8": true, "text/html, */*;q=0.1": true,
		"application/*; q=0.5": true, "text/html": false, "application/json;q=0": false, "application/json; Q=0.0, text/*": false, "application/xml": false,
		"application/json;q=odd": true, "*/*, application/json;q=0": false, "application/json;q=0, application/*": false, ",,": true, "application/json;q=0, application/json": true,
	} {
		require.Equal(t, want, Accepts([]string{accept}, "application/json"), accept)
	}
}

func FuzzAcceptsJSON(f *testing.F) {
	f.Add("text/html;q=0.5, application/json;q=0")
	f.Fuzz(func(t *testing.T, accept string) {
		if !Accepts([]string{accept}, "application/json") {
			require.True(t, Accepts([]string{accept, "application/json"}, "application/json"), "another range can only help")
		}
	})
}

func TestAcceptsEachMediaType(t *testing.T) {
	require.True(t, Accepts(nil, "image/png"))
	require.True(t, Accepts([]string{"text/html", "image/*"}, "image/png"))
	require.False(t, Accepts([]string{"text/html", "image/*;q=0", "*/*"}, "image/png"))
	require.False(t, Accepts([]string{"text/html"}, "image/png"))
}
