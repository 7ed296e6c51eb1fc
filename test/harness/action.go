package harness

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"io/fs"
	"net/http"
	"strconv"
	"testing"
)

// Action is the body of a PUT on an action, as clients send it.
type Action struct {
	Exec        Exec       `json:"exec"`
	Parameters  []KeyValue `json:"parameters,omitempty"`
	Annotations []KeyValue `json:"annotations,omitempty"`
	Limits      *Limits    `json:"limits,omitempty"`
}

// Exec is the code of an action.
type Exec struct {
	Kind  string `json:"kind"`
	Code  string `json:"code"` // empty is code too, for managed kinds
	Main  string `json:"main,omitempty"`
	Image string `json:"image,omitempty"`
}

// KeyValue is a parameter or an annotation.
type KeyValue struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
	Init  bool   `json:"init,omitempty"`
}

// Limits are an action's limits; zero leaves the default. Timeout is in
// milliseconds, Memory and Logs in MB.
type Limits struct {
	Timeout     int  `json:"timeout,omitempty"`
	Memory      int  `json:"memory,omitempty"`
	Logs        *int `json:"logs,omitempty"`
	Concurrency int  `json:"concurrency,omitempty"`
}

// Node is an action in JavaScript.
func Node(code string) Action { return Action{Exec: Exec{Kind: "nodejs:default", Code: code}} }

// Python is an action in Python.
func Python(code string) Action { return Action{Exec: Exec{Kind: "python:default", Code: code}} }

// With returns the action with other limits.
func (a Action) With(l Limits) Action { a.Limits = &l; return a }

// Annotated returns the action with one more annotation.
func (a Action) Annotated(key string, value any) Action {
	a.Annotations = append(a.Annotations[:len(a.Annotations):len(a.Annotations)], KeyValue{Key: key, Value: value})
	return a
}

// PutAction creates or replaces an action of the client's namespace; name may
// be "package/name".
func (c *Client) PutAction(t testing.TB, name string, a Action) *Response {
	t.Helper()
	return c.Put(t, "_/actions/"+name+"?overwrite=true", a).Is(t, http.StatusOK)
}

// Invoke runs an action and waits for its record.
func (c *Client) Invoke(t testing.TB, name string, payload any) *Response {
	t.Helper()
	return c.Post(t, "_/actions/"+name+"?blocking=true", payload)
}

// Zip is an archive of the files, which map a path to its content, in base64 as
// clients send it.
func Zip(t testing.TB, files map[string]string) string {
	t.Helper()
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for name, content := range files {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(fs.FileMode(0o755))
		entry, err := w.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(archive.Bytes())
}

func itoa(n int) string { return strconv.Itoa(n) }
