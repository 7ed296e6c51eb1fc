package wasm

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/runtimes/archive"
)

// maxModule is the largest module, unpacked.
const maxModule = 64 << 20

// upload is the body of POST /init (openwhisk-invoker.md 1.1).
type upload struct {
	main   string
	binary []byte // the module
	env    []string
}

// refusal is what an action's author is told when it cannot be loaded or run.
type refusal string

func (r refusal) Error() string { return string(r) }

const (
	errNotJSON        refusal = "Error unmarshaling request: the body is not valid JSON"
	errNoCode         refusal = "Missing main/no code to execute."
	errNotBase64      refusal = "The code is not a WebAssembly module: send the module itself, or a zip file with it, in base64."
	errInitialised    refusal = "Cannot initialize the action more than once."
	errNotInitialised refusal = "The action has not been initialised."
)

// cannotLoad is a refusal for a fault of the code.
func cannotLoad(err error) refusal {
	return refusal("Initialization has failed due to: " + err.Error())
}

// parseUpload reads an /init body. Its errors are for the action's author.
func parseUpload(body []byte) (*upload, error) {
	rest, code := cutCode(body)
	if !gjson.ValidBytes(rest) {
		return nil, errNotJSON
	}
	value := gjson.GetBytes(rest, "value")
	if code == nil || value.Get("code").Str != cut {
		value = gjson.GetBytes(body, "value")
		code = []byte(value.Get("code").Str) // none unless it is a string
	}
	if len(code) == 0 {
		return nil, errNoCode
	}
	u := &upload{main: value.Get("main").String(), env: environmentOf(value.Get("env"))}
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(code)))
	n, err := base64.StdEncoding.Decode(decoded, bytes.TrimSpace(code))
	if err != nil {
		return nil, errNotBase64
	}
	decoded = decoded[:n]
	u.binary = decoded
	if archive.Detect(decoded) != archive.None {
		if u.binary, err = unpack(decoded); err != nil {
			return nil, cannotLoad(err)
		}
	}
	if len(u.binary) > maxModule {
		return nil, cannotLoad(badf("has %d bytes, more than %d", len(u.binary), maxModule))
	}
	return u, nil
}

// cut stands where code was cut out of a body. It is no base64.
const cut = "*cut*"

// cutCode returns body with the string cut where the code is, and the code: a parser
// takes milliseconds for each pass over what is nearly all of a body. A string has no
// quotes that are not escaped, so that what is found is the key. If there may be
// another one, or the code is written in another way, it returns body as it is.
func cutCode(body []byte) (rest, code []byte) {
	key := []byte(`"code":"`)
	start := bytes.Index(body, key)
	if start < 0 {
		return body, nil
	}
	start += len(key)
	length := bytes.IndexByte(body[start:], '"')
	if length < 0 || bytes.Contains(body[start+length:], key) || !isPlain(body[start:start+length]) {
		return body, nil
	}
	return slices.Concat(body[:start], []byte(cut), body[start+length:]), body[start : start+length]
}

// isPlain reports whether a string that is base64 stands for itself in JSON: other
// letters are found when it is decoded.
func isPlain(text []byte) bool {
	return bytes.IndexByte(text, '\\') < 0 && bytes.IndexByte(text, '\n') < 0 && bytes.IndexByte(text, '\r') < 0
}

// names that a module may have in an archive, by precedence.
var names = []string{"main.wasm", "exec.wasm"}

// unpack returns the module of an archive.
func unpack(packed []byte) ([]byte, error) {
	r, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		return nil, &archive.Error{Problem: "is not a readable zip file", Err: err}
	}
	for _, name := range names {
		for _, f := range r.File {
			if strings.TrimPrefix(f.Name, "./") == name {
				return read(f)
			}
		}
	}
	return nil, &archive.Error{Problem: "has no file 'main.wasm' or 'exec.wasm' at its root"}
}

func read(f *zip.File) ([]byte, error) {
	content, err := f.Open()
	if err != nil {
		return nil, &archive.Error{Entry: f.Name, Problem: "cannot be read", Err: err}
	}
	defer func() { _ = content.Close() }()
	unpacked, err := io.ReadAll(io.LimitReader(content, maxModule+1))
	switch {
	case len(unpacked) > maxModule:
		return nil, &archive.Error{Entry: f.Name, Problem: fmt.Sprintf("unpacks to more than %d bytes", maxModule)}
	case err != nil:
		return nil, &archive.Error{Entry: f.Name, Problem: "is damaged", Err: err}
	}
	return unpacked, nil
}

// environmentOf lists an object's members as KEY=VALUE.
func environmentOf(object gjson.Result) []string {
	var env []string
	object.ForEach(func(key, value gjson.Result) bool {
		env = appendVariable(env, key.Str, value.String())
		return true
	})
	return env
}

// contextOf lists the string fields of a run beside its value as __OW_ variables.
func contextOf(body gjson.Result) []string {
	var env []string
	body.ForEach(func(key, value gjson.Result) bool {
		if key.Str != "value" && value.Type == gjson.String {
			env = appendVariable(env, "__OW_"+strings.ToUpper(key.Str), value.Str)
		}
		return true
	})
	return env
}

// appendVariable leaves out what no environment can hold.
func appendVariable(env []string, name, value string) []string {
	if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
		return env
	}
	return append(env, name+"="+value)
}
