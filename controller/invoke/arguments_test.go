package invoke

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gowhisk/gowhisk/controller/catalog"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// callable returns an action with parameters, given as the API has them.
func callable(t testing.TB, parameters string) *catalog.Callable {
	var p entity.Parameters
	require.NoError(t, json.Unmarshal([]byte(parameters), &p))
	c := &catalog.Callable{
		Action:     &entity.Action{Header: entity.Header{Namespace: "ns", Name: "a", Version: entity.FirstVersion}, Exec: entity.Exec{Kind: "nodejs:20"}, Limits: entity.DefaultLimitRanges().Std()},
		Parameters: p, Arguments: append(catalog.AppendFields([]byte{'{'}, p), '}'), GrantsKey: true,
	}
	for _, q := range p {
		if q.Init {
			c.InitArguments = append(c.InitArguments, q.Key)
		}
		if q.Encryption != "" {
			if c.Locked == nil {
				c.Locked = map[string]string{}
			}
			c.Locked[q.Key] = q.Encryption
		}
	}
	return c
}

// many returns n parameters as the API has them, and n fields of an object of which
// half have the names of parameters. All names are of one length.
func many(n int) (parameters, payload string) {
	var p, o strings.Builder
	for i := range n {
		fmt.Fprintf(&p, `,{"key":"k%06d","value":%d,"encryption":"aes-128"}`, i, i)
		fmt.Fprintf(&o, `,"k%06d":"own"`, i+n/2)
	}
	return "[" + p.String()[1:] + "]", "{" + o.String()[1:] + "}"
}

// TestMergeManyNames: a megabyte holds a hundred thousand names on either side. Each
// compared with each, this would keep a CPU for minutes.
func TestMergeManyNames(t *testing.T) {
	for _, n := range []int{fewNames, fewNames + 2, 100_000} {
		parameters, payload := many(n)
		c := callable(t, parameters)
		a := Merge(c, json.RawMessage(payload))
		require.Len(t, a.Locked, n/2)
		want := append(catalog.AppendFields([]byte{'{'}, c.Parameters[:n/2]), ","+payload[1:]...)
		require.True(t, bytes.Equal(want, a.Content))
		require.NoError(t, CheckFinal(c, json.RawMessage(payload)))
		c.Final = []string{"other"}
		for i := range n / 2 {
			c.Final = append(c.Final, c.Parameters[i].Key)
		}
		require.NoError(t, CheckFinal(c, json.RawMessage(payload)))
		c.Final = append(c.Final, c.Parameters[n-1].Key)
		require.ErrorIs(t, CheckFinal(c, json.RawMessage(payload)), ErrFinal)
	}
}

func TestMerge(t *testing.T) {
	const ab = `[{"key":"a","value":1.0},{"key":"b","value":"<x>"}]`
	for _, c := range []struct{ name, parameters, payload, want string }{
		{"nothing at all", `[]`, ``, `{}`},
		{"an empty object", `[]`, `{}`, `{}`},
		{"parameters alone", ab, ``, `{"a":1.0,"b":"<x>"}`},
		{"parameters and an empty object", ab, ` { } `, `{"a":1.0,"b":"<x>"}`},
		{"payload alone", `[]`, `{"n":1e400}`, `{"n":1e400}`},
		{"both", ab, `{"c":123456789012345678901234567890}`, `{"a":1.0,"b":"<x>","c":123456789012345678901234567890}`},
		{"the payload wins", ab, `{"a":2.50}`, `{"b":"<x>","a":2.50}`},
		{"all are overridden", ab, `{"b":null,"a":[1]}`, `{"b":null,"a":[1]}`},
		{"an escaped key is the same key", ab, `{"\u0061":2}`, `{"b":"<x>","\u0061":2}`},
		{"a nested key is another key", ab, `{"o":{"a":2}}`, `{"a":1.0,"b":"<x>","o":{"a":2}}`},
		{"spelling survives", ab, "{ \"c\" :\t[ 1 , 2 ] }", "{\"a\":1.0,\"b\":\"<x>\",\"c\" :\t[ 1 , 2 ]}"},
		{"duplicates stay the payload's affair", ab, `{"a":1,"a":2}`, `{"b":"<x>","a":1,"a":2}`},
		{"an array bypasses the parameters", ab, `[1,2]`, `[1,2]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, string(Merge(callable(t, c.parameters), json.RawMessage(c.payload)).Content))
		})
	}
}

func TestMergeTellsWhatGoesToInitAndWhatIsLocked(t *testing.T) {
	c := callable(t, `[{"key":"i","value":1,"init":true},{"key":"e","value":"x","encryption":"aes-128"},{"key":"f","value":"y","encryption":"aes-256"}]`)
	arguments := Merge(c, json.RawMessage(`{"i":2,"e":"open"}`))
	require.Equal(t, []string{"i"}, arguments.Init, "an overriding value goes to init too")
	require.Equal(t, map[string]string{"f": "aes-256"}, arguments.Locked, "an overriding value is not encrypted")
	require.Len(t, c.Locked, 2, "the action's own map is left alone")
	all := Merge(c, json.RawMessage(`{"i":2,"e":"open","f":"open"}`))
	require.Empty(t, all.Locked)
	array := Merge(c, json.RawMessage(`[1]`))
	require.Empty(t, array.Init)
	require.Empty(t, array.Locked)
}

func TestMergeLeavesTheActionAlone(t *testing.T) {
	c := callable(t, `[{"key":"a","value":1}]`)
	before := string(c.Arguments)
	for range 3 {
		_ = append(Merge(c, json.RawMessage(`{"b":2}`)).Content, "scribble"...)
	}
	require.Equal(t, before, string(c.Arguments))
}

func TestValidObject(t *testing.T) {
	require.NoError(t, ValidObject([]byte(` {"a":[1,{}]} `)))
	for _, text := range []string{`[]`, `1`, `null`, `"{}"`} {
		require.ErrorIs(t, ValidObject([]byte(text)), ErrNotObject, text)
	}
	for _, text := range []string{`{`, `{"a"}`, `{"a":01}`, `{"a":1}x`, "{\"a\":\"\x01\"}", strings.Repeat(`{"a":`, 200_000)} {
		err := ValidObject([]byte(text))
		require.Error(t, err)
		require.NotErrorIs(t, err, ErrNotObject)
	}
}

func TestDeepJSON(t *testing.T) {
	require.Equal(t, errTooDeep, ValidObject([]byte(`{"a":`+strings.Repeat("[", entity.MaxNesting)+strings.Repeat("]", entity.MaxNesting)+`}`)))
}

func FuzzMerge(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1}`, `{"\u0061":1,"b":2}`, `{"":{}}`, `{"a":"\ud800"}`, ` {"x" : [ ] } `, `{"a":1,"a":2}`} {
		f.Add([]byte(seed))
	}
	c := callable(f, `[{"key":"a","value":"default"},{"key":"d","value":[1,2.50]}]`)
	f.Fuzz(func(t *testing.T, payload []byte) {
		if ValidObject(payload) != nil {
			return
		}
		var want, got map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(payload, &want), "what we call valid is valid")
		merged := Merge(c, payload).Content
		require.NoError(t, json.Unmarshal(merged, &got))
		for _, p := range c.Parameters {
			if _, overridden := want[p.Key]; !overridden {
				want[p.Key] = p.Value
			}
		}
		require.Equal(t, want, got)
	})
}
