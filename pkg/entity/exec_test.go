package entity

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var errUnknownKind = errors.New("unknown kind")

func resolve(kind string) (RuntimeRule, error) {
	switch kind {
	case "nodejs:default", "nodejs:20":
		return RuntimeRule{Kind: "nodejs:20"}, nil
	case "java:default", "java:8":
		return RuntimeRule{Kind: "java:8", RequireMain: true}, nil
	}
	return RuntimeRule{}, errUnknownKind
}

func TestParseExec(t *testing.T) {
	for text, want := range map[string]string{
		`{"kind":"nodejs:default","code":"x","binary":true,"image":"i","components":[]}`:                `{"kind":"nodejs:20","code":"x","binary":false}`,
		`{"kind":" NodeJS:20 ","code":""}`:                                                              `{"kind":"nodejs:20","code":"","binary":false}`,
		`{"kind":"nodejs:20","code":"UEsDBA==","main":"hello"}`:                                         `{"kind":"nodejs:20","code":"UEsDBA==","binary":true,"main":"hello"}`,
		`{"kind":"java:default","jar":"UEsDBA==","main":"Hello"}`:                                       `{"kind":"java:8","code":"UEsDBA==","binary":true,"main":"Hello"}`,
		`{"kind":"blackbox","image":" user/img:tag "}`:                                                  `{"kind":"blackbox","image":"user/img:tag","binary":false}`,
		`{"kind":"blackbox","image":"img","code":" \n"}`:                                                `{"kind":"blackbox","image":"img","binary":false}`,
		`{"kind":"blackbox","image":"img","code":"abcd","main":"m"}`:                                    `{"kind":"blackbox","image":"img","code":"abcd","binary":true,"main":"m"}`,
		`{"kind":"sequence","components":["/guest/a","guest/p/b",{"path":"x","name":"y"}],"code":"no"}`: `{"kind":"sequence","components":["/guest/a","/guest/p/b","/x/y"]}`,
		`{"kind":"sequence","components":[]}`:                                                           `{"kind":"sequence","components":[]}`,
		`{"kind":"nodejs:20","code":"x","main":null}`:                                                   `{"kind":"nodejs:20","code":"x","binary":false}`,
	} {
		e, err := ParseExec([]byte(text), resolve)
		require.NoError(t, err, text)
		require.Equal(t, want, string(e.AppendJSON(nil, true)), text)
	}
}

// The texts of openwhisk-rest-api.md 8.2.
func TestMalformedExec(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                  "'kind' must be a string defined in 'exec'",
		`{"kind":7}`:                          "'kind' must be a string defined in 'exec'",
		`{"kind":null}`:                       "'kind' must be a string defined in 'exec'",
		`[]`:                                  "exec malformed",
		`"x"`:                                 "exec malformed",
		`{"kind":"nodejs:20"}`:                "'code' must be a string or attachment object defined in 'exec' for 'nodejs:20' actions",
		`{"kind":"NODEJS:default","code":[]}`: "'code' must be a string or attachment object defined in 'exec' for 'nodejs:default' actions",
		`{"kind":"nodejs:20","code":"x","main":1}`: "if defined, 'main' be a string in 'exec' for 'nodejs:20' actions",
		`{"kind":"java:default","code":"x"}`:       "'main' must be a string defined in 'exec' for 'java:default' actions",
		`{"kind":"blackbox"}`:                      "'image' must be a string defined in 'exec' for 'blackbox' actions",
		`{"kind":"blackbox","image":1}`:            "'image' must be a string defined in 'exec' for 'blackbox' actions",
		`{"kind":"blackbox","image":""}`:           "could not parse image name",
		`{"kind":"blackbox","image":"UPPER/x y"}`:  "could not parse image name",
		`{"kind":"blackbox","image":"i","main":1}`: "if defined, 'main' be a string in 'exec' for 'blackbox' actions",
		`{"kind":"blackbox","image":"i","code":1}`: "'code' must be a string or attachment object defined in 'exec' for 'blackbox' actions",
		`{"kind":"sequence"}`:                      "'components' must be defined for sequence kind",
		`{"kind":"sequence","components":null}`:    "'components' must be defined for sequence kind",
		`{"kind":"sequence","components":"a"}`:     "'components' must be an array",
		`{"kind":"sequence","components":["a"]}`:   errTooFewSegments,
		`{"kind":"sequence","components":[7]}`:     "fully qualified name malformed",
	} {
		_, err := ParseExec([]byte(text), resolve)
		var e *MalformedError
		require.ErrorAs(t, err, &e, text)
		require.Equal(t, want, e.Detail, text)
	}
	_, err := ParseExec([]byte(`{"kind":"cobol:1","code":"x"}`), resolve)
	require.ErrorIs(t, err, errUnknownKind)
}

func FuzzParseExec(f *testing.F) {
	f.Add(`{"kind":"nodejs:20","code":"x","main":"m"}`)
	f.Add(`{"kind":"sequence","components":["/guest/a"]}`)
	f.Add(`{"kind":"blackbox","image":"a/b:c@sha256:0123456789abcdef0123456789abcdef","code":"abcd"}`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseExec([]byte(text), resolve)
		if err != nil {
			return
		}
		out := e.AppendJSON(nil, true)
		again, err := ParseExec(out, resolve)
		if err != nil {
			t.Fatalf("%q gives %q: %v", text, out, err)
		}
		if string(again.AppendJSON(nil, true)) != string(out) {
			t.Errorf("%q is %q, then %q", text, out, again.AppendJSON(nil, true))
		}
	})
}

func TestIsBinary(t *testing.T) {
	for code, want := range map[string]bool{
		"": false, "  ": false, "abcd": true, " abcd\n": true, "abc": false, "abc=": true, "ab==": true, "a===": false, "====": false, "=abc": false, "ab=c": false,
		"ab-_": false, "a+/9": true, "abcdefg=": true, "abcd efgh": false, "function main(){}": false, strings.Repeat("A", 4000): true,
	} {
		require.Equal(t, want, IsBinary(code), "%q", code)
	}
}

func TestExecSize(t *testing.T) {
	code := "12345"
	require.EqualValues(t, 9, (&Exec{Kind: "nodejs:20", Code: &code, Main: "main"}).Size())
	require.EqualValues(t, 8, (&Exec{Kind: KindBlackbox, Code: &code, Image: "img"}).Size())
	require.EqualValues(t, len("guest/a")+len("g/p/b"), (&Exec{Kind: KindSequence, Components: []FQN{{"guest", "a"}, {"g/p", "b"}}}).Size())
	require.Zero(t, (&Exec{}).Size())
}
