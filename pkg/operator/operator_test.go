package operator

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }

	nobody, err := Load("")
	require.NoError(t, err)
	require.Zero(t, nobody)
	write("operator:pass:word\n")
	c, err := Load(file)
	require.NoError(t, err)
	require.Equal(t, Credentials{"operator", "pass:word"}, c)
	for _, text := range []string{"", "operator", "operator:", ":password\n"} {
		write(text)
		_, err := Load(file)
		require.ErrorContains(t, err, "must have one line, user:password", text)
	}
	_, err = Load(file + "-none")
	require.ErrorContains(t, err, "reading admin-credentials")
}

func TestMatch(t *testing.T) {
	request := func(user, password string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		require.NoError(t, err)
		r.SetBasicAuth(user, password)
		return r
	}
	c := Credentials{"u", "p"}
	require.True(t, c.Match(request("u", "p")))
	anonymous := request("u", "p")
	anonymous.Header.Del("Authorization")
	require.False(t, c.Match(anonymous))
	for _, wrong := range [][2]string{{"u", "q"}, {"v", "p"}, {"u", ""}, {"", ""}, {"u", strings.Repeat("p", 10_000)}} {
		require.False(t, c.Match(request(wrong[0], wrong[1])), wrong)
	}
	require.False(t, Credentials{}.Match(request("", "")), "nobody is the operator")
}
