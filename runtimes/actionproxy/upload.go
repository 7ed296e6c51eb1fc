package actionproxy

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/runtimes/archive"
)

// initRequest is the body of POST /init (openwhisk-invoker.md 1.1).
type initRequest struct {
	main    string
	code    gjson.Result
	binary  bool
	env     gjson.Result
	builtIn bool // code may be missing: the image can have it
}

// parseInit reads an /init body; the result refers to a copy of it.
func parseInit(body []byte, family string) (*initRequest, error) {
	if !gjson.ValidBytes(body) {
		return nil, &failure{http.StatusBadRequest, "Error unmarshaling request: the body is not valid JSON"}
	}
	value := gjson.GetBytes(body, "value")
	r := &initRequest{
		main:    value.Get("main").String(),
		code:    value.Get("code"),
		binary:  value.Get("binary").Bool(),
		env:     value.Get("env"),
		builtIn: family == "blackbox",
	}
	switch {
	case r.code.Type == gjson.String && r.code.Raw != `""`:
	case r.code.Type == gjson.Null && r.builtIn, r.code.Raw == `""` && r.builtIn:
	default:
		return nil, errNoCode
	}
	if r.main == "" {
		if family == "nodejs" { // openwhisk-invoker.md 1.7; the others default it
			return nil, errNoCode
		}
		r.main = "main"
	}
	return r, nil
}

// upload is an action's code, ready for a runner.
type upload struct {
	main string
	dir  string // where the action runs: the archive's content, the scratch directory or that of built-in code
	// text is the code when it is a single file: source or executable.
	text []byte
	// raw is text as a JSON string, where the request had it as such.
	raw     string
	archive bool   // dir holds an extracted archive
	builtIn bool   // there was no code: the image has it
	env     string // a JSON object
}

// unpack decodes the code and extracts an archive below dir. Where there is no
// code, it is in builtIn.
func (r *initRequest) unpack(dir, builtIn string) (upload, error) {
	u := upload{main: r.main, dir: dir, env: "{}"}
	if r.env.IsObject() {
		u.env = r.env.Raw
	}
	if r.code.Type != gjson.String || r.code.Raw == `""` {
		u.builtIn, u.dir = true, builtIn
		return u, nil
	}
	text := r.code.String()
	decoded, isCode := decode(text)
	if !r.binary || !isCode {
		u.text, u.raw = []byte(text), r.code.Raw
		return u, nil
	}
	if archive.Detect(decoded) == archive.None {
		u.text = decoded
		return u, nil
	}
	u.archive = true
	u.dir = filepath.Join(dir, "action")
	if err := os.RemoveAll(u.dir); err != nil {
		return u, fmt.Errorf("empty the directory for the code: %w", err)
	}
	if err := archive.Extract(decoded, u.dir, archive.Limits{}); err != nil {
		return u, &failure{http.StatusBadGateway, "Initialization has failed due to: " + err.Error()}
	}
	return u, nil
}

// decode undoes base64. The platform guesses from a text's looks that it is
// base64, and takes a source of one word such as `date` for it
// (openwhisk-invoker.md 1.1, trap 22); so only what decodes to an archive, an
// executable or readable text counts.
func decode(text string) ([]byte, bool) {
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, false
	}
	if archive.Detect(decoded) != archive.None || isExecutable(decoded) {
		return decoded, true
	}
	return decoded, utf8.Valid(decoded) && bytes.IndexByte(decoded, 0) < 0
}

// isExecutable reports whether the system can start the file as it is.
func isExecutable(content []byte) bool {
	return bytes.HasPrefix(content, []byte("#!")) || isBinary(content)
}

// isBinary recognises ELF and, for a proxy on macOS, Mach-O.
func isBinary(content []byte) bool {
	const elfHeader = 52
	if len(content) <= elfHeader {
		return false
	}
	for _, magic := range []string{"\x7fELF", "\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe"} {
		if bytes.HasPrefix(content, []byte(magic)) {
			return true
		}
	}
	return false
}

// code is the single file's text as a JSON string.
func (u upload) code() string {
	if u.raw != "" {
		return u.raw
	}
	return quote(string(u.text))
}

// quote returns text as a JSON string.
func quote(text string) string {
	return string(gjson.AppendJSONString(nil, text))
}

// environment lists the init environment as KEY=VALUE.
func (u upload) environment() []string {
	var env []string
	gjson.Parse(u.env).ForEach(func(key, value gjson.Result) bool {
		if key.Str != "" && !strings.ContainsAny(key.Str, "=\x00") && !strings.ContainsRune(value.String(), 0) {
			env = append(env, key.Str+"="+value.String())
		}
		return true
	})
	return env
}

// executable makes sure that the upload has a program named exec that can be
// started, and returns its path.
func (u upload) executable(scratch string) (string, error) {
	path := filepath.Join(u.dir, "exec")
	if !u.archive && !u.builtIn {
		path = filepath.Join(scratch, "action", "exec")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", fmt.Errorf("create the directory for the code: %w", err)
		}
		if err := os.WriteFile(path, u.text, 0o755); err != nil {
			return "", fmt.Errorf("write the action's executable: %w", err)
		}
	}
	info, err := os.Stat(path)
	switch {
	case err != nil && u.archive:
		return "", &failure{http.StatusBadGateway, "cannot start action: the archive has no file 'exec' at its root"}
	case err != nil && u.builtIn:
		return "", errNoCode
	case err != nil:
		return "", fmt.Errorf("find the action's executable: %w", err)
	case !info.Mode().IsRegular():
		return "", &failure{http.StatusBadGateway, "cannot start action: 'exec' is not a file"}
	}
	// Archives packed on other systems lack the permission.
	if err := os.Chmod(path, info.Mode().Perm()|0o755); err != nil && !u.builtIn {
		return "", fmt.Errorf("make the action executable: %w", err)
	}
	return path, nil
}
