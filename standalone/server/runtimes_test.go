package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/gowhisk/gowhisk/invoker/container/engine"
	pkgruntimes "github.com/gowhisk/gowhisk/pkg/runtimes"
	"github.com/gowhisk/gowhisk/runtimes"
)

// operators is a manifest as OpenWhisk's deployments have it.
const operators = `{"runtimes":{
 "nodejs":[{"kind":"nodejs:20","default":true,"deprecated":false,"attached":{"attachmentName":"codefile","attachmentType":"text/plain"},
   "image":{"prefix":"openwhisk","name":"action-nodejs-v20","tag":"nightly"},
   "stemCells":[{"initialCount":2,"memory":"256 MB"}]}],
 "ruby":[{"kind":"ruby:2.5","default":true,"deprecated":false,"image":{"prefix":"openwhisk","name":"action-ruby-v2.5","tag":"nightly"}}]},
 "blackboxes":[{"prefix":"openwhisk","name":"dockerskeleton","tag":"nightly"}]}`

func TestLocalManifest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "runtimes.json")
	require.NoError(t, os.WriteFile(file, []byte(operators), 0o600))
	found := []runtimes.Interpreter{{Family: "nodejs", Kind: "nodejs:22"}, {Family: "python", Kind: "python:3.7"}, {Family: "python", Kind: "python:3.12"}}

	t.Run("built in, with this machine's versions as defaults", func(t *testing.T) {
		m, err := localManifest(pkgruntimes.Default(), &engine.Engine{Interpreters: found}, DefaultConfig())
		require.NoError(t, err)
		for kind, want := range map[string]string{"nodejs:default": "nodejs:22", "python:default": "python:3.12", "ruby:default": "ruby:3.1"} {
			r, err := m.Resolve(kind)
			require.NoError(t, err)
			require.Equal(t, want, r.Kind)
			require.Len(t, r.StemCells, map[bool]int{true: 1}[r.Family != "ruby"], kind)
		}
	})
	t.Run("built in, with images", func(t *testing.T) {
		m, err := localManifest(pkgruntimes.Default(), &engine.Engine{Kinds: []string{"nodejs:20"}}, DefaultConfig())
		require.NoError(t, err)
		for kind, want := range map[string]int{"nodejs:default": 1, "python:default": 0} {
			r, err := m.Resolve(kind)
			require.NoError(t, err)
			require.Len(t, r.StemCells, want, kind)
		}
	})
	t.Run("the operator's, as it is", func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.Manifest = file
		given, err := pkgruntimes.Load(file)
		require.NoError(t, err)
		m, err := localManifest(given, &engine.Engine{}, cfg)
		require.NoError(t, err)
		require.Equal(t, []string{"blackbox", "nodejs:20", "ruby:2.5", "sequence"}, m.Kinds())
		node, err := m.Resolve("nodejs:default")
		require.NoError(t, err)
		require.Equal(t, "openwhisk/action-nodejs-v20:nightly", node.Image.String())
		require.Equal(t, 2, node.StemCells[0].InitialCount)

		cfg.StemCells = []string{"ruby:2.5=1:128"}
		m, err = localManifest(given, &engine.Engine{}, cfg)
		require.NoError(t, err)
		node, err = m.Resolve("nodejs:20")
		require.NoError(t, err)
		require.Empty(t, node.StemCells, "the command line's stem cells are all there are")
	})
	t.Run("a file that is none", func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.Manifest = file + "x"
		cfg.Addr, cfg.Ephemeral = "127.0.0.1:0", true
		_, err := New(t.Context(), cfg, Build{}, zaptest.NewLogger(t))
		require.ErrorContains(t, err, "--runtimes-manifest")
	})
}
