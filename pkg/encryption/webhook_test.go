package encryption_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/encryption"
	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

func TestWebhooksAreEncryptedAtRest(t *testing.T) {
	const value = `{"verify":"github","secret":"hush"}`
	db := openDB(t)
	raw := documents{db.Entities(), db}
	stored := func() (document, list string) {
		e, err := raw.Entity(t.Context(), "ns/hook")
		require.NoError(t, err)
		items, err := raw.List(t.Context(), store.EntityQuery{Type: entity.TypeTrigger, Path: "ns"})
		require.NoError(t, err)
		return string(entity.AppendDocument(nil, e)), string(items[0])
	}
	read := func(k *encryption.Keyring) *entity.Trigger {
		e, err := encryption.Entities(raw.EntityStore, k).Entity(t.Context(), "ns/hook")
		require.NoError(t, err)
		return e.(*entity.Trigger)
	}
	on, off := ring(t, key256), ring(t, "off", key256)
	hook := &entity.Trigger{Header: head("hook"), Parameters: parameters()}
	hook.Annotations = append(hook.Annotations, entity.Parameter{Key: "webhook", Value: json.RawMessage(value)})
	require.NoError(t, encryption.Entities(raw.EntityStore, on).Put(t.Context(), hook))
	require.Equal(t, value, string(hook.Annotations[1].Value), "who put it can show it")

	document, list := stored()
	require.NotContains(t, document, "hush")
	require.Contains(t, document, `"encryption":"aes-256"`)
	require.Contains(t, list, `{"key":"webhook","value":"********"}`)
	for _, k := range []*encryption.Keyring{on, off} {
		require.Equal(t, hook.Annotations, read(k).Annotations)
		require.Equal(t, hook.Parameters, read(k).Parameters)
	}
	without := read(ring(t, key128))
	webhook, err := without.Webhook()
	require.Error(t, err, "without the key it is no webhook")
	require.Nil(t, webhook)
	require.NotContains(t, string(without.AppendJSON(nil)), string(without.Annotations[1].Value))

	// A rule that is made changes the trigger's document.
	changed := read(on)
	changed.Rules = []entity.TriggerRule{}
	require.NoError(t, encryption.Entities(raw.EntityStore, on).Put(t.Context(), changed))
	document, _ = stored()
	require.NotContains(t, document, "hush")

	require.Equal(t, 1, rotate(t, off, raw).Rewritten)
	document, list = stored()
	require.Contains(t, document, value)
	require.Contains(t, list, `{"key":"webhook","value":{"verify":"github","secret":"********"}}`)
	require.Equal(t, 1, rotate(t, on, raw).Rewritten, "what was there before encryption")
	document, _ = stored()
	require.NotContains(t, document, "hush")
	require.Equal(t, hook.Annotations, read(on).Annotations)
}
