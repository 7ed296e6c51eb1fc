package wasm

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
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
	if !gjson.ValidBytes(body) {
		return nil, errNotJSON
	}
	value := gjson.GetBytes(body, "value")
	code := value.Get("code")
	if code.Type != gjson.String || code.Str == "" {
		return nil, errNoCode
	}
	u := &upload{main: value.Get("main").String(), env: environmentOf(value.Get("env"))}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(code.Str))
	if err != nil {
		return nil, errNotBase64
	}
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
