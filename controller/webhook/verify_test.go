package webhook

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/entity"
)

// example is a delivery whose signature somebody else has published.
type example struct {
	webhook string
	// at is when it is received, in seconds since the epoch; 0 where time does not
	// matter.
	at     int64
	header map[string]string
	body   string
	// signed are the headers in which not a bit may change; beside them stays what
	// the scheme does not sign.
	signed []string
}

func (e example) parse(t testing.TB) (*entity.Webhook, *Request) {
	t.Helper()
	w, err := entity.ParseWebhook(json.RawMessage(e.webhook))
	require.NoError(t, err)
	return w, e.request()
}

func (e example) request() *Request {
	r := &Request{Header: http.Header{}, Body: []byte(e.body), Received: time.Unix(e.at, 0)}
	for name, value := range e.header {
		r.Header.Set(name, value)
	}
	return r
}

const slackCommand = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar" +
	"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2F" +
	"T1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"

// published are the examples of the documentation of GitHub and Slack, of the tests
// of the Standard Webhooks libraries, of Stripe's library for .NET, and of RFC 4231
// (test case 2). GitLab signs as Standard Webhooks do.
func published(t testing.TB) map[string]example {
	t.Helper()
	stripe, err := os.ReadFile(filepath.Join("testdata", "stripe_event.json"))
	require.NoError(t, err)
	standard := map[string]string{
		"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
		"webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
	}
	return map[string]example{
		"github": {
			webhook: `{"verify":"github","secret":"It's a Secret to Everybody"}`, body: "Hello, World!", signed: []string{"X-Hub-Signature-256"},
			header: map[string]string{"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
		},
		"slack": {
			webhook: `{"verify":"slack","secret":"8f742231b10e8888abcd99yyyzzz85a5"}`, at: 1531420618, body: slackCommand,
			header: map[string]string{
				"X-Slack-Request-Timestamp": "1531420618",
				"X-Slack-Signature":         "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
			},
			signed: []string{"X-Slack-Request-Timestamp", "X-Slack-Signature"},
		},
		"standard": {
			webhook: `{"verify":"standard","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`, at: 1614265330, body: `{"test": 2432232314}`,
			header: standard, signed: []string{"webhook-id", "webhook-timestamp", "webhook-signature"},
		},
		"gitlab": {
			webhook: `{"verify":"gitlab","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`, at: 1614265330, body: `{"test": 2432232314}`,
			header: standard, signed: []string{"webhook-id", "webhook-timestamp", "webhook-signature"},
		},
		"stripe": {
			webhook: `{"verify":"stripe","secret":"webhook_secret"}`, at: 1533204620, body: string(stripe),
			header: map[string]string{"Stripe-Signature": "t=1533204620,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7"},
			signed: []string{"Stripe-Signature"},
		},
		"hmac": {
			webhook: `{"verify":"hmac","secret":"Jefe","header":"X-Mac","algorithm":"sha384"}`, body: "what do ya want for nothing?", signed: []string{"X-Mac"},
			header: map[string]string{"X-Mac": "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"},
		},
	}
}

func TestPublishedExamplesAreAccepted(t *testing.T) {
	for name, e := range published(t) {
		t.Run(name, func(t *testing.T) {
			w, r := e.parse(t)
			_, err := Verify(w, r)
			require.NoError(t, err)
		})
	}
}

// TestNoBitMayChange changes every bit of the body and of what is signed, one by one.
func TestNoBitMayChange(t *testing.T) {
	for name, e := range published(t) {
		t.Run(name, func(t *testing.T) {
			w, r := e.parse(t)
			refused := func(what string, i int) {
				_, err := Verify(w, r)
				var unverified *UnverifiedError
				require.ErrorAsf(t, err, &unverified, "bit %d of the %s", i, what)
			}
			for i := range len(r.Body) * 8 {
				r.Body[i/8] ^= 1 << (i % 8)
				refused("body", i)
				r.Body[i/8] ^= 1 << (i % 8)
			}
			for _, header := range e.signed {
				value := []byte(r.Header.Get(header))
				for i := range len(value) * 8 {
					value[i/8] ^= 1 << (i % 8)
					r.Header.Set(header, string(value))
					refused(header, i)
					value[i/8] ^= 1 << (i % 8)
				}
				r.Header.Del(header)
				refused(header, -1)
				r.Header[http.CanonicalHeaderKey(header)] = []string{string(value), string(value)}
				refused(header, -2)
				r.Header.Set(header, string(value))
			}
			_, err := Verify(w, r)
			require.NoError(t, err, "as it was")
			w.Secrets[0] = strings.ToUpper(w.Secrets[0])
			refused("secret", 0)
		})
	}
}

func TestTimestampsMustBeNear(t *testing.T) {
	for name, e := range published(t) {
		if e.at == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			w, r := e.parse(t)
			first, err := Verify(w, r)
			require.NoError(t, err)
			require.NotEmpty(t, first)
			for _, apart := range []time.Duration{-300 * time.Second, 300 * time.Second} {
				r.Received = time.Unix(e.at, 0).Add(apart)
				nonce, err := Verify(w, r)
				require.NoError(t, err)
				require.Equal(t, first, nonce)
				r.Received = r.Received.Add(apart / 300)
				_, err = Verify(w, r)
				require.ErrorContains(t, err, "the timestamp is 5m1s from this server's time, allowed are 5m0s")
			}
			w.Tolerance = time.Hour
			_, err = Verify(w, r)
			require.NoError(t, err)
		})
	}
}

func TestAnyOfTheSecretsWillDo(t *testing.T) {
	for name, e := range published(t) {
		w, r := e.parse(t)
		w.Secrets = []string{"whsec_b3RoZXI=", w.Secrets[0], "whsec_b2xk"}
		_, err := Verify(w, r)
		require.NoError(t, err, name)
		w.Secrets = []string{"whsec_b3RoZXI=", "whsec_b2xk"}
		_, err = Verify(w, r)
		require.Error(t, err, name)
	}
}

func TestSeveralSignatures(t *testing.T) {
	stripe, standard := published(t)["stripe"], published(t)["standard"]
	const other = "v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd"
	t.Run("stripe", func(t *testing.T) {
		good := strings.TrimPrefix(stripe.header["Stripe-Signature"], "t=1533204620,")
		w, r := stripe.parse(t)
		for value, ok := range map[string]bool{
			"t=1533204620," + other + "," + good: true, "t=1533204620, " + good + ", v0=63f3": true, good + ",t=1533204620": true,
			"t=1533204620," + other: false, "t=1533204620,v0=" + good[3:]: false, "t=1533204620": false, good: false,
			"t=1533204620,t=1533204620," + good: false, "t= 1533204620," + good: false, "t=," + good: false, ",": false, "t": false,
		} {
			r.Header.Set("Stripe-Signature", value)
			_, err := Verify(w, r)
			require.Equal(t, ok, err == nil, value)
		}
	})
	t.Run("standard", func(t *testing.T) {
		good := standard.header["webhook-signature"]
		w, r := standard.parse(t)
		for value, ok := range map[string]bool{
			"v1,b3RoZXI= " + good: true, good + " v1a,x v2,y": true, "v1a" + good[2:]: false, "v2" + good[2:]: false, good[3:]: false, " ": false,
		} {
			r.Header.Set("webhook-signature", value)
			_, err := Verify(w, r)
			require.Equal(t, ok, err == nil, value)
		}
	})
}

// RFC 2202 and RFC 4231, test case 2 of each, in the forms that the scheme knows.
func TestHMAC(t *testing.T) {
	const hex256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = unhex(hex256[2*i])<<4 | unhex(hex256[2*i+1])
	}
	for fields, value := range map[string]string{
		``: hex256,
		`,"algorithm":"sha256","prefix":"sha256="`: "sha256=" + hex256,
		`,"encoding":"base64","prefix":"HMAC "`:    "HMAC " + base64.StdEncoding.EncodeToString(raw),
		`,"algorithm":"sha1","prefix":"sha1="`:     "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
		`,"algorithm":"sha512"`:                    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
	} {
		e := example{webhook: `{"verify":"hmac","secret":"Jefe","header":"x-mac"` + fields + `}`, body: "what do ya want for nothing?", header: map[string]string{"X-Mac": value}}
		w, r := e.parse(t)
		nonce, err := Verify(w, r)
		require.NoError(t, err, fields)
		require.Empty(t, nonce, "nothing tells it from a later one")
		r.Header.Set("X-Mac", "x"+value)
		_, err = Verify(w, r)
		require.Error(t, err)
	}
}

func unhex(c byte) byte { return byte(strings.IndexByte("0123456789abcdef", c)) }

func TestTokens(t *testing.T) {
	for name, c := range map[string]struct {
		webhook, header, value string
		ok                     bool
	}{
		"gitlab":               {`{"verify":"gitlab","secrets":["t0k","n3w"]}`, "X-Gitlab-Token", "n3w", true},
		"gitlab_other":         {`{"verify":"gitlab","secret":"t0k"}`, "X-Gitlab-Token", "t0K", false},
		"gitlab_longer":        {`{"verify":"gitlab","secret":"t0k"}`, "X-Gitlab-Token", "t0kk", false},
		"gitlab_none":          {`{"verify":"gitlab","secret":"t0k"}`, "X-Gitlab-Token", "", false},
		"gitlab_both":          {`{"verify":"gitlab","secrets":["whsec_b2xk","t0k"]}`, "X-Gitlab-Token", "t0k", true},
		"gitlab_key_as_token":  {`{"verify":"gitlab","secret":"whsec_b2xk"}`, "X-Gitlab-Token", "whsec_b2xk", false},
		"gitlab_both_as_token": {`{"verify":"gitlab","secrets":["whsec_b2xk","t0k"]}`, "X-Gitlab-Token", "whsec_b2xk", false},
		"bearer":               {`{"verify":"bearer","token":"t0k"}`, "Authorization", "Bearer t0k", true},
		"bearer_case":          {`{"verify":"bearer","tokens":["a","t0k"]}`, "Authorization", "bearer t0k", true},
		"bearer_other":         {`{"verify":"bearer","token":"t0k"}`, "Authorization", "Bearer t0k2", false},
		"bearer_none":          {`{"verify":"bearer","token":"t0k"}`, "Authorization", "Bearer", false},
		"bearer_scheme":        {`{"verify":"bearer","token":"t0k"}`, "Authorization", "Basic t0k", false},
		"basic":                {`{"verify":"basic","user":"u","passwords":["x","p:w"]}`, "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("u:p:w")), true},
		"basic_user":           {`{"verify":"basic","user":"u","password":"p"}`, "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("v:p")), false},
		"basic_password":       {`{"verify":"basic","user":"u","password":"p"}`, "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("u:q")), false},
		"basic_none":           {`{"verify":"basic","user":"u","password":"p"}`, "Authorization", "", false},
		"basic_broken":         {`{"verify":"basic","user":"u","password":"p"}`, "Authorization", "Basic !", false},
		"none":                 {`{"verify":"none"}`, "Authorization", "", true},
	} {
		w, r := example{webhook: c.webhook, header: map[string]string{c.header: c.value}}.parse(t)
		_, err := Verify(w, r)
		require.Equal(t, c.ok, err == nil, name)
		if err != nil {
			require.NotContains(t, err.Error(), "t0k", name)
		}
	}
}

// FuzzVerify: whatever the headers hold, what is not signed is refused.
func FuzzVerify(f *testing.F) {
	schemes := []string{"github", "slack", "standard", "gitlab", "stripe", "hmac"}
	for i, name := range schemes {
		e := published(f)[name]
		f.Add(byte(i), e.header["Stripe-Signature"], "1614265330", "v1,x v1,y", "Basic dTpw", "body")
	}
	f.Fuzz(func(t *testing.T, scheme byte, one, two, three, authorization, body string) {
		e := published(t)[schemes[int(scheme)%len(schemes)]]
		w, r := e.parse(t)
		r.Body = []byte(body)
		for i, header := range e.signed {
			r.Header.Set(header, []string{one, two, three}[i])
		}
		r.Header.Set("Authorization", authorization)
		if _, err := Verify(w, r); err == nil {
			t.Fatalf("%s accepts what nobody signed", w.Verify)
		}
		for _, v := range []entity.Webhook{{Verify: "basic", User: "u", Secrets: []string{"not-p"}}, {Verify: "bearer", Secrets: []string{"t0k-\xff"}}} {
			_, err := Verify(&v, r)
			require.Error(t, err)
		}
	})
}
