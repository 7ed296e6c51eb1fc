package docker

import (
	"context"
	"testing"
	"time"

	"github.com/gowhisk/gowhisk/invoker/container"
	"github.com/gowhisk/gowhisk/invoker/container/process"
	"github.com/stretchr/testify/require"
)

var benchKinds = map[string]string{
	"nodejs:20":   `{"value":{"name":"a","main":"main","code":"function main(a) { return {n: a.n} }"}}`,
	"python:3.11": `{"value":{"name":"a","main":"main","code":"def main(a):\n    return {'n': a['n']}"}}`,
}

// benchRun is the body of a run.
var benchRun = []byte(`{"value":{"n":1},"namespace":"guest","action_name":"/guest/a","activation_id":"0123456789abcdef0123456789abcdef"}`)

func mustCall(b *testing.B, c container.Container, path string, body []byte) {
	response, err := c.Call(context.Background(), path, body, 1<<20)
	if err != nil || response.Status != 200 {
		b.Fatal(string(response.Body), err)
	}
}

// BenchmarkRun measures a warm call, with its logs collected, in Docker and in a
// process container: go test -bench Run -run '^$' ./invoker/container/docker
func BenchmarkRun(b *testing.B) {
	docker, err := Open(b.Context(), config(b.TempDir()))
	require.NoError(b, err)
	defer func() { require.NoError(b, docker.Close()) }()
	processes, err := process.Open(b.Context(), process.Config{Dir: b.TempDir(), CgroupParent: "/"})
	require.NoError(b, err)
	defer func() { require.NoError(b, processes.Close()) }()
	for kind, source := range benchKinds {
		for name, f := range map[string]container.Factory{"docker": docker, "process": processes} {
			c, err := f.Start(b.Context(), container.Spec{Name: "bench", Kind: kind, Image: imageOf(kind), Memory: 256, Concurrency: 1})
			require.NoError(b, err)
			mustCall(b, c, "/init", []byte(source))
			b.Run(kind+"/call/"+name, func(b *testing.B) {
				for b.Loop() {
					mustCall(b, c, "/run", benchRun)
					c.Logs(b.Context(), container.LogQuery{}) // costs nothing: they are there, or not waited for
				}
			})
			b.Run(kind+"/call+logs/"+name, func(b *testing.B) {
				for b.Loop() {
					mustCall(b, c, "/run", benchRun)
					if logs := c.Logs(b.Context(), container.LogQuery{Limit: 10, WaitForSentinel: true}); logs.Incomplete {
						b.Fatal(logs.Lines)
					}
				}
			})
			require.NoError(b, c.Destroy(b.Context()))
		}
	}
}

// BenchmarkStart measures the parts of a cold start, in ms.
func BenchmarkStart(b *testing.B) {
	f, err := Open(b.Context(), config(b.TempDir()))
	require.NoError(b, err)
	defer func() { require.NoError(b, f.Close()) }()
	for kind, source := range benchKinds {
		b.Run(kind, func(b *testing.B) {
			parts := map[string]time.Duration{}
			var last time.Time
			lap := func(part string) {
				now := time.Now()
				if part != "" {
					parts[part] += now.Sub(last)
				}
				last = now
			}
			for b.Loop() {
				lap("")
				i, err := f.images.resolve(b.Context(), container.Spec{Kind: kind, Image: imageOf(kind)})
				require.NoError(b, err)
				lap("image")
				c := f.newContainer(container.Spec{Name: "bench", Kind: kind, Image: imageOf(kind), Memory: 256, Concurrency: 1}, i)
				require.NoError(b, c.create(b.Context(), f.currentNetwork()))
				lap("create")
				require.NoError(b, c.launch(b.Context()))
				lap("start")
				require.NoError(b, c.look(b.Context(), f.currentNetwork()))
				lap("inspect")
				require.NoError(b, c.awaitRuntime(b.Context(), f.currentNetwork()))
				lap("listen")
				mustCall(b, c, "/init", []byte(source))
				lap("init")
				mustCall(b, c, "/run", benchRun)
				lap("run")
				require.NoError(b, c.Destroy(b.Context()))
				lap("remove")
			}
			b.ReportMetric(0, "ns/op")
			for part, d := range parts {
				b.ReportMetric(float64(d.Microseconds())/1000/float64(b.N), part+"-ms")
			}
		})
	}
}
