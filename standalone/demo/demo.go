// Package demo shows a server that has just started at work: it creates a sample
// action, invokes it over HTTP as any client would, and prints what to try next.
package demo

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// The sample in the languages that a machine may have.
var (
	//go:embed hello.js
	helloNode string
	//go:embed hello.py
	helloPython string
)

// Sample is a source file of the sample action.
type Sample struct{ File, Kind, Source string }

// Samples by the family of runtimes that they need, in order of preference.
var Samples = []Sample{
	{"hello.js", "nodejs:default", helloNode},
	{"hello.py", "python:default", helloPython},
}

// actionName is what the sample is stored as, in the caller's default package.
const actionName = "hello"

// Target is the server to show.
type Target struct {
	URL string
	Key entity.AuthKey
	// Sample is what to create.
	Sample Sample
}

// Run creates the sample action, invokes it, and writes to w what came of it and
// which commands do the same.
func Run(ctx context.Context, t Target, w io.Writer) error {
	body, err := entity.EncodeJSON(map[string]any{"exec": map[string]string{"kind": t.Sample.Kind, "code": t.Sample.Source}})
	if err != nil {
		return err
	}
	if _, err := t.call(ctx, http.MethodPut, "?overwrite=true", body); err != nil {
		return fmt.Errorf("creating the sample action: %w", err)
	}
	fmt.Fprintf(w, "\nCreated the action /guest/%s from %s.\n", actionName, t.Sample.File)
	record, took, err := t.invoke(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Invoked it:  %s   activation %s, %s\n", record.Response.Result, record.ActivationID, milliseconds(took))
	median, err := t.repeat(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "And %d times more, each in %s (median).\n", repeats, milliseconds(median))
	t.suggest(w)
	return nil
}

// repeats is how many warm calls are timed.
const repeats = 100

// repeat invokes the action again and again and returns the median time.
func (t Target) repeat(ctx context.Context) (time.Duration, error) {
	times := make([]time.Duration, repeats)
	for i := range times {
		var err error
		if _, times[i], err = t.invoke(ctx); err != nil {
			return 0, err
		}
	}
	slices.Sort(times)
	return times[repeats/2], nil
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

// activation is what is shown of a record.
type activation struct {
	ActivationID string
	Response     struct{ Result json.RawMessage }
}

// invoke calls the action and waits, as a client would, and returns how long that
// took.
func (t Target) invoke(ctx context.Context) (record activation, took time.Duration, err error) {
	start := time.Now()
	answer, err := t.call(ctx, http.MethodPost, "?blocking=true", []byte(`{"name":"Gowhisk"}`))
	took = time.Since(start)
	if err == nil {
		err = json.Unmarshal(answer, &record)
	}
	if err != nil {
		return record, took, fmt.Errorf("invoking the sample action: %w", err)
	}
	return record, took, nil
}

func (t Target) address() string {
	return t.URL + "/api/v1/namespaces/_/actions/" + actionName
}

func (t Target) call(ctx context.Context, method, query string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, t.address()+query, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(t.Key.UUID, t.Key.Key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(answer)))
	}
	return answer, nil
}

func (t Target) suggest(w io.Writer) {
	fmt.Fprintf(w, `
Try it with curl:
  curl -u %[1]s \
    -H 'Content-Type: application/json' -d '{"name":"you"}' \
    '%[2]s?blocking=true&result=true'

or with the OpenWhisk client:
  wsk property set --apihost %[3]s --auth %[1]s
  wsk action invoke %[4]s --result --param name you

Ctrl-C stops the server.
`, t.Key, t.address(), t.URL, actionName)
}
