package service_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/gowhisk/gowhisk/pkg/bus"
	"github.com/gowhisk/gowhisk/pkg/encryption"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

// encryptedWorld is a world whose parameters are encrypted, with the keys.
func encryptedWorld(t *testing.T) (*world, *encryption.Keyring) {
	line, err := encryption.NewKeyLine(encryption.AES256)
	require.NoError(t, err)
	keys, err := encryption.Parse([]byte(line))
	require.NoError(t, err)
	return newWorldOver(t, func(s store.EntityStore) store.EntityStore { return encryption.Entities(s, keys) }), keys
}

// parameter returns the entry of a key in an answer's parameters.
func (r reply) parameter(key string) gjson.Result {
	r.t.Helper()
	p := gjson.Get(r.is(200).body, `parameters.#(key=="`+key+`")`)
	require.True(r.t, p.Exists(), "%s in %s", key, r.body)
	return p
}

// opens checks that the entry is encrypted and hides a value.
func (r reply) opens(keys *encryption.Keyring, key, value string) {
	r.t.Helper()
	p := r.parameter(key)
	require.Equal(r.t, "aes-256", p.Get("encryption").String(), p.Raw)
	plain, err := keys.OpenValue("aes-256", json.RawMessage(p.Get("value").Raw))
	require.NoError(r.t, err)
	require.Equal(r.t, value, string(plain))
}

// TestEncryptedParameters is the last paragraph of openwhisk-rest-api.md 5.1.
func TestEncryptedParameters(t *testing.T) {
	w, keys := encryptedWorld(t)

	t.Run("put_shows_what_was_sent_and_get_what_is_stored", func(t *testing.T) {
		sent := `"parameters":[{"key":"n","value":0.10},{"key":"i","value":"x","init":true},{"key":"z","value":null}]`
		require.Contains(t, w.a.action("plain", sent).body, sent)
		r := w.a.get("_/actions/plain")
		r.opens(keys, "n", "0.10")
		r.opens(keys, "i", `"x"`)
		require.True(t, r.parameter("i").Get("init").Bool())
		require.Equal(t, `{"key":"z","value":null}`, r.parameter("z").Raw, "null is no value")
	})
	t.Run("annotations_triggers_and_lists_are_not_encrypted", func(t *testing.T) {
		w.a.action("noted", `"annotations":[{"key":"note","value":"plain"}]`)
		require.Contains(t, w.a.get("_/actions/noted").is(200).body, `{"key":"note","value":"plain"}`)
		require.Contains(t, w.a.get("_/actions").is(200).body, `{"key":"note","value":"plain"}`)
	})
	t.Run("update_keeps_what_is_absent", func(t *testing.T) {
		before := w.a.get("_/actions/plain").parameter("n").Raw
		w.a.put("_/actions/plain?overwrite=true", `{"annotations":[{"key":"k","value":1}]}`).is(200)
		require.Equal(t, before, w.a.get("_/actions/plain").parameter("n").Raw)
	})
	t.Run("copy_of_an_encrypted_parameter_is_stored_as_it_is", func(t *testing.T) {
		entry := w.a.get("_/actions/plain").parameter("n").Raw
		w.a.action("copy", `"parameters":[`+entry+`]`)
		require.Equal(t, entry, w.a.get("_/actions/copy").parameter("n").Raw)
	})
	t.Run("packages_and_bindings", func(t *testing.T) {
		w.a.put("_/packages/p", `{"parameters":[{"key":"a","value":1},{"key":"b","value":1}]}`).is(200)
		sent := `"parameters":[{"key":"b","value":2}]`
		require.Contains(t, w.a.put("_/packages/bound", `{"binding":{"namespace":"_","name":"p"},`+sent+`}`).is(200).body, sent)
		bound := w.a.get("_/packages/bound")
		bound.opens(keys, "a", "1")
		bound.opens(keys, "b", "2")
		w.a.action("p/act", `"parameters":[{"key":"c","value":3}]`)
		merged := w.a.get("_/actions/bound/act")
		merged.opens(keys, "a", "1")
		merged.opens(keys, "b", "2")
		merged.opens(keys, "c", "3")
	})
	t.Run("sequences_show_their_components", func(t *testing.T) {
		w.a.put("_/actions/seq", `{"exec":{"kind":"sequence","components":["/_/plain"]}}`).is(200)
		require.Equal(t, `{"key":"_actions","value":["/ns/plain"]}`, w.a.get("_/actions/seq").parameter("_actions").Raw)
		w.a.put("_/actions/seq?overwrite=true", `{"publish":true}`).is(200)
		require.Equal(t, `{"key":"_actions","value":["/ns/plain"]}`, w.a.get("_/actions/seq").parameter("_actions").Raw)
	})
	t.Run("values_travel_encrypted_but_for_what_the_payload_overrides", func(t *testing.T) {
		w.a.post("_/actions/bound/act?blocking=true", `{"b":0.50,"own":1}`).is(200)
		m := last(w.worker.messages())
		require.Equal(t, map[string]string{"a": "aes-256", "c": "aes-256"}, m.LockedArgs)
		content := gjson.ParseBytes(m.Content)
		require.Equal(t, "0.50", content.Get("b").Raw)
		require.Equal(t, "1", content.Get("own").Raw)
		plain, err := keys.OpenValue("aes-256", json.RawMessage(content.Get("c").Raw))
		require.NoError(t, err)
		require.Equal(t, "3", string(plain))
	})
	t.Run("final_parameters", func(t *testing.T) {
		w.a.action("final", `"parameters":[{"key":"set","value":1},{"key":"open","value":null}]`, `"annotations":[{"key":"final","value":true}]`)
		w.a.post("_/actions/final?blocking=true", `{"open":1}`).is(200)
		w.a.post("_/actions/final?blocking=true", `{"set":1}`).is(400)
	})
}

func last(messages []*bus.ActivationMessage) *bus.ActivationMessage {
	return messages[len(messages)-1]
}

// TestReencryptBesideTheController: what it remembers of before still works, and
// what it writes then is written over what was reencrypted.
func TestReencryptBesideTheController(t *testing.T) {
	w, keys := encryptedWorld(t)
	w.a.action("kept", `"parameters":[{"key":"k","value":"v"}]`)
	before := w.a.get("_/actions/kept").parameter("k").Raw
	plain, err := w.db.Entities().Entity(t.Context(), "ns/kept")
	require.NoError(t, err)
	action := plain.(*entity.Action)
	action.Parameters = keys.Unlock(action.Parameters)
	require.NoError(t, w.db.Entities().Put(t.Context(), action))

	p, err := keys.Reencrypt(t.Context(), struct {
		store.EntityStore
		*sqlite.DB
	}{w.db.Entities(), w.db}, nil)
	require.NoError(t, err)
	require.Equal(t, 1, p.Rewritten)
	w.a.post("_/actions/kept?blocking=true", "").is(200)
	require.Equal(t, map[string]string{"k": "aes-256"}, last(w.worker.messages()).LockedArgs)
	o := w.a.put("_/actions/kept?overwrite=true", `{}`).is(200).object()
	require.Equal(t, "0.0.2", o["version"])
	require.NotEqual(t, before, w.a.get("_/actions/kept").parameter("k").Raw)
	w.a.get("_/actions/kept").opens(keys, "k", `"v"`)
}
