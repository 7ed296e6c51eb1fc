package couchdb

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/go-kivik/kivik/v4"
	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
	"github.com/gowhisk/gowhisk/pkg/store"
)

// TestDocumentsOfOpenWhisk: what OpenWhisk has written is served (openwhisk-invoker.md
// 6.3 to 6.5).
func TestDocumentsOfOpenWhisk(t *testing.T) {
	for name, cfg := range servers(t) {
		t.Run(name, func(t *testing.T) {
			db := fresh(t, cfg)
			put := func(d *kivik.DB, id, text string) {
				t.Helper()
				_, err := d.Put(t.Context(), id, json.RawMessage(text))
				require.NoError(t, err)
			}
			head := `"version":"0.0.1","publish":false,"annotations":[],"updated":5`
			put(db.whisks, "guest/inline", `{"namespace":"guest","name":"inline","entityType":"action",`+head+`,
				"exec":{"kind":"nodejs:20","binary":false,"code":{"attachmentName":"mem:Y29kZQ==","attachmentType":"text/plain; charset=UTF-8","length":4,"digest":"sha256-x"}},
				"parameters":[],"limits":{"timeout":60000,"memory":256}}`)
			put(db.whisks, "guest/attached", `{"namespace":"guest","name":"attached","entityType":"action",`+head+`,
				"exec":{"kind":"nodejs:20","binary":true,"code":{"attachmentName":"couch:5f0b","attachmentType":"application/octet-stream"}},
				"parameters":[],"limits":{"timeout":60000,"memory":256,"logs":10},"_attachments":{"5f0b":{"content_type":"application/octet-stream","data":"UEsDBA=="}}}`)
			put(db.whisks, "guest/legacy", `{"namespace":"guest","name":"legacy",`+head+`,
				"exec":{"kind":"nodejs:6","binary":false,"code":{"attachmentName":"codefile","attachmentType":"text/plain"}},
				"parameters":[],"limits":{},"_attachments":{"codefile":{"content_type":"text/plain","data":"b2xk"}}}`)
			put(db.whisks, "guest/jar", `{"namespace":"guest","name":"jar",`+head+`,
				"exec":{"kind":"java","main":"Hello","jar":{"attachmentName":"jarfile","attachmentType":"application/java-archive"}},
				"parameters":[],"limits":{},"_attachments":{"jarfile":{"content_type":"application/java-archive","data":"UEsDBA=="}}}`)
			put(db.whisks, "guest/text", `{"namespace":"guest","name":"text",`+head+`,"exec":{"kind":"nodejs:6","code":"as it is"},"parameters":[],"limits":{}}`)
			put(db.whisks, "guest/elsewhere", `{"namespace":"guest","name":"elsewhere",`+head+`,
				"exec":{"kind":"nodejs:20","code":{"attachmentName":"s3:5f0b","attachmentType":"text/plain"}},"parameters":[],"limits":{}}`)
			put(db.whisks, "guest/t", `{"namespace":"guest","name":"t","entityType":"trigger",`+head+`,"parameters":[],"limits":{},
				"rules":{"guest/r":{"action":{"path":"guest","name":"inline"},"status":"active"}}}`)
			put(db.whisks, "guest/r", `{"namespace":"guest","name":"r","entityType":"rule",`+head+`,"trigger":"t","action":"inline"}`)

			for name, code := range map[entity.Name]string{"inline": "code", "attached": "UEsDBA==", "legacy": "old", "jar": "UEsDBA==", "text": "as it is"} {
				e, err := db.Entities().Entity(t.Context(), entity.DocID("guest/"+name))
				require.NoError(t, err, name)
				got, err := db.Entities().Code(t.Context(), e.(*entity.Action))
				require.NoError(t, err, name)
				require.Equal(t, code, got)
				// An update without code keeps what is attached.
				e.Head().Version = e.Head().Version.Next()
				require.NoError(t, db.Entities().Put(t.Context(), e))
				got, err = db.Entities().Code(t.Context(), e.(*entity.Action))
				require.NoError(t, err, name)
				require.Equal(t, code, got)
			}
			elsewhere, err := db.Entities().Entity(t.Context(), "guest/elsewhere")
			require.NoError(t, err)
			_, err = db.Entities().Code(t.Context(), elsewhere.(*entity.Action))
			require.ErrorIs(t, err, entity.ErrUnreadable)
			require.ErrorContains(t, err, `"s3"`)

			list, err := db.Entities().List(t.Context(), store.EntityQuery{Type: entity.TypeAction, Path: "guest"})
			require.NoError(t, err)
			require.Len(t, list, 6)
			rules, err := db.Entities().List(t.Context(), store.EntityQuery{Type: entity.TypeRule, Path: "guest"})
			require.NoError(t, err)
			require.JSONEq(t, `{"namespace":"guest","name":"r","version":"0.0.1","publish":false,"annotations":[],"updated":5,
				"trigger":{"path":"guest","name":"t"},"action":{"path":"guest","name":"inline"}}`, string(rules[0]))

			put(db.subjects, "guest", `{"subject":"guest","namespaces":[{"name":"guest","uuid":"23bc46b1-71f6-4ed5-8c54-816aa4f8c502","key":"k"}]}`)
			put(db.subjects, "guest/limits", `{"invocationsPerMinute":0,"maxActionInstances":10,"warmedContainerKeepingTimeout":"10 minutes"}`)
			id, err := db.Subjects().IdentityByUUID(t.Context(), "23bc46b1-71f6-4ed5-8c54-816aa4f8c502")
			require.NoError(t, err)
			require.Zero(t, *id.Limits.InvocationsPerMinute)
			blocked, err := db.BlockedNamespaces(t.Context())
			require.NoError(t, err)
			require.Equal(t, []string{"guest"}, blocked)
			put(db.subjects, "odd", `{"subject":"odd","namespaces":[{"name":"odd","uuid":"u","key":"k"}],"blocked":true}`)
			put(db.subjects, "odd2/limits", `{"concurrentInvocations":0}`)
			put(db.subjects, "odd3/limits", `{"invocationsPerMinute":"many"}`)
			blocked, err = db.BlockedNamespaces(t.Context())
			require.NoError(t, err)
			require.Equal(t, []string{"guest", "odd", "odd2"}, blocked)
			l, err := db.Subjects().Limits(t.Context(), "odd3")
			require.NoError(t, err, "malformed limits are the system's")
			require.Equal(t, &entity.UserLimits{}, l)
		})
	}
}

// TestInitIsIdempotent: it makes what is missing, leaves what is there, and Check tells.
func TestInitIsIdempotent(t *testing.T) {
	for name, cfg := range servers(t) {
		t.Run(name, func(t *testing.T) {
			cfg.Prefix = "t" + string(entity.NewActivationID())[:10] + "_"
			missing, err := Check(t.Context(), cfg)
			require.NoError(t, err)
			require.Len(t, missing, 4, "databases")
			_, err = Open(t.Context(), cfg)
			require.ErrorContains(t, err, `run "gowhisk admin db init"`)
			made, err := Init(t.Context(), cfg)
			require.NoError(t, err)
			require.Len(t, made, 4+11)
			made, err = Init(t.Context(), cfg)
			require.NoError(t, err)
			require.Empty(t, made)
			missing, err = Check(t.Context(), cfg)
			require.NoError(t, err)
			require.Empty(t, missing)

			db, err := Open(t.Context(), cfg)
			require.NoError(t, err)
			raw, err := get(t.Context(), db.whisks, "_design/"+entitiesDesign)
			require.NoError(t, err)
			var h header
			require.NoError(t, json.Unmarshal(raw, &h))
			_, err = db.whisks.Put(t.Context(), "_design/"+entitiesDesign, map[string]any{"language": "javascript", "views": map[string]any{"mine": map[string]any{"map": "function (doc) {}"}}}, kivik.Rev(h.Rev))
			require.NoError(t, err)
			missing, err = Check(t.Context(), cfg)
			require.NoError(t, err)
			require.Len(t, missing, 1)
			made, err = Init(t.Context(), cfg)
			require.NoError(t, err)
			require.Len(t, made, 1, "one that lacks views gets them")
			raw, err = get(t.Context(), db.whisks, "_design/"+entitiesDesign)
			require.NoError(t, err)
			require.Contains(t, string(raw), `"mine"`, "and keeps its own")
			for _, d := range db.databases() {
				require.NoError(t, db.client.DestroyDB(t.Context(), d.Name()))
			}
			require.NoError(t, db.Close())
		})
	}
}

func TestErrorsSayWhatToChange(t *testing.T) {
	cfg := DefaultConfig()
	cfg.URL = "http://127.0.0.1:1"
	_, err := Open(t.Context(), cfg)
	require.ErrorContains(t, err, "does not answer: start it, or correct --couchdb-url")

	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"unauthorized","reason":"Name or password is incorrect."}`))
	}))
	defer refuses.Close()
	cfg.URL = refuses.URL
	_, err = Open(t.Context(), cfg)
	require.ErrorContains(t, err, "refuses the user or the password: correct --couchdb-user")

	for change, want := range map[*Config]string{
		{URL: "x", Prefix: "a_"}: "--couchdb-url", {URL: "http://u:p@h", Prefix: "a_"}: "password in it",
		{URL: "http://h", User: "u", Prefix: "a_"}: "give both or none", {URL: "http://h", Prefix: "A"}: "--couchdb-prefix",
	} {
		require.ErrorContains(t, change.Validate(), want)
	}
	file := t.TempDir() + "/password"
	_, err = connect(Config{URL: "http://h", Prefix: "a_", User: "u", PasswordFile: file})
	require.ErrorContains(t, err, "--couchdb-password-file")
	require.NoError(t, os.WriteFile(file, []byte("p\n"), 0o600))
	password, err := (&Config{PasswordFile: file}).password()
	require.NoError(t, err)
	require.Equal(t, "p", password)
}

func TestEntityIDs(t *testing.T) {
	for name, cfg := range servers(t) {
		t.Run(name, func(t *testing.T) {
			db := fresh(t, cfg)
			var want []entity.DocID
			for _, name := range []entity.Name{"a", "b", "c", "d", "e"} {
				trigger := &entity.Trigger{Header: entity.Header{Namespace: "guest", Name: name, Version: entity.FirstVersion, Annotations: entity.Parameters{}}, Parameters: entity.Parameters{}}
				require.NoError(t, db.Entities().Put(t.Context(), trigger))
				want = append(want, trigger.ID())
			}
			for limit := 1; limit < 7; limit++ {
				var got []entity.DocID
				for after := entity.DocID(""); ; {
					page, err := db.EntityIDs(t.Context(), after, limit)
					require.NoError(t, err)
					require.LessOrEqual(t, len(page), limit)
					got = append(got, page...)
					if len(page) < limit {
						break
					}
					after = page[len(page)-1]
				}
				require.Equal(t, want, got, "design documents are none, limit %d", limit)
			}
		})
	}
}
