package entity

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseWebhook(t *testing.T) {
	for text, want := range map[string]Webhook{
		`{"verify":"github","secret":"s"}`:                                 {Verify: WebhookGitHub, Secrets: []string{"s"}},
		`{"verify":"github","secret":"new","secrets":["old","older"]}`:     {Verify: WebhookGitHub, Secrets: []string{"new", "old", "older"}},
		`{"secrets":["a"],"verify":"gitlab","tolerance":60}`:               {Verify: WebhookGitLab, Secrets: []string{"a"}, Tolerance: time.Minute},
		`{"verify":"gitlab","secrets":["plain","whsec_MfKQ9r8GKYqrTwjU"]}`: {Verify: WebhookGitLab, Secrets: []string{"plain", "whsec_MfKQ9r8GKYqrTwjU"}},
		`{"verify":"stripe","secret":"whsec_x","rawBody":true}`:            {Verify: WebhookStripe, Secrets: []string{"whsec_x"}, RawBody: true},
		`{"verify":"slack","secret":"s","rawBody":false}`:                  {Verify: WebhookSlack, Secrets: []string{"s"}},
		`{"verify":"standard","secret":"MfKQ9r8GKYqrTwjU"}`:                {Verify: WebhookStandard, Secrets: []string{"MfKQ9r8GKYqrTwjU"}},
		`{"verify":"hmac","secret":"s","header":"X-Sig"}`:                  {Verify: WebhookHMAC, Secrets: []string{"s"}, Header: "X-Sig", Algorithm: "sha256", Encoding: "hex"},
		`{"verify":"basic","user":"u","password":"p","deliveryId":"X-Id"}`: {Verify: WebhookBasic, User: "u", Secrets: []string{"p"}, DeliveryID: "X-Id"},
		`{"verify":"bearer","tokens":["t1","t2"]}`:                         {Verify: WebhookBearer, Secrets: []string{"t1", "t2"}},
		`{"verify":"none"}`: {Verify: WebhookNone},
		`{"verify":"hmac","secret":"\u20ac\"","header":"a","algorithm":"sha512","encoding":"base64","prefix":"HMAC "}`: {
			Verify: WebhookHMAC, Secrets: []string{`€"`}, Header: "a", Algorithm: "sha512", Encoding: "base64", Prefix: "HMAC "},
	} {
		got, err := ParseWebhook(json.RawMessage(text))
		require.NoError(t, err, text)
		if want.Tolerance == 0 {
			want.Tolerance = 5 * time.Minute
		}
		require.Equal(t, want, *got, text)
	}
}

func TestParseWebhookRefuses(t *testing.T) {
	const form = `an object such as {"verify":"github","secret":"…"} is expected`
	for text, detail := range map[string]string{
		``: form, `null`: form, `true`: form, `"github"`: form, `[]`: form, `{`: form, `{} {}`: form,
		`{}`:                                                                          `"verify" is missing: say how deliveries are verified, ` + webhookSchemes,
		`{"secret":"s"}`:                                                              `"verify" is missing: say how deliveries are verified, ` + webhookSchemes,
		`{"verify":""}`:                                                               `"verify" is "": it must be ` + webhookSchemes,
		`{"verify":"GitHub","secret":"s"}`:                                            `"verify" is "GitHub": it must be ` + webhookSchemes,
		`{"verify":1}`:                                                                `the field "verify" must be a string`,
		`{"verify":"github"}`:                                                         `"secret" is missing`,
		`{"verify":"github","secrets":[]}`:                                            `"secret" is missing`,
		`{"verify":"github","secrets":"s"}`:                                           `the field "secrets" must be a list of strings`,
		`{"verify":"github","secrets":[null]}`:                                        `the field "secrets" must be a list of strings`,
		`{"verify":"github","secret":""}`:                                             `"secret" must have 1 to 1024 bytes`,
		`{"verify":"github","Secret":"s"}`:                                            `there is no field "Secret"`,
		`{"verify":"github","token":"s"}`:                                             `there is no field "token" with "verify":"github"`,
		`{"verify":"github","secret":"a","secret":"b"}`:                               `the field "secret" is there twice`,
		`{"verify":"github","secret":"a","tolerance":5}`:                              `there is no field "tolerance" with "verify":"github"`,
		`{"verify":"stripe","secret":"a","tolerance":0}`:                              `the field "tolerance" must be whole seconds, 1 to 86400`,
		`{"verify":"stripe","secret":"a","tolerance":1.5}`:                            `the field "tolerance" must be whole seconds, 1 to 86400`,
		`{"verify":"standard","secret":"whsec_not base64"}`:                           `"secret" must be whsec_ and the key in base64`,
		`{"verify":"standard","secret":"whsec_"}`:                                     `"secret" must be whsec_ and the key in base64`,
		`{"verify":"gitlab","secret":"whsec_!"}`:                                      `a signing token must be whsec_ and the key in base64`,
		`{"verify":"hmac","secret":"a"}`:                                              `the field "header" must be the name of the header with the signature`,
		`{"verify":"hmac","secret":"a","header":"a b"}`:                               `the field "header" must be the name of the header with the signature`,
		`{"verify":"hmac","secret":"a","header":"a","algorithm":"md5"}`:               `the field "algorithm" must be sha1, sha256, sha384 or sha512`,
		`{"verify":"hmac","secret":"a","header":"a","encoding":"base32"}`:             `the field "encoding" must be hex or base64`,
		`{"verify":"basic","password":"p"}`:                                           `the field "user" must be a name without a colon`,
		`{"verify":"basic","user":"u"}`:                                               `"password" is missing`,
		`{"verify":"bearer"}`:                                                         `"token" is missing`,
		`{"verify":"none","secret":"s"}`:                                              `there is no field "secret" with "verify":"none"`,
		`{"verify":"none","deliveryId":""}`:                                           `the field "deliveryId" must be the name of a header`,
		`{"verify":"none","rawBody":"yes"}`:                                           `the field "rawBody" must be true or false`,
		`{"verify":"github","secrets":["1","2","3","4","5","6","7","8","9","a","b"]}`: `there are 11 values for "secret": at most 10 are allowed`,
	} {
		_, err := ParseWebhook(json.RawMessage(text))
		var malformed *MalformedError
		require.ErrorAs(t, err, &malformed, text)
		require.Equal(t, "annotation webhook: "+detail, malformed.Detail, text)
	}
}

func hooked(value string) *Trigger {
	return &Trigger{Header: Header{Namespace: "ns", Name: "t", Version: FirstVersion, Annotations: Parameters{
		{Key: "before", Value: json.RawMessage(`"secret"`)}, {Key: "webhook", Value: json.RawMessage(value)}, {Key: "after", Value: json.RawMessage(`1.50`)},
	}}}
}

func TestSecretsAreNeverShown(t *testing.T) {
	for stored, shown := range map[string]string{
		`{"verify":"github","secret":"hush"}`:                                  `{"verify":"github","secret":"********"}`,
		`{"secrets":["hush","hush2"],"verify":"stripe","tolerance":60}`:        `{"secrets":["********","********"],"verify":"stripe","tolerance":60}`,
		`{"verify":"basic","user":"u","password":"hush","passwords":["hush"]}`: `{"verify":"basic","user":"u","password":"********","passwords":["********"]}`,
		`{"verify":"bearer","token":"hush","tokens":["hush"]}`:                 `{"verify":"bearer","token":"********","tokens":["********"]}`,
		`{"verify":"none"}`: `{"verify":"none"}`,
		// What cannot be stored through the API, yet may be there.
		`{"secret":["hush"],"tokens":"hush","passwords":{"a":"hush"}}`: `{"secret":"********","tokens":"********","passwords":"********"}`,
		`{}`: `{}`, `"text"`: `"text"`, `true`: `true`,
	} {
		trigger := hooked(stored)
		annotations := `"annotations":[{"key":"before","value":"secret"},{"key":"webhook","value":` + shown + `},{"key":"after","value":1.50}]`
		for form, text := range map[string][]byte{"entity": trigger.AppendJSON(nil), "summary": trigger.AppendSummary(nil)} {
			require.Contains(t, string(text), annotations, form)
			require.NotContains(t, string(text), "hush", form)
		}
		again, err := ParseDocument(AppendDocument(nil, trigger))
		require.NoError(t, err)
		require.Equal(t, trigger.Annotations, again.Head().Annotations, "the document has all")
	}
}

func TestMasksKeepWhatIsStored(t *testing.T) {
	const stored = `{"verify":"github","secrets":["one","two"]}`
	for sent, want := range map[string]string{
		stored: stored,
		`{"verify":"github","secrets":["********","********"]}`:                         stored,
		`{"verify":"github","secret":"********"}`:                                       `{"verify":"github","secret":"one"}`,
		`{"verify":"github","secrets":["new","********"]}`:                              `{"verify":"github","secrets":["new","one"]}`,
		`{"verify":"github","secret":"********","secrets":["********"],"rawBody":true}`: `{"verify":"github","secret":"one","secrets":["two"],"rawBody":true}`,
		`{"verify":"bearer","token":"t"}`:                                               `{"verify":"bearer","token":"t"}`,
	} {
		trigger := hooked(sent)
		require.NoError(t, trigger.KeepWebhookSecrets(hooked(stored).Annotations), sent)
		value, _ := trigger.Annotations.Get(WebhookAnnotation)
		require.Equal(t, want, string(value), sent)
	}
	const nothing = "annotation webhook: ******** stands for a stored secret, and there is none for it: send the secret itself"
	for sent, had := range map[string]Parameters{
		`{"verify":"github","secret":"********"}`:                          nil,
		`{"verify":"github","secrets":["********"]}`:                       hooked(`{"verify":"gitlab","secret":"x"}`).Annotations,
		`{"verify":"github","secrets":["********","********","********"]}`: hooked(stored).Annotations,
		`{"verify":"bearer","token":"********"}`:                           {},
		`{"secret":"********"}`:                                            hooked(stored).Annotations,
	} {
		require.EqualError(t, hooked(sent).KeepWebhookSecrets(had), nothing, sent)
	}
	require.Error(t, hooked(`{"verify":"github"}`).KeepWebhookSecrets(nil), "it is checked")
	require.NoError(t, hooked(`true`).KeepWebhookSecrets(hooked(`true`).Annotations), "what is stored already is not refused")
	require.NoError(t, hooked(`null`).KeepWebhookSecrets(nil))
	require.NoError(t, (&Trigger{}).KeepWebhookSecrets(nil))
}

func TestEncryptedWebhooks(t *testing.T) {
	sealed := hooked(`"AAAADA=="`)
	sealed.Annotations[1].Encryption = "aes-256"
	require.Contains(t, string(sealed.AppendJSON(nil)), `{"key":"webhook","value":"********"}`)
	require.Contains(t, string(sealed.AppendSummary(nil)), `{"key":"webhook","value":"********"}`)
	require.Contains(t, string(AppendDocument(nil, sealed)), `{"key":"webhook","value":"AAAADA==","encryption":"aes-256"}`)

	same := hooked(`"AAAADA=="`)
	same.Annotations[1].Encryption = "aes-256"
	require.NoError(t, same.KeepWebhookSecrets(sealed.Annotations), "an update of something else")
	require.Equal(t, sealed.Annotations, same.Annotations)
	shown := hooked(`"********"`)
	require.NoError(t, shown.KeepWebhookSecrets(sealed.Annotations))
	require.Equal(t, sealed.Annotations, shown.Annotations)
	require.Error(t, hooked(`"********"`).KeepWebhookSecrets(nil))

	forged := hooked(`"AAAADA=="`)
	forged.Annotations[1].Encryption = "aes-256"
	require.Error(t, forged.KeepWebhookSecrets(nil), "clients cannot have something decrypted")
	marked := hooked(`{"verify":"github","secret":"s"}`)
	marked.Annotations[1].Encryption, marked.Annotations[1].Init = "aes-256", true
	require.NoError(t, marked.KeepWebhookSecrets(nil))
	require.Equal(t, hooked(`{"verify":"github","secret":"s"}`).Annotations, marked.Annotations)
}

func TestMapWebhookSecretsChangesACopy(t *testing.T) {
	trigger := hooked(`{"verify":"github","secret":"one","n":0.10}`)
	mapped, err := MapWebhookSecrets(trigger.Annotations, func(s string) (string, error) { return s + "!", nil })
	require.NoError(t, err)
	value, _ := mapped.Get("webhook")
	require.Equal(t, `{"verify":"github","secret":"one!","n":0.10}`, string(value))
	value, _ = trigger.Annotations.Get("webhook")
	require.Equal(t, `{"verify":"github","secret":"one","n":0.10}`, string(value))
}

// FuzzParseWebhook: nothing that is accepted shows a secret, and masks always bring
// back what is stored.
func FuzzParseWebhook(f *testing.F) {
	for _, seed := range []string{
		`{"verify":"github","secret":"hush"}`, `{"verify":"basic","user":"u","passwords":["hush","x"]}`, `{"verify":"none"}`,
		`{"verify":"hmac","secret":"hush","header":"X","prefix":"sha1=","algorithm":"sha1"}`, `{"verify":"bearer","\u0074oken":"hush"}`, `[1]`, `{"a":`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ParseWebhook(json.RawMessage(text))
		if err != nil {
			return
		}
		trigger := hooked(string(Compact(json.RawMessage(text))))
		shown := string(trigger.AppendJSON(nil))
		require.True(t, json.Valid([]byte(shown)))
		require.GreaterOrEqual(t, strings.Count(shown, `"`+WebhookMask+`"`), len(w.Secrets))
		var sent Trigger
		require.NoError(t, json.Unmarshal([]byte(shown), &struct{ Annotations *Parameters }{&sent.Annotations}))
		require.NoError(t, sent.KeepWebhookSecrets(trigger.Annotations))
		again, err := sent.Webhook()
		require.NoError(t, err)
		require.Equal(t, w, again)
	})
}
