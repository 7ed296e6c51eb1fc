package entity

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func parameters(t *testing.T, text string) Parameters {
	t.Helper()
	var p Parameters
	require.NoError(t, p.UnmarshalJSON([]byte(text)), text)
	return p
}

func TestParametersRoundTrip(t *testing.T) {
	for text, want := range map[string]string{
		`[]`: `[]`,
		`[ {"value" : {"b": 1, "a":[ ]}, "key":"k"} ]`:                                                          `[{"key":"k","value":{"b":1,"a":[]}}]`,
		`[{"key":"a","value":1},{"key":"b","value":2},{"key":"a","value":3}]`:                                   `[{"key":"a","value":3},{"key":"b","value":2}]`,
		`[{"key":"a","value":null}]`:                                                                            `[{"key":"a","value":null}]`,
		`[{"key":"s","value":"x","init":true}]`:                                                                 `[{"key":"s","value":"x","init":true}]`,
		`[{"key":"s","value":"x","init":false,"encryption":null}]`:                                              `[{"key":"s","value":"x"}]`,
		`[{"key":"s","value":"x","encryption":"aes-256"}]`:                                                      `[{"key":"s","value":"x","encryption":"aes-256"}]`,
		`[{"key":"n","value":[1e400,123456789012345678901234567890,0.10,-0]}]`:                                  `[{"key":"n","value":[1e400,123456789012345678901234567890,0.10,-0]}]`,
		`[{"key":"","value":"\u0000\ud800<&>"}]`:                                                                `[{"key":"","value":"\u0000\ud800<&>"}]`,
		`[{"key":"x","value":1,"unknown":true}]`:                                                                `[{"key":"x","value":1}]`,
		`[{"key":"\u00e9<","value":1}]`:                                                                         `[{"key":"é<","value":1}]`,
		`[{"key":"a","value":1},{"key":"b","value":1},{"key":"c","value":1},{"key":"a","value":2,"init":true}]`: `[{"key":"a","value":2,"init":true},{"key":"b","value":1},{"key":"c","value":1}]`,
	} {
		require.Equal(t, want, string(parameters(t, text).AppendJSON(nil)), text)
	}
}

func TestMalformedParameters(t *testing.T) {
	for _, text := range []string{`{}`, `{"a":1}`, `null`, `"x"`, `[1]`, `[null]`, `[[]]`, `[{}]`, `[{"key":"a"}]`, `[{"value":1}]`, `[{"key":1,"value":1}]`, `[{"key":null,"value":1}]`,
		`[{"key":"a","value":1,"init":"yes"}]`, `[{"key":"a","value":1,"init":null}]`, `[{"key":"a","value":1,"encryption":7}]`} {
		var p Parameters
		err := p.UnmarshalJSON([]byte(text))
		var e *MalformedError
		require.ErrorAs(t, err, &e, text)
		require.Equal(t, "parameters malformed!", e.Detail)
	}
}

func FuzzParameters(f *testing.F) {
	f.Add(`[{"key":"a","value":1,"init":true,"encryption":"aes-128"}]`)
	f.Add(`[{"key":"a","value":{"x":1e400}},{"key":"a","value":null}]`)
	f.Fuzz(func(t *testing.T, text string) {
		var p, again Parameters
		if json.Unmarshal([]byte(text), &p) != nil {
			return
		}
		out := p.AppendJSON(nil)
		if err := json.Unmarshal(out, &again); err != nil {
			t.Fatalf("%q gives %q: %v", text, out, err)
		}
		if string(again.AppendJSON(nil)) != string(out) {
			t.Errorf("%q is %q, then %q", text, out, again.AppendJSON(nil))
		}
	})
}

func TestParametersAsAMap(t *testing.T) {
	p := parameters(t, `[{"key":"a","value":1},{"key":"s","value":"text"},{"key":"n","value":null}]`)
	before := string(p.AppendJSON(nil))
	q := parameters(t, `[{"key":"z","value":9},{"key":"a","value":2}]`)
	require.Equal(t, `[{"key":"a","value":2},{"key":"s","value":"text"},{"key":"n","value":null},{"key":"z","value":9}]`, string(p.Merge(q).AppendJSON(nil)))
	require.Equal(t, before, string(p.Merge(nil).AppendJSON(nil)))
	require.Equal(t, before, string(Parameters(nil).Merge(p).AppendJSON(nil)))
	require.Equal(t, `[{"key":"a","value":1},{"key":"n","value":null}]`, string(p.Without("s").AppendJSON(nil)))
	require.Equal(t, `[{"key":"a","value":1},{"key":"s","value":0},{"key":"n","value":null}]`, string(p.With(Parameter{Key: "s", Value: []byte("0")}).AppendJSON(nil)))
	require.Equal(t, before, string(p.AppendJSON(nil)), "p itself never changes")
	s, ok := p.String("s")
	require.True(t, ok)
	require.Equal(t, "text", s)
	_, ok = p.String("a")
	require.False(t, ok)
	_, ok = p.String("missing")
	require.False(t, ok)
	require.True(t, p[0].IsDefined())
	require.False(t, p[2].IsDefined(), "null counts as not defined")
	require.EqualValues(t, len("a1")+len(`s"text"`)+len("nnull"), p.Size())
}

func TestTruthiness(t *testing.T) {
	for text, want := range map[string]bool{
		`true`: true, `false`: false, `null`: false, ``: false, ` `: false, `0`: false, `0.0`: false, `-0`: false, `0e5`: false, `1`: true, `-1`: true, `0.1`: true, `1e400`: true,
		`""`: false, `"false"`: true, `" "`: true, `[]`: true, `{}`: true, ` true `: true,
	} {
		require.Equal(t, want, Truthy(json.RawMessage(text)), "%q", text)
	}
	p := parameters(t, `[{"key":"web-export","value":"raw"}]`)
	require.True(t, p.Truthy("web-export"))
	require.False(t, p.Truthy("final"))
}

func TestAppendStringLeavesHTML(t *testing.T) {
	require.Equal(t, `"<a>&'é€😀`+"\u2028"+`"`, string(AppendString(nil, "<a>&'é€😀\u2028")))
	require.Equal(t, `"\u0000\n\r\t\"\\\u001f"`, string(AppendString(nil, "\x00\n\r\t\"\\\x1f")))
	require.Equal(t, `"a\ufffdb"`, string(AppendString(nil, "a\xffb")))
	require.Equal(t, `["a","b"]`, string(AppendStrings(nil, []string{"a", "b"})))
	require.Equal(t, `[]`, string(AppendStrings[string](nil, nil)))
}

// FuzzAppendString: both encoders' texts decode to the same string.
func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "a", "é€😀", "\xff\xc0\xaf", "a\x00\"\\\n", "\u2028\u2029", "\xed\xa0\x80", "<&>", "\xf0\x9f\x98"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var a, b string
		if err := json.Unmarshal(want, &a); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(AppendString(nil, s), &b); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if a != b || string(AppendString(nil, s)) != string(AppendString(nil, []byte(s))) {
			t.Errorf("%q: %q instead of %q", s, b, a)
		}
	})
}
