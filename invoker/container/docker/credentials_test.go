package docker

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/docker/docker/api/types/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

func TestCredentials(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials.json")
	require.NoError(t, os.WriteFile(path, []byte(`{
		"auths": {"https://index.docker.io/v1/": {"auth": "`+base64.StdEncoding.EncodeToString([]byte("all:pass:word"))+`"}},
		"namespaces": {"guest": {"auths": {"ghcr.io": {"username": "me", "password": "secret"}, "docker.io": {"identitytoken": "token"}}}}
	}`), 0o600))
	c, err := openCredentials(path, zap.NewNop())
	require.NoError(t, err)
	find := func(namespace, host string) (credential, registry.AuthConfig) {
		found, err := c.find(namespace, host)
		require.NoError(t, err)
		if found.header == "" {
			return found, registry.AuthConfig{}
		}
		auth, err := registry.DecodeAuthConfig(found.header)
		require.NoError(t, err)
		return found, *auth
	}
	everybodys, auth := find("other", "docker.io")
	assert.False(t, everybodys.isNamespaces)
	assert.Equal(t, "all", auth.Username)
	assert.Equal(t, "pass:word", auth.Password)
	guests, auth := find("guest", "docker.io")
	assert.True(t, guests.isNamespaces)
	assert.Equal(t, "token", auth.IdentityToken)
	assert.NotEqual(t, everybodys.key, guests.key)
	_, auth = find("guest", "ghcr.io")
	assert.Equal(t, "me", auth.Username)
	none, _ := find("other", "ghcr.io")
	assert.Zero(t, none)
	none, _ = find("", "ghcr.io")
	assert.Zero(t, none, "stem cells are nobody's")

	_, err = openCredentials(path+".none", zap.NewNop())
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestWrongCredentials(t *testing.T) {
	for text, why := range map[string]string{
		`{`:                                    "not JSON",
		`{"auths": []}`:                        "not of the form",
		`{"auths": {"x": {"auth": "secret"}}}`: "not user:password in base64",
		`{"auths": {"x": {}}}`:                 "neither auth nor a user or token",
		`{"namespaces": {"guest": {"auths": {"x": {}}}}}`: "namespace guest: registry x",
	} {
		_, err := parseCredentials([]byte(text))
		require.ErrorContains(t, err, why, text)
		assert.NotContains(t, err.Error(), "secret")
	}
}

func FuzzParseCredentials(f *testing.F) {
	f.Add([]byte(`{"auths": {"x": {"auth": "YTpi"}}, "namespaces": {"a": {"auths": {"y": {"username": "u"}}}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := parseCredentials(text)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatal("taken, but no JSON")
		}
		for name, a := range file.Auths {
			if name != registryName(a.ServerAddress) || a.Auth != "" {
				t.Fatalf("%q: %+v", name, a)
			}
		}
	})
}

func TestGrants(t *testing.T) {
	dir := t.TempDir()
	g, err := openGrants(dir)
	require.NoError(t, err)
	assert.True(t, g.allow("image", "alice"), "what nobody pulled with own credentials is everybody's")
	require.NoError(t, g.add("image", "alice"))
	require.NoError(t, g.add("image", "alice"))
	assert.True(t, g.allow("image", "alice"))
	assert.False(t, g.allow("image", "bob"))

	g, err = openGrants(dir)
	require.NoError(t, err, "a restart")
	assert.False(t, g.allow("image", "bob"))
	require.NoError(t, g.add("image", "bob"))
	assert.True(t, g.allow("image", "bob"))
	require.NoError(t, g.remove("image"))
	assert.True(t, g.allow("image", "carol"))

	require.NoError(t, os.WriteFile(g.path, []byte("{"), 0o600))
	_, err = openGrants(dir)
	require.ErrorContains(t, err, g.path)
}
