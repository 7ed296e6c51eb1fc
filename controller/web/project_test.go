package web

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http/httpguts"

	"github.com/gowhisk/gowhisk/controller/api"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// shown is an answer as text: status, content type, entity.
func shown(t testing.TB, a answer) string {
	t.Helper()
	content := a.content
	switch a.encoding {
	case asPrettyJSON:
		content = "JSON " + content
	case fromBase64:
		var b bytes.Buffer
		require.NoError(t, decodeTo(&b, a.content))
		content = "bytes " + b.String()
	}
	return strings.TrimSuffix(strings.Join([]string{http.StatusText(a.status), a.contentType, content}, "|"), "|")
}

func succeeded(result string) *entity.Response {
	return &entity.Response{Result: json.RawMessage(result)}
}

const (
	invalidJSON = "Response is not valid 'application/json'."
	invalidHTML = "Response is not valid 'text/html'."
	invalidSVG  = "Response is not valid 'image/svg+xml'."
	invalidHTTP = "Response is not valid 'message/http'."
	noProperty  = "Response does not include requested property."
	mismatch    = "Response type in header did not match generated content type."
	unknownType = "Response did not specify a known content-type."
)

// The tables of openwhisk-rest-api.md 18.5.
func TestProjection(t *testing.T) {
	for _, c := range []struct{ extension, result, want string }{
		{".json", `{"statusCode":400,"headers":1}`, `OK|application/json|JSON {"statusCode":400,"headers":1}`},
		{".json", `[1]`, `OK|application/json|JSON [1]`},
		{".json", `{"error":{"a":1}}`, `OK|application/json|JSON {"a":1}`},
		{".json", `{"error":"x"}`, invalidJSON},
		{".html", `{"body":"<p>"}`, `OK|text/html; charset=UTF-8|<p>`},
		{".html", `{"html":"h"}`, `OK|text/html; charset=UTF-8|h`},
		{".html", `{"html":"h","body":"b"}`, `OK|text/html; charset=UTF-8|b`},
		{".html", `{"body":"b","html":"h"}`, `OK|text/html; charset=UTF-8|b`},
		{".html", `{"body":1,"html":"h"}`, invalidHTML},
		{".html", `{"body":"\u003cp\u003e\""}`, `OK|text/html; charset=UTF-8|<p>"`},
		{".html", `{}`, invalidHTML},
		{".html", `["x"]`, invalidHTML},
		{".html", `{"error":"x"}`, `OK|text/html; charset=UTF-8|x`},
		{".html", `{"error":{"html":"x"}}`, `OK|text/html; charset=UTF-8|x`},
		{".svg", `{"svg":"<svg/>"}`, `OK|image/svg+xml|<svg/>`},
		{".svg", `{"svg":"s","body":"b"}`, `OK|image/svg+xml|b`},
		{".svg", `{"error":"s"}`, `OK|image/svg+xml|s`},
		{".svg", `{"error":1}`, invalidSVG},
		{".svg", `[]`, invalidSVG},
		{".svg", `{}`, invalidSVG},
		{".text", `{"text":"t"}`, `OK|text/plain; charset=UTF-8|t`},
		{".text", `{"text":"t","body":"b"}`, `OK|text/plain; charset=UTF-8|b`},
		{".text", `{"body":{"a":[1]}}`, `OK|text/plain; charset=UTF-8|JSON {"a":[1]}`},
		{".text", `{"body":1.50}`, `OK|text/plain; charset=UTF-8|1.50`},
		{".text", `{"body":null}`, `OK|text/plain; charset=UTF-8|null`},
		{".text", `{"body":true}`, `OK|text/plain; charset=UTF-8|true`},
		{".text", `[1]`, `OK|text/plain; charset=UTF-8|JSON [1]`},
		{".text", `{}`, noProperty},
		{".text", `{"error":"x"}`, `OK|text/plain; charset=UTF-8|x`},
		{".text", `{"error":{"a":1}}`, noProperty},
		{".http", `{}`, `No Content|`},
		{".http", `{"body":""}`, `No Content|`},
		{".http", `{"body":null,"statusCode":200}`, `OK|`},
		{".http", `{"headers":{"content-type":"xyzbar"}}`, `No Content|`},
		{".http", `{"body":"x"}`, `OK|text/html; charset=UTF-8|x`},
		{".http", `{"body":"x","body":"y"}`, `OK|text/html; charset=UTF-8|y`},
		{".http", `{"body":{"a":1}}`, `OK|application/json|JSON {"a":1}`},
		{".http", `{"body":[1]}`, `OK|application/json|JSON [1]`},
		{".http", `{"body":0}`, `OK|application/json|JSON 0`},
		{".http", `{"body":false}`, `OK|application/json|JSON false`},
		{".http", `[{"body":1}]`, `OK|application/json|JSON [{"body":1}]`},
		{".http", `{"error":{"statusCode":418,"body":"t"}}`, `I'm a teapot|text/html; charset=UTF-8|t`},
		{".http", `{"error":{}}`, `No Content|`},
		{".http", `{"error":"x"}`, invalidHTTP},
		{".http", `{"error":null}`, invalidHTTP},
	} {
		require.Equal(t, c.want, projected(t, c.extension, c.result), "%s of %s", c.extension, c.result)
	}
}

func projected(t testing.TB, suffix, result string) string {
	t.Helper()
	response := succeeded(result)
	if strings.HasPrefix(result, `{"error"`) {
		response.StatusCode = entity.StatusApplicationError
	}
	_, e := splitExtension("name" + suffix)
	a, err := project(e, response)
	if err != nil {
		require.IsType(t, &api.Error{}, err)
		return err.Error()
	}
	return shown(t, a)
}

func TestOutcomesThatAreNotProjected(t *testing.T) {
	for i := range extensions {
		for _, status := range []entity.StatusCode{entity.StatusDeveloperError, entity.StatusWhiskError} {
			r := entity.ErrorResponse(status, "secret")
			_, err := project(&extensions[i], &r)
			require.Equal(t, api.ErrWebFailed, err)
		}
	}
	a, err := project(&extensions[0], &entity.Response{})
	require.NoError(t, err)
	require.Equal(t, 204, a.status)
}

func TestStatusCodes(t *testing.T) {
	for code, want := range map[string]int{
		`201`: 201, `"201"`: 201, `444`: 444, `"444"`: 444, `599`: 599, `2e2`: 200, `200.0`: 200, `200`: 200,
		`100`: 0, `199`: 0, `600`: 0, `-200`: 0, `200.5`: 0, `"xyz"`: 0, `"200.0"`: 0, `""`: 0, `1e400`: 0, `null`: 0, `true`: 0, `{}`: 0, `[200]`: 0,
	} {
		a, err := projectHTTP(parse([]byte(`{"statusCode":` + code + `}`)))
		if want == 0 {
			require.EqualError(t, err, invalidHTTP, code)
			continue
		}
		require.NoError(t, err, code)
		require.Equal(t, want, a.status, code)
	}
}

func TestHeaders(t *testing.T) {
	for headers, want := range map[string]string{
		`{}`: ``, `{"x-n":1.50}`: `X-N: 1.50`, `{"x":true,"y":"z"}`: `X: true, Y: z`, `{"Set-Cookie":["a=b","c=d"]}`: `Set-Cookie: a=b, Set-Cookie: c=d`,
		`{"set-cookie":["a",[1,[false]]],"Set-Cookie":"d"}`: `Set-Cookie: a, Set-Cookie: 1, Set-Cookie: false, Set-Cookie: d`, `{"x":[]}`: ``, `{"x":""}`: `X: `,
		`{"Content-Type":"text/plain","CONTENT-TYPE":"x"}`: ``, `{"content-length":"3","Transfer-Encoding":"chunked","connection":"close"}`: ``,
		`{"date":"Thu, 01 Jan 1970 00:00:00 GMT","SERVER":"x","expires":"0"}`:                          `Expires: 0`,
		`{"Trailer":"X","upgrade":"h2c","X-Request-ID":"forged","x-openwhisk-activation-id":"forged"}`: ``, `{"x":"ü\t1"}`: "X: ü\t1",
	} {
		a, err := projectHTTP(parse([]byte(`{"headers":` + headers + `}`)))
		require.NoError(t, err, headers)
		var got []string
		for _, f := range a.header {
			got = append(got, f.name+": "+f.value)
		}
		require.Equal(t, want, strings.Join(got, ", "), headers)
	}
	for _, headers := range []string{
		`null`, `[]`, `1`, `"x"`, `{"x":null}`, `{"x":{}}`, `{"x":[null]}`, `{"x":[{}]}`, `{"":"x"}`, `{"a b":"x"}`, `{"a:":"x"}`, `{"Trailer:x":"y"}`, `{"x\r\ny":"z"}`,
		`{"x":"a\r\nSet-Cookie: b"}`, `{"x":"a\nb"}`, `{"x":"a\u0000"}`, `{"ü":"x"}`, `{"content-type":"a\r\nb"}`, `{"connection":"a\r\nb"}`, `{"content-type":null}`,
		`{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
	} {
		_, err := projectHTTP(parse([]byte(`{"headers":` + headers + `,"body":"x"}`)))
		require.EqualError(t, err, invalidHTTP, headers)
	}
}

func TestContentTypes(t *testing.T) {
	for _, c := range []struct{ contentType, body, want string }{
		{`"text/plain"`, `"x"`, `OK|text/plain; charset=UTF-8|x`},
		{`"text/plain; charset=utf-8"`, `"x"`, `OK|text/plain; charset=utf-8|x`},
		{`["text/css","text/plain"]`, `"x"`, `OK|text/css; charset=UTF-8|x`},
		{`"application/xml"`, `"<a/>"`, `OK|application/xml; charset=UTF-8|<a/>`},
		{`"image/png"`, `"iVBORw=="`, "OK|image/png|bytes \x89PNG"},
		{`"image/png"`, `"iVBORw"`, "OK|image/png|bytes \x89PNG"},
		{`"image/png"`, `"aa\/+"`, "OK|image/png|bytes \x69\xaf\xfe"},
		{`"image/png"`, `"iVBORw="`, mismatch},
		{`"image/png"`, `"iVBOR"`, mismatch},
		{`"image/png"`, `"iVBO\nRw=="`, mismatch},
		{`"image/png"`, `"<png>"`, mismatch},
		{`"image/png"`, `"===="`, mismatch},
		{`"image/svg+xml"`, `"PHN2Zy8+"`, "OK|image/svg+xml|bytes <svg/>"},
		{`"application/octet-stream"`, `"eA=="`, "OK|application/octet-stream|bytes x"},
		{`"application/x-own"`, `"eA=="`, "OK|application/x-own|bytes x"},
		{`"application/x-own; charset=utf-8"`, `"x"`, "OK|application/x-own; charset=utf-8|x"},
		{`"xyzbar"`, `"x"`, unknownType},
		{`1`, `"x"`, unknownType},
		{`""`, `"x"`, unknownType},
		{`"application/json"`, `"{\"a\":1}"`, `OK|application/json|{"a":1}`},
		{`"application/json"`, `"true"`, "OK|application/json|bytes \xb6\xbb\x9e"},
		{`"application/json"`, `" eyJhIjoxfQ== "`, `OK|application/json|bytes {"a":1}`},
		{`"application/ld+json"`, `"{}"`, `OK|application/ld+json|{}`},
		{`"application/json"`, `{"a":1}`, `OK|application/json|JSON {"a":1}`},
		{`"application/ld+json"`, `{"a":1}`, `OK|application/ld+json|JSON {"a":1}`},
		{`"text/html"`, `{"a":1}`, mismatch},
		{`"image/png"`, `[1]`, mismatch},
		{`"xyzbar"`, `{"a":1}`, unknownType},
	} {
		require.Equal(t, c.want, projected(t, ".http", `{"headers":{"content-type":`+c.contentType+`},"body":`+c.body+`}`), "%+v", c)
	}
}

func TestDecodeTo(t *testing.T) {
	for _, size := range []int{0, 1, 2, 3, chunk - 1, chunk, chunk + 1, 3*chunk + 5} {
		want := bytes.Repeat([]byte("abcde"), size/5+1)[:size]
		text, ok := unpadded(base64.StdEncoding.EncodeToString(want))
		require.True(t, ok)
		var got bytes.Buffer
		require.NoError(t, decodeTo(&got, text))
		require.Equal(t, want, append([]byte{}, got.Bytes()...), size)
		require.Equal(t, size, base64.RawStdEncoding.DecodedLen(len(text)))
	}
}

func FuzzProject(f *testing.F) {
	for _, seed := range []string{
		`{"statusCode":201,"headers":{"content-type":"text/plain","x":[1,[true]]},"body":"x"}`, `{"body":"aGk=","headers":{"Content-Type":"image/png"}}`,
		`{"error":{"body":{"a":[]}}}`, `[1]`, `{"headers":{"a\r\nb":"c"}}`, `{"body":"\ud800"}`, `{"statusCode":"1e2"}`, `"`, `{"body`,
	} {
		f.Add([]byte(seed), uint8(0))
	}
	f.Fuzz(func(t *testing.T, result []byte, status uint8) {
		for i := range extensions {
			a, err := project(&extensions[i], &entity.Response{StatusCode: entity.StatusCode(status % 4), Result: result})
			if err != nil {
				require.IsType(t, &api.Error{}, err)
				continue
			}
			require.True(t, a.status >= 200 && a.status <= 599, a.status)
			require.Equal(t, a.contentType == "", a.media == "")
			require.True(t, httpguts.ValidHeaderFieldValue(a.contentType), a.contentType)
			for _, h := range a.header {
				require.True(t, httpguts.ValidHeaderFieldName(h.name) && httpguts.ValidHeaderFieldValue(h.value), h)
				require.False(t, ownedByServer[h.name])
			}
			if a.encoding == fromBase64 {
				require.NoError(t, decodeTo(&bytes.Buffer{}, a.content))
			}
		}
	})
}
