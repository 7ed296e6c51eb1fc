package standalone

import (
	"strings"
	"testing"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/require"
)

func TestDataSurviveRestart(t *testing.T) {
	for _, end := range []struct {
		name string
		stop func(*harness.Server, testing.TB)
	}{
		{"after_stop", (*harness.Server).Stop},
		{"after_kill", (*harness.Server).Kill},
	} {
		t.Run(end.name, func(t *testing.T) {
			s := harness.Start(t, harness.Options{})
			n := harness.NewNamespace(t, s, "kept")
			n.Limit(t, s, "maxActionMemory", "300")
			zip := harness.Zip(t, map[string]string{
				"index.js": `console.log("loaded"); exports.main = args => ({zip: true, ...args})`,
				"filler":   strings.Repeat("0123456789abcdef", 1<<14),
			})
			n.PutAction(t, "text", harness.Node(`function main(args) { console.log("line"); return args }`).Annotated("note", "kept"))
			n.PutAction(t, "zip", harness.Node(zip))
			first := n.Invoke(t, "text", `{"x":0.10}`).Is(t, 200)
			record := n.Activation(t, first.ActivationID())
			action := n.Get(t, "_/actions/text").Is(t, 200)
			list := n.Get(t, "_/actions").Is(t, 200)

			end.stop(s, t)
			s.Restart(t)
			again := s.Client(n.Key)

			require.True(t, harness.SameJSON(string(action.Body), string(again.Get(t, "_/actions/text").Is(t, 200).Body)), "action")
			require.True(t, harness.SameJSON(string(list.Body), string(again.Get(t, "_/actions").Is(t, 200).Body)), "list of actions")
			require.Equal(t, zip, again.Get(t, "_/actions/zip").Is(t, 200).Field("exec.code").String(), "code of the zip")
			require.True(t, harness.SameJSON(record.Raw, again.Activation(t, first.ActivationID()).Raw), "activation record with logs")
			require.Equal(t, "300", again.Get(t, "_/limits").Is(t, 200).Field("maxActionMemory").Raw)
			require.True(t, harness.SameJSON(`{"zip":true,"y":1}`, again.Invoke(t, "zip", `{"y":1}`).Is(t, 200).Field("response.result").Raw))
			again.Put(t, "_/actions/text", harness.Node("")).Is(t, 409)
		})
	}
}

func TestAdministrationActsWhileTheServerRuns(t *testing.T) {
	s := harness.Start(t, harness.Options{DefaultLimits: true})
	n := harness.NewNamespace(t, s, "adm")
	// A rejected key must not be remembered: the subject may be made just then.
	unknown := s.Client("11111111-2222-4333-8444-555555555555:" + strings.Repeat("k", 64))
	unknown.Get(t, "/api/v1/namespaces").Is(t, 401)

	t.Run("new_user", func(t *testing.T) {
		s.Admin(t, "user", "create", "later-subject", "-u", "11111111-2222-4333-8444-555555555555:"+strings.Repeat("k", 64)).OK(t)
		harness.Until(t, "the new subject to be known", func() bool {
			return unknown.Get(t, "/api/v1/namespaces").Status == 200
		})
	})

	t.Run("user_commands", func(t *testing.T) {
		require.Equal(t, n.Key, s.Admin(t, "user", "get", n.Name).OK(t).Stdout)
		require.Equal(t, n.Key+"\t"+n.Name, s.Admin(t, "user", "list", n.Name).OK(t).Stdout)
		short := s.Admin(t, "user", "create", "abc")
		require.Equal(t, 1, short.Code)
		require.Contains(t, short.Stdout+short.Stderr, "Subject name must be at least 5 characters")
		twice := s.Admin(t, "user", "create", n.Name)
		require.Equal(t, 1, twice.Code)
		require.Contains(t, twice.Stdout+twice.Stderr, "Namespace already exists")
		usage := s.Admin(t, "user", "no-such-command")
		require.Equal(t, 2, usage.Code, "exit status of a usage error (openwhisk-rest-api.md 20.3)")
	})

	t.Run("limits", func(t *testing.T) {
		limits := func() string { return string(n.Get(t, "_/limits").Is(t, 200).Body) }
		before := limits()
		require.Equal(t, "No limits found, default system limits apply", s.Admin(t, "limits", "get", n.Name).OK(t).Stdout)
		set := s.Admin(t, "limits", "set", n.Name, "--invocationsPerMinute", "7", "--maxActionTimeout", "1000").OK(t)
		require.Equal(t, `Limits successfully set for "`+n.Name+`"`, set.Stdout)
		harness.Until(t, "the limit to act", func() bool {
			return n.Get(t, "_/limits").Is(t, 200).Field("invocationsPerMinute").Raw == "7"
		})
		require.Contains(t, s.Admin(t, "limits", "get", n.Name).OK(t).Stdout, "invocationsPerMinute = 7")
		n.Put(t, "_/actions/slow", harness.Node("").With(harness.Limits{Timeout: 2000})).Is(t, 400)

		require.Equal(t, "Limits deleted", s.Admin(t, "limits", "delete", n.Name).OK(t).Stdout)
		harness.Until(t, "the limit to be gone", func() bool { return harness.SameJSON(before, limits()) })
	})

	t.Run("delete_user", func(t *testing.T) {
		n.Get(t, "_/actions").Is(t, 200)
		require.Equal(t, "Subject deleted", s.Admin(t, "user", "delete", n.Name).OK(t).Stdout)
		harness.Until(t, "the subject to be unknown", func() bool { return n.Get(t, "_/actions").Status == 401 })
	})
}

func TestNamespacesSeeNothingOfEachOther(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	a, b := harness.NewNamespace(t, s, "iso-a"), harness.NewNamespace(t, s, "iso-b")
	// The same action in both: leaves a mark in every place it may write to, and
	// tells what it finds.
	spy := harness.Node(instance + `const fs = require("fs")
function main({mark}) {
  const places = ["/tmp/mark", "/var/tmp/mark", "/dev/shm/mark", "mark"]
  const seen = []
  for (const place of places) {
    try { seen.push(fs.readFileSync(place, "utf8")) } catch (e) {}
    try { fs.writeFileSync(place, mark) } catch (e) {}
  }
  return {seen, instance, env: process.env}
}`)
	a.PutAction(t, "spy", spy)
	b.PutAction(t, "spy", spy)

	t.Run("entities", func(t *testing.T) {
		a.PutAction(t, "secret", harness.Node(""))
		b.Get(t, "_/actions/secret").Is(t, 404)
		b.Get(t, a.Name+"/actions/secret").Is(t, 403)
		b.Post(t, a.Name+"/actions/secret", `{}`).Is(t, 403)
		require.NotContains(t, string(b.Get(t, "_/actions").Is(t, 200).Body), "secret")
	})

	t.Run("activations", func(t *testing.T) {
		id := a.Invoke(t, "spy", `{"mark":"a"}`).Is(t, 200).ActivationID()
		a.Activation(t, id)
		for _, part := range []string{"", "/logs", "/result"} {
			b.Get(t, "_/activations/"+id+part).Is(t, 404)
			b.Get(t, a.Name+"/activations/"+id+part).Is(t, 403)
		}
		require.NotContains(t, string(b.Get(t, "_/activations").Is(t, 200).Body), id)
	})

	t.Run("containers", func(t *testing.T) {
		first := a.Invoke(t, "spy", `{"mark":"of-a"}`).Is(t, 200)
		second := b.Invoke(t, "spy", `{"mark":"of-b"}`).Is(t, 200)
		require.NotEqual(t, first.Field("response.result.instance").String(), second.Field("response.result.instance").String(), "container")
		require.NotContains(t, second.Field("response.result.seen").Raw, "of-a", "files")
		_, secretOfA, _ := strings.Cut(a.Key, ":")
		_, secretOfB, _ := strings.Cut(b.Key, ":")
		for _, secret := range []string{secretOfA, secretOfB, harness.SystemKey[37:], harness.GuestKey[37:]} {
			require.NotContains(t, string(second.Body), secret, "keys")
		}
	})

	t.Run("data_directory", func(t *testing.T) {
		b.PutAction(t, "read", harness.Node(`const fs = require("fs")
function main({dir}) {
  try { return {found: fs.readdirSync(dir)} } catch (e) { return {refused: e.code} }
}`))
		r := b.Invoke(t, "read", map[string]string{"dir": s.Dir()}).Is(t, 200)
		require.Contains(t, []string{"EACCES", "ENOENT", "EPERM"}, r.Field("response.result.refused").String(), "%s", r.Body)
	})
}
