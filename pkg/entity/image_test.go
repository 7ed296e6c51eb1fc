package entity

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestImages(t *testing.T) {
	digest := "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for reference, want := range map[string]Image{
		"skeleton":                       {Name: "skeleton"},
		"me/skeleton:1.0":                {Prefix: "me", Name: "skeleton", Tag: "1.0"},
		"r.io/a/b/c:latest":              {Registry: "r.io", Prefix: "a/b", Name: "c", Tag: "latest"},
		"localhost/c":                    {Registry: "localhost", Name: "c"},
		"r:5000/c":                       {Registry: "r:5000", Name: "c"},
		"r.io:5000/a/c:t@" + digest:      {Registry: "r.io:5000", Prefix: "a", Name: "c", Tag: "t", Digest: digest},
		"a_b/c__d-e.f:_x":                {Prefix: "a_b", Name: "c__d-e.f", Tag: "_x"},
		"openwhisk/dockerskeleton:night": {Prefix: "openwhisk", Name: "dockerskeleton", Tag: "night"},
	} {
		got, err := ParseImage(reference)
		require.NoError(t, err, reference)
		require.Equal(t, want, got, reference)
		require.Equal(t, reference, got.String())
	}
	for _, reference := range []string{"", " ", "A", "a/", "/a", "a//b", "a:", "a:b:c", "a@b", "a b", "a:" + "-x", "-.io/a", "a/B"} {
		_, err := ParseImage(reference)
		require.Error(t, err, reference)
	}
	require.Equal(t, "sys.io/p/n", Image{Prefix: "p", Name: "n"}.In("sys.io/"))
	require.Equal(t, "own.io/p/n", Image{Registry: "own.io", Prefix: "p", Name: "n"}.In("sys.io"))
}

func FuzzParseImage(f *testing.F) {
	f.Add("r.io:5000/a/c:t@sha256:0123456789abcdef0123456789abcdef")
	f.Fuzz(func(t *testing.T, reference string) {
		image, err := ParseImage(reference)
		if err == nil && image.String() != reference {
			t.Fatalf("%q became %q", reference, image.String())
		}
		if err != nil && errors.Unwrap(err) != nil {
			t.Fatalf("unexpected cause: %v", err)
		}
	})
}
