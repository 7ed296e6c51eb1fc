package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Nginx is the front door of a cluster, with the configuration of deploy/nginx.
type Nginx struct {
	url   string
	child *Child
}

// StartNginx starts an nginx that ends with the test, in front of the addresses.
func StartNginx(t testing.TB, upstreams []string) *Nginx {
	t.Helper()
	binary, err := exec.LookPath("nginx")
	if err != nil {
		binary = "/usr/sbin/nginx" // not on the path of everybody
		if _, err := os.Stat(binary); err != nil {
			t.Fatal("nginx is not installed: run scripts/provision nginx")
		}
	}
	dir := TempDir(t)
	port := FreePorts(t, 1)[0]
	// Its temporary files need their directories below the prefix.
	for _, sub := range []string{"logs", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	main, err := os.ReadFile(filepath.Join(root(t), "deploy", "nginx", "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	var servers strings.Builder
	for _, u := range upstreams {
		fmt.Fprintf(&servers, "  server %s max_fails=1 fail_timeout=1s;\n", u)
	}
	preamble := "daemon off;\npid nginx.pid;\n"
	if os.Getuid() == 0 {
		preamble += "user root;\n" // who else cannot write below the test's directory
	}
	files := map[string]string{
		"nginx.conf":     preamble + string(main),
		"upstreams.conf": "upstream controllers {\n" + servers.String() + "  keepalive 64;\n  keepalive_timeout 2s;\n}\n",
		"listen.conf":    fmt.Sprintf("listen 127.0.0.1:%d;\nclient_body_temp_path tmp/body;\nproxy_temp_path tmp/proxy;\n", port),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	n := &Nginx{url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	n.child = NewChild("nginx", func() *exec.Cmd {
		return exec.Command(binary, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	})
	n.child.Start(t)
	n.child.WaitListening(t, fmt.Sprintf("127.0.0.1:%d", port))
	return n
}

// URL is where it answers.
func (n *Nginx) URL() string { return n.url }
