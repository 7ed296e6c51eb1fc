package harness

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// CouchDB is a server of CouchDB's protocol that keeps all in memory.
type CouchDB struct {
	url   string
	child *Child
}

// StartCouchDB starts a server that ends with the test. What it is made of comes from
// `scripts/provision couchdb`.
func StartCouchDB(t testing.TB) *CouchDB {
	t.Helper()
	dir := filepath.Join(root(t), "test", "couchdb", "node_modules", "pouchdb-server")
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("the tests' CouchDB server is not installed: run scripts/provision couchdb")
	}
	work := TempDir(t)
	port := FreePorts(t, 1)[0]
	c := &CouchDB{url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	c.child = NewChild("CouchDB server", func() *exec.Cmd {
		cmd := exec.Command("node", filepath.Join(dir, "bin", "pouchdb-server"),
			"--in-memory", "--host", "127.0.0.1", "--port", fmt.Sprint(port), "--no-stdout-logs", "--dir", work)
		cmd.Dir = work // it writes its configuration where it is
		// Its log of every request says nothing that the test does not know.
		config := filepath.Join(work, "config.json")
		if err := os.WriteFile(config, []byte(`{"log":{"level":"error"}}`), 0o600); err != nil {
			t.Error(err)
		}
		cmd.Args = append(cmd.Args, "--config", config)
		return cmd
	})
	c.child.Start(t)
	c.child.Until(t, "to answer", func() bool {
		client := http.Client{Timeout: time.Second}
		answer, err := client.Get(c.url)
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	return c
}

// URL is where the server answers.
func (c *CouchDB) URL() string { return c.url }

// Pause stops the server's process: nothing is answered until Resume, and nothing is
// lost.
func (c *CouchDB) Pause(t testing.TB) { t.Helper(); c.child.Signal(t, syscall.SIGSTOP) }

// Resume lets it go on.
func (c *CouchDB) Resume(t testing.TB) { t.Helper(); c.child.Signal(t, syscall.SIGCONT) }

// InitDatabases makes the databases of a cluster.
func InitDatabases(t testing.TB, c *CouchDB, prefix string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Binary(t), "admin", "db", "init", "--couchdb-url", c.URL(), "--couchdb-prefix", prefix)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gowhisk admin db init: %v\n%s", err, out)
	}
}

// CouchDBFlags are the flags that name the CouchDB at an address with user and
// password, http://user:password@host:port.
func CouchDBFlags(t testing.TB, address string) []string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatalf("COUCHDB_URL: %v", err)
	}
	password, has := u.User.Password()
	user := u.User.Username()
	u.User = nil
	flags := []string{"--couchdb-url", u.String()}
	if !has {
		return flags
	}
	file := filepath.Join(TempDir(t), "password")
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	return append(flags, "--couchdb-user", user, "--couchdb-password-file", file)
}
