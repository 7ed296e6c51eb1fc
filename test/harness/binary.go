package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var built = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("GOWHISK_BIN"); path != "" {
		path, err := filepath.Abs(path)
		if err != nil {
			return "", err
		}
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("GOWHISK_BIN: %w; build it with 'make build'", err)
		}
		return path, nil
	}
	gomod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	// One directory per user, not one per run: nobody would remove the latter,
	// since no hook runs when the last test of a binary has ended.
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("gowhisk-test-bin-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, fmt.Sprintf("gowhisk-%d", os.Getpid()))
	build := exec.Command("go", "build", "-o", path, "./standalone")
	build.Dir = filepath.Dir(strings.TrimSpace(string(gomod)))
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./standalone: %w\n%s", err, out)
	}
	return path, nil
})

// Binary is the path of the gowhisk binary under test: the one that GOWHISK_BIN
// names, else one built from the working tree, once per test binary.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatalf("no gowhisk binary to test: %v", err)
	}
	return path
}

// Main runs a suite's tests and removes the binary that Binary may have built.
// Suites call it from TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if os.Getenv("GOWHISK_BIN") == "" {
		if path, err := built(); err == nil {
			os.Remove(path)
			os.Remove(filepath.Dir(path)) // fails, rightly, while another suite has one there
		}
	}
	os.Exit(code)
}
