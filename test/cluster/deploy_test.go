package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/gowhisk/gowhisk/test/harness"
)

// options are the flags of a program, by the names of their variables.
func options(t *testing.T, path string, args ...string) map[string]bool {
	t.Helper()
	help, err := exec.CommandContext(t.Context(), path, append(args, "--help")...).CombinedOutput()
	require.NoError(t, err, string(help))
	found := map[string]bool{}
	for _, flag := range regexp.MustCompile(`--[a-z][a-z-]+`).FindAllString(string(help), -1) {
		found["GOWHISK_"+strings.ToUpper(strings.ReplaceAll(flag[2:], "-", "_"))] = true
	}
	return found
}

// TestComposeFile: what deploy/docker-compose.yml and the images set exists, and the
// files that they name are there.
func TestComposeFile(t *testing.T) {
	deploy := filepath.Join("..", "..", "deploy")
	text, err := os.ReadFile(filepath.Join(deploy, "docker-compose.yml"))
	require.NoError(t, err)
	var file struct {
		Services map[string]struct {
			Image       string
			Build       struct{ Dockerfile string }
			Environment map[string]any
			Volumes     []string
			Secrets     []string
			DependsOn   any `yaml:"depends_on"`
		}
		Secrets map[string]struct{ File string }
		Volumes map[string]any
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	known := map[string]map[string]bool{
		"gowhisk/controller": options(t, harness.Program(t, "controller")),
		"gowhisk/invoker":    options(t, harness.Program(t, "invoker")),
		"gowhisk/gowhisk":    options(t, harness.Binary(t), "admin"),
	}
	ours := 0
	for name, s := range file.Services {
		for _, v := range s.Volumes {
			if source, _, _ := strings.Cut(v, ":"); strings.HasPrefix(source, "./nginx/") {
				require.FileExists(t, filepath.Join(deploy, source), name)
			}
		}
		for _, secret := range s.Secrets {
			require.Contains(t, file.Secrets, secret, name)
		}
		image, _, _ := strings.Cut(s.Image, ":")
		variables, ok := known[image]
		if !ok {
			continue
		}
		ours++
		require.FileExists(t, filepath.Join("..", "..", s.Build.Dockerfile), name)
		for variable := range s.Environment {
			require.True(t, variables[variable], "%s sets %s, which %s does not read", name, variable, image)
		}
		recipe, err := os.ReadFile(filepath.Join("..", "..", s.Build.Dockerfile))
		require.NoError(t, err)
		for _, variable := range regexp.MustCompile(`GOWHISK_[A-Z_]+`).FindAllString(string(recipe), -1) {
			require.True(t, variables[variable], "%s sets %s, which %s does not read", s.Build.Dockerfile, variable, image)
		}
	}
	require.Equal(t, 6, ours, "two controllers, three invokers and the init job")
}
