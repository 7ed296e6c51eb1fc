package admin

import (
	"context"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/pkg/store"
	"github.com/gowhisk/gowhisk/pkg/store/sqlite"
)

// tool runs commands on one database, as successive calls of the program do.
func tool(t *testing.T) func(args ...string) (string, error) {
	db, err := sqlite.Open(t.Context(), sqlite.Options{InMemory: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return func(args ...string) (string, error) {
		cmd := Command(func(context.Context) (store.SubjectStore, func() error, error) {
			return db.Subjects(), func() error { return nil }, nil
		})
		var out strings.Builder
		cmd.SetOut(&out)
		cmd.SetErr(io.Discard)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(args)
		err := cmd.ExecuteContext(t.Context())
		return strings.TrimSpace(out.String()), err
	}
}

const (
	key1 = "11111111-1111-4111-8111-111111111111:" + key64
	key2 = "22222222-2222-4222-8222-222222222222:" + key64

	key64 = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
)

// TestCommands goes through openwhisk-rest-api.md 20.3 as one story.
func TestCommands(t *testing.T) {
	run := tool(t)
	for _, c := range []struct {
		args  string
		out   string
		error string
	}{
		{"user create abc", "", "Subject name must be at least 5 characters"},
		{"user create alice -u nonsense", "", "authorization id is not a valid UUID"},
		{"user create alice -u 11111111-1111-4111-8111-111111111111:short", "", "authorization key must be at least 64 characters long"},
		{"user create alice --ns=", "", "Namespace must not be empty"},
		{"user get alice", "", `namespace "alice" not found for "alice"`},
		{"user create alice -u " + key1, key1, ""},
		{"user create alice -u " + key2, "", "Namespace already exists"},
		{"user create bobby -u " + key1, "", "Namespace is not unique"},
		{"user create alice --ns team -s -u " + key2, "", ""},
		{"user get alice", key1, ""},
		{"user get alice --ns team", key2, ""},
		{"user get alice -a", "alice\t" + key1 + "\nteam\t" + key2, ""},
		{"user get alice --ns none", "", `namespace "none" not found for "alice"`},
		{"user list team", key2 + "\talice", ""},
		{"user list team -k", key2, ""},
		{"user list none", "", `no identities found for namespace "none"`},
		{"user whois " + key2, "subject: alice\nnamespace: team", ""},
		{"user list team -p 0", "", "pick at least 1 identity to show"},
		{"user whois nonsense", "", "Subject id is not recognized"},
		{"user whois 22222222-2222-4222-8222-222222222222:" + strings.Repeat("x", 64), "", "Subject id is not recognized"},
		{"user block alice", `"alice" blocked successfully`, ""},
		{"user create alice --ns more", "", "The subject you want to edit is blocked"},
		{"user list team", "", `no identities found for namespace "team"`},
		{"user unblock alice", `"alice" unblocked successfully`, ""},
		{"user delete alice --ns none", "", `Namespace "none" does not exist for "alice"`},
		{"user delete alice --ns team", "Namespace deleted", ""},
		{"user create alice -r -u " + key2, key2, ""},
		{"user get alice", key2, ""},
		{"user delete alice", "Subject deleted", ""},
		{"user delete alice", "", `Subject "alice" does not exist`},
		{"user no-such-command", "", "unknown command"},

		{"limits get alice", "No limits found, default system limits apply", ""},
		{"limits set alice", "", "No limit given"},
		{"limits set alice --invocationsPerMinute many", "", `"many" is not a whole number`},
		{"limits set alice --maxPayloadSize huge", "", `size "huge"`},
		{"limits set alice --storeActivations perhaps", "", "is not true or false"},
		{"limits set alice --invocationsPerMinute 5 --allowedKinds python:3.11,nodejs:20", `Limits successfully set for "alice"`, ""},
		{"limits set alice --storeActivations false --maxPayloadSize=512KB", `Limits successfully set for "alice"`, ""},
		{"limits get alice", "invocationsPerMinute = 5\nallowedKinds = nodejs:20,python:3.11\nstoreActivations = false\nmaxPayloadSize = 524288 B", ""},
		{"limits set alice --storeActivations Yes --allowedKinds nodejs:20 python:3.11 go:1.22", `Limits successfully set for "alice"`, ""},
		{"limits get alice", "invocationsPerMinute = 5\nallowedKinds = go:1.22,nodejs:20,python:3.11\nstoreActivations = true\nmaxPayloadSize = 524288 B", ""},
		{"limits set alice bobby --invocationsPerMinute 5", "", "accepts 1 arg(s), received 2"},
		{"limits delete alice", "Limits deleted", ""},
		{"limits delete alice", "", `No limits found for "alice"`},
	} {
		t.Run(c.args, func(t *testing.T) {
			out, err := run(strings.Fields(c.args)...)
			if c.error != "" {
				require.ErrorContains(t, err, c.error)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.out, out)
		})
	}
}

func TestGenerateOnlyChangesNothing(t *testing.T) {
	run := tool(t)
	out, err := run("user", "create", "alice", "-g")
	require.NoError(t, err)
	require.Regexp(t, regexp.MustCompile(`^[0-9a-f-]{36}:[A-Za-z0-9]{64}$`), out)
	_, err = run("user", "get", "alice")
	require.Error(t, err)
}

func TestDatabaseThatCannotBeOpened(t *testing.T) {
	broken := errors.New("no database here")
	cmd := Command(func(context.Context) (store.SubjectStore, func() error, error) { return nil, nil, broken })
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs([]string{"user", "get", "alice"})
	require.ErrorIs(t, cmd.Execute(), broken)
}

func TestEveryLimitHasHelp(t *testing.T) {
	for _, name := range limitFields() {
		require.NotEmpty(t, limitUsage[name], name)
	}
}
