package entity

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

const odd = `[{"key":"n","value":[1e400,123456789012345678901234567890,0.10]},{"key":"s","value":"\u0000\ud800€"},{"key":"i","value":1,"init":true,"encryption":"aes-128"}]`

func TestDocumentsRoundTrip(t *testing.T) {
	for name, doc := range map[string]string{
		"Action": `{"namespace":"guest/pkg","name":"a","entityType":"action","version":"1.2.3","publish":true,"annotations":` + odd + `,"updated":1700000000000,` +
			`"exec":{"kind":"nodejs:20","binary":true,"main":"m"},"parameters":` + odd + `,"limits":{"timeout":100,"memory":128,"logs":0,"concurrency":3,"instances":5}}`,
		"Sequence": `{"namespace":"guest","name":"s","entityType":"action","version":"0.0.1","publish":false,"annotations":[],"updated":1,` +
			`"exec":{"kind":"sequence","components":["/guest/a","/x/p/b c"]},"parameters":[],"limits":{"timeout":60000,"memory":256,"logs":10,"concurrency":1}}`,
		"Blackbox": `{"namespace":"guest","name":"b","entityType":"action","version":"0.0.1","publish":false,"annotations":[],"updated":1,` +
			`"exec":{"kind":"blackbox","image":"u/i:t","binary":false},"parameters":[],"limits":{"timeout":60000,"memory":256,"logs":10,"concurrency":1}}`,
		"Package": `{"namespace":"guest","name":"p","entityType":"package","version":"0.0.1","publish":true,"annotations":[],"updated":1,"binding":{},"parameters":` + odd + `}`,
		"Binding": `{"namespace":"guest","name":"p","entityType":"package","version":"0.0.1","publish":false,"annotations":[],"updated":1,"binding":{"namespace":"other","name":"q"},"parameters":[]}`,
		"Trigger": `{"namespace":"guest","name":"t","entityType":"trigger","version":"0.0.1","publish":false,"annotations":[],"updated":1,"parameters":` + odd + `,"limits":{}}`,
		"Rules": `{"namespace":"guest","name":"t","entityType":"trigger","version":"0.0.1","publish":false,"annotations":[],"updated":1,"parameters":[],"limits":{},` +
			`"rules":{"guest/z":{"action":{"path":"guest","name":"a"},"status":"active"},"guest/b":{"action":{"path":"guest/p","name":"a"},"status":"inactive"}}}`,
		"Rule": `{"namespace":"guest","name":"r","entityType":"rule","version":"0.0.1","publish":false,"annotations":[],"updated":1,"trigger":{"path":"guest","name":"t"},"action":{"path":"guest/p","name":"a"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			e, err := ParseDocument([]byte(doc))
			require.NoError(t, err)
			out := AppendDocument(nil, e)
			require.Equal(t, canonical(t, doc), canonical(t, string(out)))
			again, err := ParseDocument(out)
			require.NoError(t, err)
			require.Equal(t, e, again)
		})
	}
}

// canonical orders an object's fields and keeps their raw values, so that the
// spelling of numbers and the order within values are compared too.
func canonical(t *testing.T, text string) string {
	t.Helper()
	var fields map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(text), &fields), text)
	out, err := EncodeJSON(fields)
	require.NoError(t, err)
	return string(out)
}

func TestOlderDocuments(t *testing.T) {
	for doc, want := range map[string]Type{
		`{"namespace":"guest","name":"a","exec":{"kind":"nodejs:6"},"limits":{"timeout":1000,"memory":256}}`:                              TypeAction,
		`{"namespace":"guest","name":"p","binding":{},"parameters":[]}`:                                                                   TypePackage,
		`{"namespace":"guest","name":"t","parameters":[]}`:                                                                                TypeTrigger,
		`{"namespace":"guest","name":"r","trigger":"t","action":"a"}`:                                                                     TypeRule,
		`{"namespace":"guest","name":"r","trigger":{"path":"guest","name":"t"},"action":{"path":"guest/p","name":"a","version":"0.0.1"}}`: TypeRule,
	} {
		e, err := ParseDocument([]byte(doc))
		require.NoError(t, err, doc)
		require.Equal(t, want, e.Type(), doc)
		if r, ok := e.(*Rule); ok {
			require.Equal(t, FQN{"guest", "t"}, r.Trigger)
		}
		if a, ok := e.(*Action); ok {
			require.Equal(t, ActionLimits{Timeout: 1000, Memory: 256, Logs: 10, Concurrency: 1}, a.Limits, "what is missing has its default")
		}
	}
}

func TestUnreadableDocuments(t *testing.T) {
	for _, doc := range []string{``, `{`, `[]`, `null`, `{}`, `7`, `{"entityType":"cow"}`, `{"entityType":"action"}`, `{"entityType":"action","exec":null}`, `{"entityType":"action","exec":{}}`,
		`{"entityType":"rule"}`, `{"entityType":"rule","trigger":"t","action":null}`, `{"entityType":"trigger","rules":[]}`, `{"entityType":"trigger","rules":{"x":{}}}`, `{"entityType":"trigger","rules":{"guest/r":{"status":"active"}}}`,
		`{"entityType":"package","version":"x"}`, `{"entityType":"trigger","parameters":{}}`} {
		_, err := ParseDocument([]byte(doc))
		require.ErrorIs(t, err, ErrUnreadable, doc)
	}
}

func FuzzParseDocument(f *testing.F) {
	f.Add(`{"namespace":"guest","name":"a","entityType":"action","exec":{"kind":"nodejs:6"},"limits":{"timeout":1000},"parameters":` + odd + `}`)
	f.Add(`{"namespace":"guest","name":"t","parameters":[],"rules":{"guest/z":{"action":{"path":"guest","name":"a"},"status":"active"}}}`)
	f.Add(`{"name":"r","namespace":"guest","trigger":"t","action":"a"}`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseDocument([]byte(text))
		if err != nil {
			return
		}
		out := AppendDocument(nil, e)
		again, err := ParseDocument(out)
		if err != nil {
			t.Fatalf("%q gives %q: %v", text, out, err)
		}
		if string(AppendDocument(nil, again)) != string(out) {
			t.Errorf("%q is %q, then %q", text, out, AppendDocument(nil, again))
		}
		if !json.Valid(e.AppendSummary(nil)) {
			t.Errorf("%q has the summary %q", text, e.AppendSummary(nil))
		}
	})
}
