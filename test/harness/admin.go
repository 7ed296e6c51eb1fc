package harness

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// Target is a running platform, of whatever shape, that a suite can be run
// against: where it answers, and how its administrator speaks to it.
type Target interface {
	URL() string
	// Admin runs `gowhisk admin` with the arguments against the platform.
	Admin(t testing.TB, args ...string) AdminResult
}

// AdminResult is what an admin command printed and its exit status.
type AdminResult struct {
	Stdout string // without surrounding white space
	Stderr string
	Code   int
}

// Admin runs `gowhisk admin …` on the server's data directory, whether or not
// the server runs.
func (s *Server) Admin(t testing.TB, args ...string) AdminResult {
	t.Helper()
	return AdminCommand(t, s.options.Dir, args...)
}

// AdminCommand runs `gowhisk admin …` on a data directory.
func AdminCommand(t testing.TB, dir string, args ...string) AdminResult {
	t.Helper()
	args = append([]string{"admin"}, args...)
	cmd := exec.CommandContext(t.Context(), Binary(t), append(args, "--data-dir", dir)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("gowhisk %s: %v", strings.Join(args, " "), err)
	}
	return AdminResult{
		Stdout: strings.TrimSpace(stdout.String()),
		Stderr: strings.TrimSpace(stderr.String()),
		Code:   cmd.ProcessState.ExitCode(),
	}
}

// OK fails the test unless the command succeeded.
func (r AdminResult) OK(t testing.TB) AdminResult {
	t.Helper()
	if r.Code != 0 {
		t.Fatalf("admin command: status %d, want 0\nstdout: %s\nstderr: %s", r.Code, r.Stdout, r.Stderr)
	}
	return r
}

// Namespace is a namespace of a test's own, with its only subject, which has
// the same name.
type Namespace struct {
	Name string
	Key  string
	*Client
}

// NewNamespace creates a subject with a namespace whose name begins with prefix
// and is used nowhere else.
func NewNamespace(t testing.TB, target Target, prefix string) *Namespace {
	t.Helper()
	name := prefix + "-" + strings.ToLower(rand.Text()[:8])
	key := target.Admin(t, "user", "create", name).OK(t).Stdout
	if len(key) != 36+1+64 {
		t.Fatalf("admin user create printed %q, want uuid:key", key)
	}
	return &Namespace{Name: name, Key: key, Client: NewClient(target.URL(), key)}
}

// Limit sets limits of the namespace: pairs of a flag without dashes and its value.
func (n *Namespace) Limit(t testing.TB, target Target, flagsAndValues ...string) {
	t.Helper()
	args := []string{"limits", "set", n.Name}
	for i := 0; i+1 < len(flagsAndValues); i += 2 {
		args = append(args, "--"+flagsAndValues[i], flagsAndValues[i+1])
	}
	target.Admin(t, args...).OK(t)
}
