package clients

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gowhisk/gowhisk/test/harness"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

// TestServerlessFramework deploys, uses, changes and removes the project in the
// folder serverless with the unmodified Serverless Framework.
func TestServerlessFramework(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	p := newProject(t, s)

	printed := p.run(t, "deploy")
	for _, line := range []string{
		"platform:\t" + s.URL(), "namespace:\t" + p.Name, "service:\tlibrary",
		"library-dev-longestWord", "text/words", "text/longest", "site/page", "library-dev-borrow",
		"inventory", "inventoryBorrows", "library_visit_to_borrow", "/api/v1/web/" + p.Name + "/site/page",
	} {
		assert.Contains(t, printed, line)
	}
	p.deployed(t)
	p.invoked(t)
	p.fired(t)

	// A change of one function, deployed with all and then alone.
	p.rewrite(t, "src/page.js", "Library of", "Books of")
	p.run(t, "deploy")
	assert.Equal(t, "0.0.2", p.Get(t, "_/actions/site/page").Field("version").String())
	assert.Contains(t, p.page(t), "Books of Ada")
	p.rewrite(t, "src/page.js", "Books of", "Shelves of")
	p.run(t, "deploy", "function", "-f", "page")
	assert.Contains(t, p.page(t), "Shelves of Ada")
	assert.Equal(t, "active", p.Get(t, "_/rules/inventoryBorrows").Field("status").String(), "a rule outlives a deployment")

	p.run(t, "remove")
	p.told(t, "DELETE", "CREATE", "DELETE", "CREATE", "DELETE")
	for _, collection := range []string{"actions", "packages", "triggers", "rules"} {
		assert.Equal(t, "[]", string(p.Get(t, "_/"+collection).Body), "what remains of the %s", collection)
	}
}

// project is a copy of the folder serverless whose commands address a
// namespace of its own.
type project struct {
	*harness.Namespace
	server *harness.Server
	dir    string
	env    []string
}

func newProject(t *testing.T, s *harness.Server) *project {
	t.Helper()
	source, err := filepath.Abs("serverless")
	require.NoError(t, err)
	packages := filepath.Join(source, "node_modules")
	require.FileExists(t, filepath.Join(packages, "serverless/package.json"), "the npm packages are not installed; run scripts/provision clients")

	dir := harness.TempDir(t)
	for _, part := range []string{"serverless.yml", "package.json", "src"} {
		out, err := exec.CommandContext(t.Context(), "cp", "-R", filepath.Join(source, part), dir).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	require.NoError(t, os.Symlink(packages, filepath.Join(dir, "node_modules")))

	provider := harness.NewNamespace(t, s, "provider")
	provider.Put(t, "_/packages/sources", `{"publish":true}`).Is(t, http.StatusOK)
	provider.PutAction(t, "sources/ticks", harness.Node(`function main({authKey, ...told}) { return told }`).Annotated("feed", true))

	n := harness.NewNamespace(t, s, "serverless")
	return &project{Namespace: n, server: s, dir: dir, env: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"OW_APIHOST=" + s.URL(), "OW_AUTH=" + n.Key, "OW_NAMESPACE=" + n.Name, "PROVIDER=" + provider.Name,
		// It speaks to the server alone.
		"SLS_TELEMETRY_DISABLED=1", "SLS_NOTIFICATIONS_MODE=off", "SLS_INTERACTIVE_SETUP_ENABLE=0", "NO_COLOR=1",
	}}
}

// try runs `serverless` with the arguments; it returns what was printed on both
// streams and the exit status.
func (p *project) try(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", append([]string{"node_modules/serverless/bin/serverless.js"}, args...)...)
	cmd.Dir, cmd.Env = p.dir, p.env
	var printed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("serverless %s: %v", strings.Join(args, " "), err)
	}
	t.Logf("serverless %s\n%s", strings.Join(args, " "), printed.String())
	return printed.String(), cmd.ProcessState.ExitCode()
}

// run is try for commands that must succeed.
func (p *project) run(t *testing.T, args ...string) string {
	t.Helper()
	printed, code := p.try(t, args...)
	require.Zero(t, code, "exit status of serverless %s", strings.Join(args, " "))
	return printed
}

func (p *project) rewrite(t *testing.T, file, old, replacement string) {
	t.Helper()
	path := filepath.Join(p.dir, file)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(content), old)
	require.NoError(t, os.WriteFile(path, bytes.ReplaceAll(content, []byte(old), []byte(replacement)), 0o644))
}

// deployed checks what the server now has.
func (p *project) deployed(t *testing.T) {
	t.Helper()
	borrow := p.Get(t, "_/actions/library-dev-borrow").Is(t, http.StatusOK)
	assert.Equal(t, `{"timeout":5000,"memory":128,"logs":10,"concurrency":1}`, borrow.Field("limits").Raw)
	assert.Equal(t, `{"shelf":[1,2]}`, borrow.Field(`annotations.#(key=="tags").value`).Raw)
	assert.Equal(t, `[{"key":"days","value":21}]`, borrow.Field("parameters").Raw)
	words := p.Get(t, "_/actions/text/words").Is(t, http.StatusOK)
	assert.Regexp(t, `^python:`, words.Field("exec.kind").String())
	sequence := p.Get(t, "_/actions/library-dev-longestWord").Is(t, http.StatusOK)
	assert.Equal(t, `["/`+p.Name+`/text/words","/`+p.Name+`/text/longest"]`, sequence.Field("exec.components").Raw)
	text := p.Get(t, "_/packages/text").Is(t, http.StatusOK)
	assert.Equal(t, "true", text.Field("publish").Raw)
	assert.Equal(t, "works on texts", text.Field(`annotations.#(key=="description").value`).String())
	for _, rule := range []string{"inventoryBorrows", "library_visit_to_borrow"} {
		assert.Equal(t, "active", p.Get(t, "_/rules/"+rule).Is(t, http.StatusOK).Field("status").String(), rule)
	}
	p.told(t, "DELETE", "CREATE") // to forget the trigger first, in case the feed knew it
	newest := p.records(t, "sources/ticks", 2)[0].Get("response.result")
	assert.JSONEq(t, `{"lifecycleEvent":"CREATE","triggerName":"/`+p.Name+`/inventory","cron":"0 3 * * *"}`, newest.Raw)
}

// invoked calls functions as the framework does, and the page as a browser does.
func (p *project) invoked(t *testing.T) {
	t.Helper()
	assert.JSONEq(t, `{"longest":"greatest"}`, object(t, p.run(t, "invoke", "-f", "longestWord", "--data", `{"text":"the greatest book"}`)))
	assert.JSONEq(t, `{"book":"Emma","days":21}`, object(t, p.run(t, "invoke", "-f", "borrow", "--data", `{"book":"Emma"}`)))
	accepted := object(t, p.run(t, "invoke", "-f", "words", "--type", "nonblocking", "--data", `{"text":"a b"}`))
	assert.Len(t, gjson.Get(accepted, "activationId").String(), 32)
	printed, code := p.try(t, "invoke", "-f", "borrow")
	assert.Equal(t, 1, code, "the function answers with an error")
	assert.Contains(t, printed, "no book")
	p.records(t, "library-dev-borrow", 2)
	assert.Contains(t, p.run(t, "logs", "-f", "borrow"), "lends Emma")
	assert.Contains(t, p.page(t), "Library of Ada")
}

// fired fires a trigger, which the framework has no command for.
func (p *project) fired(t *testing.T) {
	t.Helper()
	p.Post(t, "_/triggers/visit", `{"book":"Persuasion"}`).Is(t, http.StatusAccepted)
	newest := p.records(t, "library-dev-borrow", 3)[0]
	assert.JSONEq(t, `{"book":"Persuasion","days":21}`, newest.Get("response.result").Raw)
}

// page is the content of the function that is exported to the web.
func (p *project) page(t *testing.T) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.server.URL()+"/api/v1/web/"+p.Name+"/site/page?name=Ada", nil)
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	assert.Equal(t, http.StatusOK, answer.StatusCode)
	content, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(content)
}

// told checks the events that the feed was told of, the oldest first.
func (p *project) told(t *testing.T, events ...string) {
	t.Helper()
	var told []string
	for _, record := range p.records(t, "sources/ticks", len(events)) {
		told = append(told, record.Get("response.result.lifecycleEvent").String())
	}
	slices.Reverse(told)
	assert.Equal(t, events, told)
}

// records waits for n activations of an action and returns them, newest first.
func (p *project) records(t *testing.T, action string, n int) []gjson.Result {
	t.Helper()
	var found []gjson.Result
	harness.Until(t, "records of "+action, func() bool {
		found = gjson.ParseBytes(p.Get(t, "_/activations?docs=true&name="+action).Body).Array()
		return len(found) >= n
	})
	require.Len(t, found, n, "records of %s", action)
	return found
}

// object is the JSON object in what a command printed.
func object(t *testing.T, printed string) string {
	t.Helper()
	from, to := strings.Index(printed, "{"), strings.LastIndex(printed, "}")
	require.True(t, from >= 0 && to > from, "no object in %q", printed)
	return printed[from : to+1]
}
