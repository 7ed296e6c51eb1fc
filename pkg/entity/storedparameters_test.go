package entity

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseStoredParameters(t *testing.T) {
	for _, text := range []string{
		`[]`,
		`[{"key":"a","value":1}]`,
		`[{"key":"","value":{"key":"x","value":[1e400,0.10]},"init":true},{"key":"b","value":"t","encryption":"aes-256"}]`,
		`[{"key":"é\"\u0000","value":"\ud800"},{"key":"n","value":null}]`,
	} {
		var want Parameters
		require.NoError(t, json.Unmarshal([]byte(text), &want))
		got, err := ParseStoredParameters([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{``, `null`, `{}`, `[1]`, `[{"value":1}]`, `[{"key":"a"}]`, `[{"key":1,"value":1}]`} {
		_, err := ParseStoredParameters([]byte(text))
		require.Error(t, err, text)
	}
}

// FuzzParseStoredParameters: what AppendJSON writes is read as it was.
func FuzzParseStoredParameters(f *testing.F) {
	f.Add("key", "value", true, "aes-128")
	f.Add("\"\\", "\x00é", false, "")
	f.Fuzz(func(t *testing.T, key, value string, init bool, scheme string) {
		p := Parameters{{Key: key, Value: AppendString(nil, value), Init: init, Encryption: scheme}, {Key: key + "2", Value: []byte(`{"key":[]}`)}}
		data := p.AppendJSON(nil)
		var want Parameters
		if json.Unmarshal(data, &want) != nil {
			t.Fatalf("written: %s", data)
		}
		got, err := ParseStoredParameters(data)
		if err != nil || string(got.AppendJSON(nil)) != string(want.AppendJSON(nil)) {
			t.Fatalf("%s was read as %s, %v", data, got.AppendJSON(nil), err)
		}
	})
}

func BenchmarkParseStoredParameters(b *testing.B) {
	data := []byte(`[{"key":"path","value":"guest/hello"},{"key":"kind","value":"nodejs:20"},{"key":"limits","value":{"timeout":60000,"memory":256,"logs":10,"concurrency":1}},{"key":"timeout","value":false},{"key":"waitTime","value":1}]`)
	b.Run("stored", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = ParseStoredParameters(data)
		}
	})
	b.Run("any", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var p Parameters
			_ = p.UnmarshalJSON(data)
		}
	})
}
