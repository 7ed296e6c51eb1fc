package service_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/controller/service"
	"github.com/gowhisk/gowhisk/pkg/entity"
)

// sequence is the body of a PUT, with other fields of the request.
func sequence(components []string, fields ...string) string {
	body := `{"exec":{"kind":"sequence","components":["` + strings.Join(components, `","`) + `"]}`
	if len(components) == 0 {
		body = `{"exec":{"kind":"sequence","components":[]}`
	}
	return strings.Join(append([]string{body}, fields...), ",") + "}"
}

func of(components ...string) []string { return components }

// repeated is a component, n times.
func repeated(component string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = component
	}
	return out
}

const (
	noComponents   = "No component specified for the sequence."
	tooManyActions = "Too many actions in the sequence."
	refersToItself = "Sequence may not refer to itself."
	componentGone  = "Sequence component does not exist."
)

// Cases 96 to 100 of openwhisk-rest-api.md section 28.5, and its section 11.
func TestSequences(t *testing.T) {
	w := newWorld(t)
	w.a.action("a")
	w.a.action("b")

	t.Run("case_096_put_resolves_and_sets_the_parameter", func(t *testing.T) {
		want := `{"namespace":"ns","name":"s","version":"0.0.1","publish":false,
			"exec":{"kind":"sequence","components":["/ns/a","/ns/b"]},
			"parameters":[{"key":"_actions","value":["/ns/a","/ns/b"]}],
			"limits":{"timeout":60000,"memory":256,"logs":10,"concurrency":1},
			"annotations":[{"key":"provide-api-key","value":false},{"key":"exec","value":"sequence"}],"updated":1732176000000}`
		w.a.put("_/actions/s", sequence(of("/_/a", "ns/b"), `"parameters":[{"key":"forged","value":1},{"key":"_actions","value":[]}]`)).is(200).json(want)
		w.a.get("_/actions/s").is(200).json(want)
		w.a.get("_/actions/s?code=false").is(200).json(want)
	})
	t.Run("case_097_malformed", func(t *testing.T) {
		w.a.put("_/actions/n", sequence(nil)).fails(400, noComponents)
		w.a.put("_/actions/n", `{"exec":{"kind":"sequence"}}`).fails(400, "The request content was malformed:\n'components' must be defined for sequence kind")
		w.a.put("_/actions/n", sequence(of("x"))).failsWith(400, "must contain at least the namespace and the name of the entity.")
	})
	t.Run("case_098_missing_component", func(t *testing.T) {
		w.a.put("_/actions/n", sequence(of("/_/a", "/_/gone"))).fails(400, componentGone)
		w.a.put("_/packages/p", `{}`).is(200)
		w.a.put("_/actions/n", sequence(of("/_/p/gone"))).fails(400, componentGone)
		w.a.get("_/actions/n").is(404)
	})
	t.Run("case_099_too_many", func(t *testing.T) {
		w.a.put("_/actions/n", sequence(repeated("/_/a", 51))).fails(400, tooManyActions)
		w.a.put("_/actions/fifty", sequence(repeated("/_/a", 50))).is(200)
		w.a.put("_/actions/n", sequence(of("/_/fifty", "/_/b"))).fails(400, tooManyActions)
		w.a.put("_/actions/n", sequence(of("/_/fifty"))).is(200)
		w.a.delete("_/actions/n").is(200)
	})
	t.Run("case_100_cycles", func(t *testing.T) {
		w.a.put("_/actions/self", sequence(of("/_/self"))).fails(400, refersToItself)
		w.a.put("_/actions/one", sequence(of("/_/a"))).is(200)
		w.a.put("_/actions/two", sequence(of("/_/b", "/_/one"))).is(200)
		w.a.put("_/actions/three", sequence(of("/_/two"))).is(200)
		for _, component := range []string{"/ns/one", "/_/two", "ns/three"} {
			w.a.put("_/actions/one?overwrite=true", sequence(of("/_/a", component))).fails(400, refersToItself)
		}
		w.a.put("_/actions/b?overwrite=true", sequence(of("/_/two"))).fails(400, refersToItself) // an action that becomes a sequence
	})
	t.Run("cycles_through_bindings", func(t *testing.T) {
		w.a.put("_/packages/real", `{}`).is(200)
		w.a.put("_/packages/bound", `{"binding":{"namespace":"_","name":"real"}}`).is(200)
		w.a.put("_/actions/real/s", sequence(of("/_/bound/s"))).fails(400, refersToItself)
		w.a.put("_/actions/real/s", sequence(of("/_/a"))).is(200)
		w.a.put("_/actions/around", sequence(of("/_/bound/s"))).is(200)
		w.a.put("_/actions/real/s?overwrite=true", sequence(of("/_/around"))).fails(400, refersToItself)
		w.a.put("_/actions/bound/s?overwrite=true", sequence(of("/_/a"))).fails(400, "Operation not permitted on package binding.")
	})
	t.Run("a_component_of_another_collection", func(t *testing.T) {
		w.a.put("_/actions/n", sequence(of("/_/p"))).fails(409, "Resource by this name exists but is not in this collection.")
		w.a.put("_/actions/n", sequence(of("/_/a/x"))).fails(409, "Resource by this name exists but is not in this collection.")
	})
	t.Run("a_nested_sequence_that_dangles", func(t *testing.T) {
		w.a.action("brief")
		w.a.put("_/actions/inner", sequence(of("/_/brief"))).is(200)
		w.a.delete("_/actions/brief").is(200)
		w.a.put("_/actions/n", sequence(of("/_/inner"))).fails(400, componentGone)
	})
	t.Run("list_and_delete", func(t *testing.T) {
		w.clock.Advance(time.Second)
		w.a.put("_/actions/last", sequence(of("/_/a"))).is(200)
		item := w.a.get("_/actions?limit=1").is(200).list()[0]
		require.Equal(t, "last", item["name"])
		require.Equal(t, map[string]any{"binary": false}, item["exec"])
		require.Len(t, item, 8)
		r := w.a.delete("_/actions/last").is(200)
		require.Contains(t, r.body, `"exec":{"kind":"sequence","components":["/ns/a"]}`)
		w.a.get("_/actions/last").is(404)
	})
}

// Who may name what (openwhisk-rest-api.md 3), and what is told first (6.3).
func TestSequenceRights(t *testing.T) {
	w := newWorld(t)
	w.a.action("a")
	w.b.action("hidden")
	w.b.put("_/packages/private", `{}`).is(200)
	w.b.action("private/x")
	w.b.put("_/packages/public", `{"publish":true}`).is(200)
	w.b.action("public/x")
	w.a.put("_/packages/bound", `{"binding":{"namespace":"other","name":"public"}}`).is(200)

	t.Run("foreign_components", func(t *testing.T) {
		for component, resource := range map[string]string{
			"/other/hidden": "other/hidden", "/other/private/x": "other/private", "/other/private/gone": "other/private",
			"/other/nopkg/x": "other/nopkg", "/nowhere/x": "nowhere/x",
		} {
			w.a.put("_/actions/n", sequence(of("/_/a", component))).fails(403, "The supplied authentication is not authorized to access '"+resource+"'.")
		}
		w.a.put("_/actions/n", sequence(of("/other/private/x", "/_/a", "/other/hidden", "/other/private/y"))).
			fails(403, "The supplied authentication is not authorized to access 'other/hidden, other/private'.")
	})
	t.Run("public_and_bound_components", func(t *testing.T) {
		o := w.a.put("_/actions/s", sequence(of("/other/public/x", "/_/bound/x"))).is(200)
		require.Contains(t, o.body, `"components":["/other/public/x","/ns/bound/x"]`)
		w.a.put("_/actions/n", sequence(of("/_/bound/gone"))).fails(400, componentGone)
	})
	t.Run("a_missing_package_of_ones_own", func(t *testing.T) {
		w.a.put("_/actions/n", sequence(of("/_/nopkg/x"))).fails(404, "The requested resource does not exist.")
	})
	t.Run("the_underscore_is_the_callers", func(t *testing.T) {
		w.b.put("_/actions/n", sequence(of("/_/a"))).fails(400, componentGone)
		w.b.put("_/actions/n", sequence(of("/ns/a"))).fails(403, "The supplied authentication is not authorized to access 'ns/a'.")
	})
	t.Run("order", func(t *testing.T) {
		denied := "The supplied authentication is not authorized to access 'other/hidden'."
		many := append(repeated("/_/a", 51), "/other/hidden")
		w.a.put("_/actions/n", sequence(many)).fails(403, denied)
		w.a.put("_/actions/s", sequence(of("/other/hidden"))).fails(403, denied)
		w.a.put("_/actions/s", sequence(nil)).fails(409, "resource already exists")
		w.a.put("_/actions/nopkg/s", sequence(nil)).fails(404, "The requested resource does not exist.")
		w.a.put("_/actions/n", sequence(of("/other/hidden"), `"limits":{"memory":1024}`)).failsWith(400, "exceeds allowed threshold")
		w.a.put("_/packages/s", `{}`).is(409)
		w.a.put("_/actions/bound?overwrite=true", sequence(nil)).fails(409, "Resource by this name exists but is not in this collection.")
	})
	t.Run("allowed_kinds", func(t *testing.T) {
		w.limit("ns", `{"allowedKinds":["nodejs:20"]}`)
		w.a.put("_/actions/n", sequence(nil)).fails(403, "The supplied authentication is not authorized to access actions of kind 'sequence'.")
		w.a.put("_/actions/n", sequence(of("/other/hidden"))).fails(403, "The supplied authentication is not authorized to access 'other/hidden'.")
		w.limit("ns", `{"allowedKinds":["nodejs:20","sequence"]}`)
		w.a.put("_/actions/n", sequence(of("/_/a"))).is(200)
	})
}

// The parameters of an update (openwhisk-rest-api.md 8.3).
func TestSequenceUpdates(t *testing.T) {
	w := newWorld(t)
	w.a.action("a")
	w.a.action("b")
	update := func(body string) reply { t.Helper(); return w.a.put("_/actions/s?overwrite=true", body).is(200) }
	const own = `"parameters":[{"key":"k","value":1}]`
	for _, step := range []struct{ name, body, parameters, components, kind string }{
		{"create", sequence(of("/_/a")), `[{"key":"_actions","value":["/ns/a"]}]`, `["/ns/a"]`, "sequence"},
		{"parameters alone are ignored", "{" + own + "}", `[{"key":"_actions","value":["/ns/a"]}]`, `["/ns/a"]`, "sequence"},
		{"nothing changes nothing", "{}", `[{"key":"_actions","value":["/ns/a"]}]`, `["/ns/a"]`, "sequence"},
		{"other components", sequence(of("/_/b", "/_/a"), own), `[{"key":"_actions","value":["/ns/b","/ns/a"]}]`, `["/ns/b","/ns/a"]`, "sequence"},
		{"to an action", `{"exec":{"kind":"nodejs:20","code":"x"}}`, `[]`, "", "nodejs:20"},
		{"an action's parameters", "{" + own + "}", `[{"key":"k","value":1}]`, "", "nodejs:20"},
		{"back to a sequence", sequence(of("/_/a")), `[{"key":"_actions","value":["/ns/a"]}]`, `["/ns/a"]`, "sequence"},
		{"to an action with parameters", `{"exec":{"kind":"blackbox","image":"me/img"},` + own + `}`, `[{"key":"k","value":1}]`, "", "blackbox"},
	} {
		t.Run(step.name, func(t *testing.T) {
			body := update(step.body).body
			require.Equal(t, body, w.a.get("_/actions/s").is(200).body)
			require.Contains(t, body, `"parameters":`+step.parameters)
			require.Contains(t, body, `{"key":"exec","value":"`+step.kind+`"}]`)
			if step.components != "" {
				require.Contains(t, body, `"exec":{"kind":"sequence","components":`+step.components+`}`)
			}
		})
	}
	t.Run("the_code_of_an_action_goes", func(t *testing.T) {
		update(`{"exec":{"kind":"nodejs:20","code":"old code"}}`)
		update(sequence(of("/_/a")))
		update(`{"exec":{"kind":"blackbox","image":"me/img"}}`)
		require.NotContains(t, w.a.get("_/actions/s").is(200).body, "old code")
	})
	t.Run("version_annotations_and_limits_as_for_every_action", func(t *testing.T) {
		w.a.put("_/actions/v", sequence(of("/_/a"), `"annotations":[{"key":"final","value":true},{"key":"exec","value":"forged"}]`)).is(200)
		body := w.a.put("_/actions/v?overwrite=true", `{"annotations":[{"key":"x","value":1}],"limits":{"timeout":5000},"publish":true}`).is(200).body
		require.Contains(t, body, `"version":"0.0.2","publish":true`)
		require.Contains(t, body, `"annotations":[{"key":"final","value":true},{"key":"provide-api-key","value":false},{"key":"x","value":1},{"key":"exec","value":"sequence"}]`)
		require.Contains(t, body, `"timeout":5000`)
	})
	t.Run("a_dangling_sequence_can_be_updated_without_exec", func(t *testing.T) {
		w.a.put("_/actions/dangling", sequence(of("/_/b"))).is(200)
		w.a.delete("_/actions/b").is(200)
		w.a.put("_/actions/dangling?overwrite=true", `{"annotations":[{"key":"x","value":1}]}`).is(200)
		w.a.put("_/actions/dangling?overwrite=true", sequence(of("/_/b"))).fails(400, componentGone)
	})
	t.Run("in_a_package_it_is_shown_with_the_packages_parameters", func(t *testing.T) {
		w.a.put("_/packages/p", `{"parameters":[{"key":"k","value":1}]}`).is(200)
		require.Contains(t, w.a.put("_/actions/p/s", sequence(of("/_/a"))).is(200).body, `"parameters":[{"key":"_actions","value":["/ns/a"]}]`)
		require.Contains(t, w.a.get("_/actions/p/s").is(200).body, `"parameters":[{"key":"k","value":1},{"key":"_actions","value":["/ns/a"]}]`)
	})
}

// The sizes and bounds of openwhisk-rest-api.md 5.2 and 11, with small ones.
func TestSequenceBounds(t *testing.T) {
	w := newWorld(t, func(c *service.Config) {
		c.Actions.MaxSequenceLength = 3
		c.Sizes.Exec = 20
	})
	w.a.put("_/actions/a", `{"exec":{"kind":"nodejs:20","code":""}}`).is(200)

	t.Run("size_of_the_names_as_sent", func(t *testing.T) {
		w.a.put("_/actions/n", sequence(of("/_/a", "/_/"+strings.Repeat("x", 16)))).fails(413, "exec larger than allowed: 21 > 20 bytes.")
		w.a.put("_/actions/n", sequence(repeated("/_/a", 3))).is(200)
	})
	t.Run("configured_length", func(t *testing.T) {
		w.a.put("_/actions/m", sequence(repeated("/_/a", 4))).fails(400, tooManyActions)
		w.a.put("_/actions/two", sequence(repeated("/_/a", 2))).is(200)
		w.a.put("_/actions/m", sequence(of("/_/two", "/_/two"))).fails(400, tooManyActions)
		w.a.put("_/actions/m", sequence(of("/_/two", "/_/a"))).is(200)
	})
	t.Run("rights_beyond_the_length_are_not_looked_up", func(t *testing.T) {
		w.a.put("_/actions/x", sequence(of("_/p/a", "_/q/a"))).is(404)
		w.a.put("_/actions/x", sequence(of("_/a", "_/b", "_/c", "_/p/a"))).fails(400, tooManyActions)
	})
	t.Run("nesting", func(t *testing.T) {
		w.a.put("_/actions/d0", sequence(of("/_/a"))).is(200)
		depth := 1
		for ; depth < 100; depth++ {
			r := w.a.put(fmt.Sprintf("_/actions/d%d", depth), sequence(of(fmt.Sprintf("/_/d%d", depth-1))))
			if r.status != 200 {
				r.fails(400, tooManyActions)
				break
			}
		}
		require.Equal(t, 30, depth, "ten times the length are looked up, the action among them")
	})
	t.Run("cycles_that_others_wrote_end", func(t *testing.T) {
		for _, s := range [][2]entity.Name{{"ping", "pong"}, {"pong", "ping"}, {"none", ""}} {
			action := &entity.Action{Header: entity.Header{Namespace: "ns", Name: s[0], Version: entity.FirstVersion}, Exec: entity.Exec{Kind: entity.KindSequence}}
			if s[1] != "" {
				action.Exec.Components = []entity.FQN{{Path: "_", Name: s[1]}}
			}
			require.NoError(t, w.db.Entities().Put(t.Context(), action))
		}
		w.a.put("_/actions/x", sequence(of("/_/ping"))).fails(400, tooManyActions)
		w.a.put("_/actions/pong?overwrite=true", sequence(of("/_/ping"))).fails(400, refersToItself)
		w.a.put("_/actions/pong?overwrite=true", sequence(of("/_/none"))).is(200)
	})
}
