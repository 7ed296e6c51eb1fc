package entity

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestActivationDocuments(t *testing.T) {
	duration, size := int64(3), int64(7)
	a := &Activation{
		Namespace: "guest", Name: "hello", Version: Version{1, 2, 3}, Subject: "guest", ActivationID: "0efe54d8fb96486bbe54d8fb96d86bbe",
		Cause: "aaaa54d8fb96486bbe54d8fb96d86bbe", Start: 10, End: 13, Duration: &duration,
		Response:    Response{StatusCode: StatusDeveloperError, Result: json.RawMessage(`{"n":1e400,"m":0.10,"s":"\u0000"}`), Size: &size},
		Logs:        []string{"a", "b"},
		Annotations: Parameters{{Key: "kind", Value: json.RawMessage(`"nodejs:20"`)}},
	}
	text := a.AppendDocument(nil)
	got, err := ParseActivationDocument(text)
	require.NoError(t, err)
	require.Equal(t, a, got)
	require.Contains(t, string(text), `"response":{"statusCode":2,"size":7,"result":{"n":1e400,"m":0.10,"s":"\u0000"}}`)

	trigger := &Activation{Namespace: "guest", Name: "t", Version: FirstVersion, ActivationID: a.ActivationID, Start: 5}
	got, err = ParseActivationDocument(trigger.AppendDocument(nil))
	require.NoError(t, err)
	require.Nil(t, got.Duration)
	require.Zero(t, got.End)
}

func TestActivationDocumentsOfOpenWhisk(t *testing.T) {
	got, err := ParseActivationDocument([]byte(`{"_id":"guest/0efe54d8fb96486bbe54d8fb96d86bbe","_rev":"1-x","namespace":"guest","name":"hello","subject":"guest",
		"activationId":"0efe54d8fb96486bbe54d8fb96d86bbe","entityType":"activation","start":1,"end":2,"duration":1,
		"response":{"statusCode":0,"result":{"a":1}},"logs":[],"version":"0.0.1","publish":false,"annotations":[],"updated":3}`))
	require.NoError(t, err)
	require.Equal(t, StatusSuccess, got.Response.StatusCode)
	for _, text := range []string{``, `[]`, `{}`, `{"activationId":"x"}`, `{"activationId":"0efe54d8fb96486bbe54d8fb96d86bbe","entityType":"action"}`,
		`{"activationId":"0efe54d8fb96486bbe54d8fb96d86bbe","response":{"statusCode":9}}`} {
		_, err := ParseActivationDocument([]byte(text))
		require.ErrorIs(t, err, ErrUnreadable, text)
	}
}

func FuzzParseActivationDocument(f *testing.F) {
	f.Add(`{"activationId":"0efe54d8fb96486bbe54d8fb96d86bbe","start":1,"response":{"statusCode":1,"result":[1]},"logs":["x"]}`)
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseActivationDocument([]byte(text))
		if err != nil {
			return
		}
		if _, err := ParseActivationDocument(a.AppendDocument(nil)); err != nil {
			t.Errorf("%q gives %q: %v", text, a.AppendDocument(nil), err)
		}
	})
}
