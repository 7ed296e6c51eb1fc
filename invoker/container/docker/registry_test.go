package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	engine "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/client"
	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
)

// testRegistry is a registry of images on this machine's loopback interface, to
// which engines speak without TLS. Only user "owner" with password "secret" gets
// in.
type testRegistry struct {
	t       *testing.T
	address string
	api     *client.Client
	process *exec.Cmd
	proxy   []byte // the program in its images
}

func startRegistry(t *testing.T) *testRegistry {
	t.Helper()
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "users"), append([]byte("owner:"), hash...), 0o600))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &testRegistry{t: t, address: free.Addr().String(), api: engineClient(t, "")}
	require.NoError(t, free.Close())
	configuration := fmt.Sprintf(`
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: %[1]s/images}}
http: {addr: %[2]s}
auth: {htpasswd: {realm: test, path: %[1]s/users}}
`, dir, r.address)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.yml"), []byte(configuration), 0o600))
	r.process = exec.Command("docker-registry", "serve", filepath.Join(dir, "config.yml"))
	require.NoError(t, r.process.Start(), "these tests need a registry: scripts/provision docker-registry")
	t.Cleanup(r.stop)
	require.Eventually(t, func() bool {
		answer, err := http.Get("http://" + r.address + "/v2/")
		return err == nil && answer.Body.Close() == nil && answer.StatusCode == http.StatusUnauthorized
	}, patience, 10*time.Millisecond, "the registry does not answer")

	build := exec.Command("go", "build", "-o", filepath.Join(dir, "actionproxy"), "github.com/gowhisk/gowhisk/runtimes/actionproxy/cmd/actionproxy")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	r.proxy, err = os.ReadFile(filepath.Join(dir, "actionproxy"))
	require.NoError(t, err)
	return r
}

func (r *testRegistry) stop() {
	if r.process.ProcessState != nil {
		return
	}
	assert.NoError(r.t, r.process.Process.Signal(syscall.SIGTERM))
	_ = r.process.Wait() // terminated
}

// push makes an image of a version and puts it into the registry. The engine then
// has what it had under that name before. It returns the engine's id of the image.
func (r *testRegistry) push(name, version string) string {
	r.t.Helper()
	ctx := context.Background()
	before, err := r.api.ImageInspect(ctx, name)
	require.True(r.t, err == nil || isGone(err), "%v", err)
	progress, err := r.api.ImageImport(ctx, engine.ImportSource{Source: r.files(version), SourceName: "-"}, name,
		engine.ImportOptions{Changes: []string{`ENTRYPOINT ["/actionproxy"]`, "ENV GOWHISK_KIND=native:1 GOWHISK_DIR=/scratch"}})
	require.NoError(r.t, err)
	r.read(progress)
	header, err := registry.EncodeAuthConfig(registry.AuthConfig{Username: "owner", Password: "secret"})
	require.NoError(r.t, err)
	progress, err = r.api.ImagePush(ctx, name, engine.PushOptions{RegistryAuth: header})
	require.NoError(r.t, err)
	r.read(progress)
	pushed, err := r.api.ImageInspect(ctx, name)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { r.forget(pushed.ID) })
	if before.ID != "" {
		require.NoError(r.t, r.api.ImageTag(ctx, before.ID, name))
	}
	r.forget(pushed.ID)
	return pushed.ID
}

// files are those of an image.
func (r *testRegistry) files(version string) io.Reader {
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for path, content := range map[string][]byte{"actionproxy": r.proxy, "version": []byte(version)} {
		require.NoError(r.t, w.WriteHeader(&tar.Header{Name: path, Mode: 0o755, Size: int64(len(content))}))
		_, err := w.Write(content)
		require.NoError(r.t, err)
	}
	require.NoError(r.t, w.Close())
	return &files
}

// read reads an answer of the engine to its end.
func (r *testRegistry) read(progress io.ReadCloser) {
	r.t.Helper()
	text, err := io.ReadAll(progress)
	require.NoError(r.t, err)
	require.NoError(r.t, progress.Close())
	require.NotContains(r.t, string(text), `"error"`)
}

// forget takes an image from the engine.
func (r *testRegistry) forget(name string) {
	_, err := r.api.ImageRemove(context.Background(), name, engine.RemoveOptions{Force: true, PruneChildren: true})
	require.True(r.t, err == nil || isGone(err), "%v", err)
}

// name is that of an image in the registry.
func (r *testRegistry) name(path string) string { return r.address + "/" + path }

// credentials writes a file of credentials that these namespaces have, or
// everybody where the name is "".
func (r *testRegistry) credentials(path string, namespaces ...string) {
	r.t.Helper()
	auths := map[string]any{"auths": map[string]any{"http://" + r.address + "/v2/": map[string]string{"username": "owner", "password": "secret"}}}
	file := map[string]any{}
	byNamespace := map[string]any{}
	for _, n := range namespaces {
		if n == "" {
			file["auths"] = auths["auths"]
		} else {
			byNamespace[n] = auths
		}
	}
	file["namespaces"] = byNamespace
	text, err := json.Marshal(file)
	require.NoError(r.t, err)
	require.NoError(r.t, os.WriteFile(path, text, 0o600))
}

// startBlackbox starts a container of an image for a namespace, and returns the id
// of the image that it has.
func startBlackbox(t *testing.T, f *Factory, namespace, image string) (string, error) {
	t.Helper()
	c, err := f.Start(within(t, patience), container.Spec{
		Name: "pull-" + fmt.Sprint(time.Now().UnixNano()), Kind: blackbox, Image: image, Namespace: namespace, Memory: 128, Concurrency: 1,
	})
	if err != nil {
		return "", err
	}
	state, err := f.api.ContainerInspect(within(t, patience), c.(*Container).engineID())
	require.NoError(t, err)
	require.NoError(t, c.Destroy(within(t, patience)))
	return state.Image, nil
}

// requireNotPulled: the error is what a user is told of an image that is not to be
// had.
func requireNotPulled(t *testing.T, err error, image, why string) {
	t.Helper()
	var user *container.StartError
	require.ErrorAs(t, err, &user)
	require.Equal(t, "Failed to pull container image '"+image+"'.", user.Text)
	require.ErrorContains(t, err, why)
}

func TestPullPolicies(t *testing.T) {
	r := startRegistry(t)
	c := config(t.TempDir())
	c.Credentials = filepath.Join(t.TempDir(), "credentials.json")
	r.credentials(c.Credentials, "")
	policy := func(t *testing.T, p PullPolicy, ttl time.Duration) (*Factory, func(outcome string) int) {
		c, metrics := c, prometheus.NewRegistry()
		c.Dir, c.Pull, c.PullTTL, c.Registry = t.TempDir(), p, ttl, metrics
		f := open(t, c)
		return f, func(outcome string) int {
			return int(testutil.ToFloat64(f.metrics.pulls.WithLabelValues(outcome)))
		}
	}
	start := func(t *testing.T, f *Factory, name string) string {
		t.Helper()
		id, err := startBlackbox(t, f, "guest", name)
		require.NoError(t, err)
		return id
	}

	t.Run("missing", func(t *testing.T) {
		f, pulls := policy(t, PullMissing, time.Nanosecond)
		name := r.name("missing:1")
		old := r.push(name, "old")
		assert.Equal(t, old, start(t, f, name))
		newer := r.push(name, "new")
		assert.NotEqual(t, old, newer)
		assert.Equal(t, old, start(t, f, name))
		assert.Equal(t, 1, pulls(ok))
	})
	t.Run("never", func(t *testing.T) {
		f, pulls := policy(t, PullNever, time.Nanosecond)
		name := r.name("never:1")
		r.push(name, "1")
		_, err := startBlackbox(t, f, "guest", name)
		requireNotPulled(t, err, name, "is not on the engine; build or pull it")
		assert.Zero(t, pulls(ok)+pulls(failed))
	})
	t.Run("always asks again when the time to live is over", func(t *testing.T) {
		f, pulls := policy(t, PullAlways, time.Nanosecond)
		name := r.name("always:1")
		old := r.push(name, "old")
		assert.Equal(t, old, start(t, f, name))
		newer := r.push(name, "new")
		assert.Equal(t, newer, start(t, f, name))
		assert.Equal(t, 2, pulls(ok))
	})
	t.Run("always does not ask before", func(t *testing.T) {
		f, pulls := policy(t, PullAlways, time.Hour)
		name := r.name("seldom:1")
		r.push(name, "1")
		start(t, f, name)
		start(t, f, name)
		assert.Equal(t, 1, pulls(ok))
	})
	t.Run("those who want the same at the same time share a pull", func(t *testing.T) {
		f, pulls := policy(t, PullMissing, time.Hour)
		name := r.name("shared:1")
		r.push(name, "1")
		var starts sync.WaitGroup
		for range 4 {
			starts.Go(func() {
				_, err := startBlackbox(t, f, "guest", name)
				assert.NoError(t, err)
			})
		}
		starts.Wait()
		assert.Equal(t, 1, pulls(ok))
	})
	t.Run("when the registry is away what is there is used, but for latest", func(t *testing.T) {
		f, pulls := policy(t, PullAlways, time.Nanosecond)
		numbered, latest := r.name("away:1"), r.name("away:latest")
		id := r.push(numbered, "1")
		r.push(latest, "2")
		start(t, f, numbered)
		start(t, f, latest)
		r.stop()
		assert.Equal(t, id, start(t, f, numbered))
		_, err := startBlackbox(t, f, "guest", latest)
		requireNotPulled(t, err, latest, "connection refused")
		assert.Equal(t, 2, pulls(failed))
	})
}

func TestRegistryCredentials(t *testing.T) {
	r := startRegistry(t)
	c := config(t.TempDir())
	c.Pull, c.Credentials = PullMissing, filepath.Join(t.TempDir(), "credentials.json")
	r.credentials(c.Credentials)
	f := open(t, c)
	name, second := r.name("private/app:1"), r.name("private/other:1")
	id := r.push(name, "1")
	r.push(second, "2")

	_, err := startBlackbox(t, f, "alice", name)
	requireNotPulled(t, err, name, "no basic auth credentials")

	r.credentials(c.Credentials, "alice") // read without a restart
	got, err := startBlackbox(t, f, "alice", name)
	require.NoError(t, err)
	assert.Equal(t, id, got)
	_, err = startBlackbox(t, f, "bob", name)
	requireNotPulled(t, err, name, "no basic auth credentials")
	_, err = startBlackbox(t, f, "bob", id)
	require.Error(t, err, "an image has no way around its name")
	_, err = startBlackbox(t, f, "alice", name)
	require.NoError(t, err, "who pulled it still has it")

	require.NoError(t, f.Close())
	f = open(t, c)
	_, err = startBlackbox(t, f, "bob", name)
	requireNotPulled(t, err, name, "no basic auth credentials")

	r.credentials(c.Credentials, "alice", "bob")
	_, err = startBlackbox(t, f, "bob", name)
	require.NoError(t, err, "the registry lets bob have it, too")

	r.credentials(c.Credentials, "")
	for _, namespace := range []string{"alice", "carol"} {
		_, err = startBlackbox(t, f, namespace, second)
		require.NoError(t, err, "everybody has credentials")
	}

	require.NoError(t, os.WriteFile(c.Credentials, []byte(`{"auths":`), 0o600))
	_, err = startBlackbox(t, f, "carol", second)
	require.NoError(t, err, "a broken file leaves what was read before")
	require.NoError(t, f.Close())
	_, err = Open(t.Context(), c)
	require.ErrorContains(t, err, "it is not JSON, from byte")
}
