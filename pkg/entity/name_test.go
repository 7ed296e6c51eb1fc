package entity

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNames(t *testing.T) {
	for _, name := range []string{"a", "_", "0", "A_b-c.d@e&f g", "a-", "a.", "a@", "a&", strings.Repeat("x", 256)} {
		got, err := ParseName(name)
		require.NoError(t, err, name)
		require.Equal(t, Name(name), got)
	}
	const illegal = "The name of the entity contains illegal characters."
	for name, text := range map[string]string{
		"": illegal, " a": illegal, "a ": illegal, "-a": illegal, ".a": illegal, "@": illegal, "a/b": illegal, "é": illegal, "a\n": illegal, "a\x00": illegal, "a$": illegal,
		strings.Repeat("x", 257): "Name segement longer than allowed: 257 > 256.",
		strings.Repeat("é", 200): illegal, // 400 bytes, but 200 characters
		strings.Repeat("😀", 129): "Name segement longer than allowed: 258 > 256.",
	} {
		_, err := ParseName(name)
		var e *NameError
		require.ErrorAs(t, err, &e, "%q", name)
		require.Equal(t, text, e.Text, "%q", name)
	}
	_, err := ParseNamespace(strings.Repeat("x", 300))
	require.EqualError(t, err, "Namespace longer than allowed: 300 > 256.")
	_, err = ParseNamespace("no/slash")
	require.EqualError(t, err, "The namespace contains illegal characters.")
}

// namePattern is the rule as openwhisk-rest-api.md section 4 has it.
var namePattern = regexp.MustCompile(`\A([A-Za-z0-9_]|[A-Za-z0-9_][A-Za-z0-9_@ .&-]{0,254}[A-Za-z0-9_@.&-])\z`)

func FuzzName(f *testing.F) {
	for _, s := range []string{"", "a", "a b", "a ", "é", "a.b@c&d-e", "a/b", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := ParseName(s); (err == nil) != namePattern.MatchString(s) {
			t.Errorf("%q: %v", s, err)
		}
	})
}

func TestPath(t *testing.T) {
	require.Equal(t, "guest", Path("guest").Namespace())
	require.Equal(t, "", Path("guest").Package())
	require.Equal(t, "guest", Path("guest/pkg").Namespace())
	require.Equal(t, "pkg", Path("guest/pkg").Package())
	require.Equal(t, Path("guest/pkg"), Path("guest").Join("pkg"))
	h := Header{Namespace: "guest/pkg", Name: "a"}
	require.Equal(t, DocID("guest/pkg/a"), h.ID())
}

func TestReferences(t *testing.T) {
	for text, want := range map[string]FQN{
		`"/guest/a"`: {"guest", "a"}, `"guest/a"`: {"guest", "a"}, `"/guest/pkg/a"`: {"guest/pkg", "a"}, `"//guest//a/"`: {"guest", "a"}, `"_/a"`: {"_", "a"},
		`{"path":"guest/pkg","name":"a b"}`: {"guest/pkg", "a b"}, `{"name":"a","path":"guest","version":"0.0.1"}`: {"guest", "a"},
	} {
		var f FQN
		require.NoError(t, json.Unmarshal([]byte(text), &f), text)
		require.Equal(t, want, f, text)
		again, err := ParseFQN(f.String())
		require.NoError(t, err)
		require.Equal(t, f, again)
	}
	for text, detail := range map[string]string{
		`"a"`: errTooFewSegments, `""`: errTooFewSegments, `"///"`: errTooFewSegments,
		`"a/b/c/d"`: "fully qualified name malformed", `"guest/a$"`: "fully qualified name malformed", `7`: "fully qualified name malformed",
		`{"path":"guest"}`: "fully qualified name malformed", `{"path":"guest","name":"pkg/a"}`: "fully qualified name malformed", `[]`: "fully qualified name malformed",
	} {
		var f FQN
		err := f.UnmarshalJSON([]byte(text))
		var e *MalformedError
		require.ErrorAs(t, err, &e, text)
		require.Equal(t, detail, e.Detail, text)
		require.Zero(t, f)
	}
	require.Equal(t, FQN{"me/pkg", "a"}, FQN{"_/pkg", "a"}.Resolve("me"))
	require.Equal(t, FQN{"me", "a"}, FQN{"_", "a"}.Resolve("me"))
	require.Equal(t, FQN{"other", "a"}, FQN{"other", "a"}.Resolve("me"))
}

func FuzzReference(f *testing.F) {
	for _, s := range []string{"/a/b", "a", "a/b/c", "{}", " / a / b ", "_/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseFQN(s)
		if err != nil {
			return
		}
		again, err := ParseFQN(ref.String())
		if err != nil || again != ref {
			t.Errorf("%q gives %v, which gives %v, %v", s, ref, again, err)
		}
		var read FQN
		if err := json.Unmarshal(ref.AppendJSON(nil), &read); err != nil || read != ref {
			t.Errorf("%q: JSON gives %v, %v", s, read, err)
		}
	})
}

func TestVersions(t *testing.T) {
	for text, want := range map[string]Version{"0.0.1": {0, 0, 1}, "1": {1, 0, 0}, "1.2": {1, 2, 0}, "10.20.30": {10, 20, 30}} {
		v, err := ParseVersion(text)
		require.NoError(t, err, text)
		require.Equal(t, want, v)
	}
	for _, text := range []string{"", "0", "0.0.0", "-1", "-0.1", "+1", "1.", ".1", "1..2", "1.2.3.4", "a", "1.2.x", " 1", "99999999999"} {
		_, err := ParseVersion(text)
		require.EqualError(t, err, "semantic version malformed", text)
	}
	var v Version
	require.NoError(t, json.Unmarshal([]byte(`"3.2.1"`), &v))
	require.Equal(t, Version{3, 2, 1}, v)
	for _, raw := range []string{`1`, `null`, `{}`, `"x"`} {
		require.EqualError(t, v.UnmarshalJSON([]byte(raw)), "semantic version malformed", raw)
	}
	require.Equal(t, Version{3, 2, 2}, v.Next())
	require.Equal(t, "3.2.1", v.String())
}

func FuzzVersion(f *testing.F) {
	f.Add("1.2.3")
	f.Add("-0")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVersion(s)
		if err != nil {
			return
		}
		if again, err := ParseVersion(v.String()); err != nil || again != v {
			t.Errorf("%q gives %v, which gives %v, %v", s, v, again, err)
		}
	})
}

func TestActivationIDs(t *testing.T) {
	const id = "0efe54d8fb96486bbe54d8fb96d86bbe"
	got, err := ParseActivationID(id)
	require.NoError(t, err)
	require.Equal(t, ActivationID(id), got)
	for text, want := range map[string]string{
		"":                        "Activation id length is 0 but must be 32.",
		id + "0":                  "Activation id length is 33 but must be 32.",
		strings.ToUpper(id):       "The activation id is not valid.",
		strings.Repeat("g", 32):   "The activation id is not valid.",
		strings.Repeat("-", 32):   "The activation id is not valid.",
		id[:31] + "\x00":          "The activation id is not valid.",
		"0efe54d8-fb96-486b-be54": "Activation id length is 23 but must be 32.",
	} {
		_, err := ParseActivationID(text)
		require.EqualError(t, err, want, "%q", text)
	}
	seen := make(map[ActivationID]bool)
	for range 100 {
		id := NewActivationID()
		_, err := ParseActivationID(string(id))
		require.NoError(t, err)
		require.Equal(t, byte('4'), id[12], "a UUIDv4")
		require.False(t, seen[id])
		seen[id] = true
	}
}
