package kinds

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gowhisk/gowhisk/invoker/container"
)

// recorder is a factory that notes what it is asked for.
type recorder struct {
	started       []string
	swept, closed int
	err           error
}

func (r *recorder) Start(_ context.Context, spec container.Spec) (container.Container, error) {
	r.started = append(r.started, spec.Kind)
	return nil, r.err
}

func (r *recorder) Sweep(context.Context) error { r.swept++; return r.err }

func (r *recorder) Close() error { r.closed++; return r.err }

func TestRoute(t *testing.T) {
	wasm, rest := &recorder{}, &recorder{}
	f := Route(rest, map[string]container.Factory{"wasm": wasm})
	for _, kind := range []string{"wasm:wasi", "nodejs:20", "wasm", "blackbox", "wasmtime:1", "wasm:default"} {
		_, err := f.Start(t.Context(), container.Spec{Kind: kind})
		require.NoError(t, err)
	}
	require.Equal(t, []string{"wasm:wasi", "wasm", "wasm:default"}, wasm.started)
	require.Equal(t, []string{"nodejs:20", "blackbox", "wasmtime:1"}, rest.started)

	wasm.err, rest.err = errors.New("of wasm"), errors.New("of the rest")
	for _, err := range []error{f.Sweep(t.Context()), f.Close()} {
		require.ErrorIs(t, err, wasm.err)
		require.ErrorIs(t, err, rest.err)
	}
	require.Equal(t, []int{1, 1, 1, 1}, []int{wasm.swept, rest.swept, wasm.closed, rest.closed})
}
