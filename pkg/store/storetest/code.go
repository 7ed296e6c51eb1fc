package storetest

import (
	"bytes"
	"context"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

func runCode(t *testing.T, open func(t *testing.T) store.EntityStore) {
	ctx := context.Background()
	requireCode := func(t *testing.T, s store.EntityStore, a *entity.Action, want string) {
		t.Helper()
		got, err := s.Code(ctx, a)
		require.NoError(t, err)
		if got != want { // megabytes of difference help nobody
			t.Fatalf("the code differs: %d bytes, want %d", len(got), len(want))
		}
	}

	t.Run("RoundTrip", func(t *testing.T) {
		for name, code := range codes() {
			t.Run(name, func(t *testing.T) {
				s := open(t)
				a := withCode(action("guest", "a", 1), code)
				put(t, s, a)
				read := get(t, s, "guest/a").(*entity.Action)
				require.Nil(t, read.Exec.Code, "actions come without their code")
				require.Equal(t, entity.IsBinary(code), read.Exec.Binary)
				requireCode(t, s, read, code)
			})
		}
	})

	t.Run("MaximumSize", func(t *testing.T) {
		s := open(t)
		random := rand.New(rand.NewPCG(1, 2))
		zip := make([]byte, 36<<20) // 48 MiB as base64
		for i := range zip {
			zip[i] = byte(random.Uint32())
		}
		code := base64.StdEncoding.EncodeToString(zip)
		require.Equal(t, 48<<20, len(code))
		a := withCode(action("guest", "a", 1), code)
		put(t, s, a)
		requireCode(t, s, a, code)
	})

	t.Run("NilCodeKeepsWhatIsStored", func(t *testing.T) {
		for name, code := range codes() {
			t.Run(name, func(t *testing.T) {
				s := open(t)
				put(t, s, withCode(action("guest", "a", 1), code))
				read := get(t, s, "guest/a").(*entity.Action)
				read.Version = read.Version.Next()
				put(t, s, read)
				requireCode(t, s, read, code)
				require.Equal(t, entity.Version{Patch: 2}, get(t, s, "guest/a").Head().Version)
			})
		}
	})

	t.Run("UpdateReplacesTheCode", func(t *testing.T) {
		s := open(t)
		a := withCode(action("guest", "a", 1), "first")
		for _, code := range codes() {
			put(t, s, withCode(a, code))
			requireCode(t, s, a, code)
		}
	})

	t.Run("ChangedActionGivesTheNewestCode", func(t *testing.T) {
		s := open(t)
		put(t, s, withCode(action("guest", "a", 1), "first"))
		old := get(t, s, "guest/a").(*entity.Action)
		put(t, s, withCode(get(t, s, "guest/a").(*entity.Action), "second"))
		requireCode(t, s, old, "second")
	})

	t.Run("DeletedIsNotFound", func(t *testing.T) {
		s := open(t)
		a := withCode(action("guest", "a", 1), "x")
		put(t, s, a)
		require.NoError(t, s.Delete(ctx, a))
		_, err := s.Code(ctx, a)
		require.ErrorIs(t, err, store.ErrNotFound)
	})

	t.Run("RecreatedWithoutCodeHasNone", func(t *testing.T) {
		s := open(t)
		for _, code := range codes() {
			a := withCode(action("guest", "a", 1), code)
			put(t, s, a)
			require.NoError(t, s.Delete(ctx, a))
			bare := action("guest", "a", 1)
			put(t, s, bare)
			requireCode(t, s, bare, "")
			require.NoError(t, s.Delete(ctx, bare))
		}
	})

	t.Run("SequenceHasNone", func(t *testing.T) {
		s := open(t)
		a := action("guest", "a", 1)
		a.Exec = entity.Exec{Kind: entity.KindSequence, Components: []entity.FQN{{Path: "guest", Name: "b"}}}
		put(t, s, a)
		requireCode(t, s, a, "")
	})

	t.Run("TwoActionsKeepTheirOwn", func(t *testing.T) {
		s := open(t)
		long := strings.Repeat("long ", 50_000)
		a, b := withCode(action("guest", "a", 1), long+"a"), withCode(action("guest/a", "a", 1), long+"b")
		put(t, s, a, b)
		require.NoError(t, s.Delete(ctx, a))
		requireCode(t, s, b, long+"b")
	})
}

// codes are texts at the edges between the ways in which code is stored.
func codes() map[string]string {
	blob := bytes.Repeat([]byte{0, 1, 2, 0xff, 0xfe, '\n'}, 40_000)
	return map[string]string{
		"Text":              "function main(p) { return {\"π\": p[\"x\"]} } // €\r\n\t",
		"Empty":             "",
		"Blank":             "  \n ",
		"NUL":               "a\x00b",
		"LongText":          strings.Repeat("// é\n", 60_000),
		"SmallBase64":       base64.StdEncoding.EncodeToString([]byte("PK\x03\x04 small")),
		"LongBase64":        base64.StdEncoding.EncodeToString(blob),
		"OneWord":           "abcd",
		"PaddedBase64":      base64.StdEncoding.EncodeToString([]byte("ab")),
		"NonCanonical":      "YWJ=",
		"Base64WithNewline": base64.StdEncoding.EncodeToString(blob) + "\n",
	}
}
