package wasm

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/invoker/container"
)

// BenchmarkCold is a container's start, /init and first /run:
//
//	compiled  its machine code is on disk, as after a restart of the server
//	loaded    another container uses the module, or has just done so
//	unknown   the module has to be compiled
func BenchmarkCold(b *testing.B) {
	for name, module := range map[string][]byte{"hand-written": printer(`{"ok":true}`).bytes(), "go": goModule(b)} {
		run := []byte(`{"value":{"do":"echo"}}`)
		body, err := json.Marshal(map[string]any{"value": map[string]any{"main": "main", "code": base64.StdEncoding.EncodeToString(module)}})
		require.NoError(b, err)
		cold := func(b *testing.B, f *Factory) {
			c, err := f.Start(b.Context(), container.Spec{Name: "cold", Kind: Kind, Memory: 256, Concurrency: 1})
			require.NoError(b, err)
			for _, call := range []struct {
				path string
				body []byte
			}{{"/init", body}, {"/run", run}} {
				r, err := c.Call(b.Context(), call.path, call.body, 1<<20)
				require.NoError(b, err)
				require.Equal(b, 200, r.Status, "%s", r.Body)
			}
			b.StopTimer()
			require.NoError(b, c.Destroy(b.Context()))
			b.StartTimer()
		}
		dir := b.TempDir()
		opened := func(b *testing.B, dir string) *Factory {
			f, err := Open(Config{Dir: dir, Compiler: compilerCommand(b)})
			require.NoError(b, err)
			return f
		}
		b.Run(name+"/compiled", func(b *testing.B) {
			f := opened(b, dir)
			cold(b, f)
			require.NoError(b, f.Close())
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				f := opened(b, dir)
				b.StartTimer()
				cold(b, f)
				b.StopTimer()
				require.NoError(b, f.Close())
				b.StartTimer()
			}
		})
		b.Run(name+"/loaded", func(b *testing.B) {
			f := opened(b, dir)
			cold(b, f)
			b.ResetTimer()
			for range b.N {
				cold(b, f)
			}
			b.StopTimer()
			require.NoError(b, f.Close())
		})
		b.Run(name+"/unknown", func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				f := opened(b, b.TempDir())
				b.StartTimer()
				cold(b, f)
				b.StopTimer()
				require.NoError(b, f.Close())
				b.StartTimer()
			}
		})
	}
}

// BenchmarkWarm is a /run in a container that is there.
func BenchmarkWarm(b *testing.B) {
	for name, module := range map[string][]byte{"hand-written": printer(`{"ok":true}`).bytes(), "go": goModule(b)} {
		b.Run(name, func(b *testing.B) {
			f := openIn(b, b.TempDir())
			c := loaded(b, f, module)
			run := []byte(`{"value":{"do":"echo"}}`)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				r, err := c.Call(b.Context(), "/run", run, 1<<20)
				if err != nil || r.Status != 200 {
					b.Fatal(err, string(r.Body))
				}
			}
		})
	}
}
